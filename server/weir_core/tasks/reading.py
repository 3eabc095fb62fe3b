"""Reads that every call makes: those that meet in a process go to the database together."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

from weir_core.batching import Batcher
from weir_core.db import Database
from weir_core.fleet import repository as fleet
from weir_core.fleet.models import TaskType, Worker
from weir_core.fresh import Fresh
from weir_core.tasks import hot_repository
from weir_core.tasks.models import Task

_SECONDS: Final = 1.0


class Reading:
    """Tasks, their types, and who serves them."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._tasks = Batcher(self._read_tasks)
        self._types = Batcher(self._read_types)
        self._workers = Batcher(self._read_workers)
        self._known_types = Fresh(self._types.ask, seconds=_SECONDS)
        self._known_workers = Fresh(self._workers.ask, seconds=_SECONDS, size=1)

    async def task(self, task_id: UUID, *, full: bool) -> Task | None:
        """A task as it is now; its attempts only with `full`."""
        return await self._tasks.ask((task_id, full))

    async def newest_type(self, name: str) -> TaskType | None:
        """The newest version of a task type, as it was at most a second ago; a new one is seen at once."""
        return await self._known_types.get(name)

    async def unserved(self, kinds: set[tuple[str, int]]) -> set[tuple[str, int]]:
        """Those names and versions that no worker serves whose lease is good, or was a second ago."""
        left = _unserved(kinds, await self._known_workers.get(None))
        return _unserved(left, await self._workers.ask(None)) if left else left

    async def workers(self) -> list[Worker]:
        """Workers whose lease is good."""
        return await self._workers.ask(None)

    async def _read_tasks(self, wanted: Sequence[tuple[UUID, bool]]) -> list[Task | None]:
        async with self._db.read() as tx:
            found = await hot_repository.get_many(tx, [task_id for task_id, _ in wanted])
            tried = {id_ for id_, full in wanted if full and id_ in found and found[id_].attempt}
            attempts = await hot_repository.attempts_of(tx, sorted(tried)) if tried else {}
        return [
            replace(found[task_id], attempts=attempts[task_id])
            if full and task_id in attempts
            else found.get(task_id)
            for task_id, full in wanted
        ]

    async def _read_types(self, names: Sequence[str]) -> list[TaskType | None]:
        async with self._db.read() as tx:
            found = await fleet.newest_types(tx, sorted(set(names)))
        return [found.get(name) for name in names]

    async def _read_workers(self, wanted: Sequence[None]) -> list[list[Worker]]:
        async with self._db.read() as tx:
            workers = await fleet.active_workers(tx)
        return [workers for _ in wanted]


def _unserved(kinds: set[tuple[str, int]], workers: list[Worker] | None) -> set[tuple[str, int]]:
    served = [worker.types for worker in workers or ()]
    return {
        (name, version) for name, version in kinds if all(types.get(name, 0) < version for types in served)
    }
