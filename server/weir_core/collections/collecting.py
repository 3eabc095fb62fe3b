"""The domains of collecting, wired."""

from dataclasses import dataclass
from typing import Self

from weir_core.collections.connections import ConnectionService
from weir_core.collections.runs import RunService
from weir_core.collections.service import CollectionService
from weir_core.collections.trials import Trials
from weir_core.config import Settings
from weir_core.datasets.compaction import CompactionService
from weir_core.datasets.quarantine import QuarantineService
from weir_core.datasets.service import DatasetService
from weir_core.datasets.sweep import DatasetSweep
from weir_core.db import Database
from weir_core.paging import PageTokens
from weir_core.secrets import SecretBox
from weir_core.stores.contract import ObjectStore
from weir_core.tasks.service import TaskService
from weir_core.users.projects import Projects


@dataclass(frozen=True, slots=True)
class Collecting:
    """All that is about sources, and the records that come from them."""

    connections: ConnectionService
    collections: CollectionService
    runs: RunService
    trials: Trials
    datasets: DatasetService
    quarantine: QuarantineService
    compaction: CompactionService
    sweep: DatasetSweep

    @classmethod
    def wire(
        cls,
        settings: Settings,
        db: Database,
        secrets: SecretBox,
        store: ObjectStore,
        *,
        tasks: TaskService,
        projects: Projects,
    ) -> Self:
        """Put the parts together."""
        return cls(
            connections=ConnectionService(db, secrets, projects),
            collections=CollectionService(db, projects),
            runs=RunService(db, secrets, tasks),
            trials=Trials(db, secrets),
            datasets=DatasetService(db, store, PageTokens(secrets.derive("resume tokens"))),
            quarantine=QuarantineService(db, tasks),
            compaction=CompactionService(
                db, store, tasks, segment_rows=settings.segment_rows, after=settings.compact_after
            ),
            sweep=DatasetSweep(db, store),
        )
