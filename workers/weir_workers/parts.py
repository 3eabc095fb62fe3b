"""What a worker's own process needs of the core: what runs tasks, and nothing of what they do.

Its children have the rest. Arrow alone would take 38 MB more of each worker.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

from weir_core.collections.connections import ConnectionService
from weir_core.collections.vault import ConnectionVault
from weir_core.config import Settings
from weir_core.db import Database
from weir_core.events import LiveEvents
from weir_core.files.models import FileLimits
from weir_core.files.service import FileService
from weir_core.fleet.service import FleetService
from weir_core.queue import Queue
from weir_core.redis import connect
from weir_core.secrets import SecretBox
from weir_core.signals import Signals
from weir_core.stores.opening import open_store
from weir_core.tasks.asking import Asking
from weir_core.tasks.execution import TaskExecution
from weir_core.tasks.promotion import Promotion
from weir_core.tasks.service import TaskService
from weir_core.users.projects import Projects


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts, wired."""

    queue: Queue
    signals: Signals
    fleet: FleetService
    execution: TaskExecution
    asking: Asking
    files: FileService
    connections: ConnectionService

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncGenerator[Self]:
        """Build them; connections are opened when they are first used, and closed at the end."""
        db = Database(settings.database_url.get_secret_value())
        redis = connect(url := settings.redis_url.get_secret_value())
        queue, live = Queue(url, settings.redis_prefix), LiveEvents(redis, settings.redis_prefix)
        secrets = SecretBox.from_text(settings.master_key.get_secret_value())
        promotion, projects = Promotion(db, queue, live), Projects(db)
        vault = ConnectionVault(db, secrets)
        tasks = TaskService(db, queue, promotion, projects, vault, retention=settings.task_retention)
        try:
            yield cls(
                queue=queue,
                signals=Signals(redis, settings.redis_prefix),
                fleet=FleetService(db, settings.lease),
                execution=TaskExecution(db, live, promotion),
                asking=Asking(db, tasks, vault),
                files=FileService(db, open_store(settings), FileLimits.of(settings)),
                connections=ConnectionService(db, secrets, projects),
            )
        finally:
            await queue.close()
            await redis.aclose()
            await db.close()
