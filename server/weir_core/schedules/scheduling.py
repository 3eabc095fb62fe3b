"""The domain's services, wired."""

from dataclasses import dataclass
from typing import Self

from weir_core.config import Settings
from weir_core.db import Database
from weir_core.schedules.firing import Firing
from weir_core.schedules.service import ScheduleService
from weir_core.schedules.starting import Starter
from weir_core.schedules.triggering import Trigger
from weir_core.tasks.service import TaskService
from weir_core.tasks.stopping import Stopping


@dataclass(frozen=True, slots=True)
class Scheduling:
    """All that is about schedules."""

    schedules: ScheduleService
    trigger: Trigger
    firing: Firing

    @classmethod
    def wire(cls, settings: Settings, db: Database, tasks: TaskService, stopping: Stopping) -> Self:
        """Put the parts together."""
        starter = Starter(db, tasks)
        return cls(
            schedules=ScheduleService(db, starter),
            trigger=Trigger(db, tasks, starter),
            firing=Firing(db, tasks, stopping, starter, kept=settings.task_retention),
        )
