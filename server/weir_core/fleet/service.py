"""What workers tell of themselves, and what others ask of them."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, cast
from uuid import UUID

from weir_core.db import Database
from weir_core.errors import NotFound, StateConflict
from weir_core.filtering import Filterable, id_value, name_value, parse, to_sql
from weir_core.fleet import repository
from weir_core.fleet.models import TaskType, Worker, WorkerState, task_type, worker
from weir_core.paging import Page
from weir_core.tasks import repository as tasks

FILTERS: Final = {"name": Filterable(task_type.c.name)}
WORKER_FILTERS: Final = {
    "id": Filterable(worker.c.id, id_value),
    "host": Filterable(worker.c.host),
    "state": Filterable(worker.c.state, name_value(WorkerState)),
}


class SchemaChanged(Exception):
    """A worker brings another schema under a version that is known already."""


class FleetService:
    """Workers, their leases, and the task types that they brought."""

    def __init__(self, db: Database, lease: timedelta) -> None:
        self._db = db
        self._lease = lease

    async def register(self, worker_id: UUID, values: dict[str, Any], types: list[TaskType]) -> None:
        """Store a starting worker and its task types; SchemaChanged names what differs."""

        async def work(tx: Any) -> None:
            for kind in sorted(types, key=lambda kind: kind.name):
                _same_contract(kind, await repository.save_type(tx, kind))
            newest = {kind.name: kind.version for kind in types}
            await repository.insert_worker(tx, values | {"id": worker_id, "types": newest}, self._lease)

        await self._db.write(work)

    async def renew(self, worker_id: UUID) -> bool:
        """Renew a worker's lease; False where it was lost and holds nothing any more."""
        return await self._db.write(lambda tx: repository.renew(tx, worker_id, self._lease))

    async def drain(self, worker_id: UUID) -> None:
        """A worker takes no more."""
        await self._db.write(lambda tx: repository.set_state(tx, worker_id, WorkerState.DRAINING))

    async def stop(self, worker_id: UUID) -> None:
        """A worker has ended, and holds nothing."""
        await self._db.write(lambda tx: repository.set_state(tx, worker_id, WorkerState.STOPPED))

    async def beat_scheduler(self, scheduler_id: UUID, host: str, *, others_within: timedelta) -> bool:
        """A scheduler lives; True where another one gave a sign of life within that time."""

        async def work(tx: Any) -> bool:
            others = await repository.scheduler_lives(tx, others_within, besides=scheduler_id)
            await repository.beat_scheduler(tx, scheduler_id, host)
            return others

        return await self._db.write(work)

    async def active(self) -> list[Worker]:
        """Workers whose lease is good."""
        async with self._db.read() as tx:
            return await repository.active_workers(tx)

    async def get_worker(self, worker_id: UUID) -> Worker:
        """A worker with what it holds."""
        async with self._db.read() as tx:
            found = await repository.get_worker(tx, worker_id)
            if found is None:
                raise NotFound("worker", worker_id)
            return (await _with_tasks(tx, [found]))[0]

    async def list_workers(self, page: Page, filter_text: str) -> list[Worker]:
        """Workers, the newest first; one more than the page holds, where there is one."""
        conditions = to_sql(parse(filter_text), WORKER_FILTERS)
        after = UUID(page.key[0]) if page.key else None
        async with self._db.read() as tx:
            return await _with_tasks(tx, await repository.list_workers(tx, conditions, after, page.size + 1))

    async def order(self, worker_id: UUID, *, draining: bool, grace: timedelta | None) -> Worker:
        """Drain a worker, or take it back in; StateConflict for one that does not live."""

        async def work(tx: Any) -> bool:
            if draining:
                return await repository.order_drain(tx, worker_id, grace)
            return await repository.order_work(tx, worker_id)

        taken = await self._db.write(work)
        found = await self.get_worker(worker_id)
        if not taken:
            raise StateConflict(
                f"worker {worker_id} is {found.state.value}; only a live one can be told anything",
                state=found.state.value,
                allowed="ACTIVE, DRAINING",
            )
        return found

    async def get_type(self, name: str) -> TaskType:
        """The newest version of a task type."""
        async with self._db.read() as tx:
            kind = await repository.newest_type(tx, name)
            if kind is None:
                raise NotFound("task type", name)
            return replace(kind, worker_count=_servers(kind, await repository.active_workers(tx)))

    async def list_types(self, page: Page, filter_text: str) -> list[TaskType]:
        """The newest version of each task type, by name; one more than the page holds, where there is."""
        conditions = to_sql(parse(filter_text), FILTERS)
        async with self._db.read() as tx:
            kinds = await repository.list_types(
                tx, conditions, page.key[0] if page.key else None, page.size + 1
            )
            workers = await repository.active_workers(tx)
        return [replace(kind, worker_count=_servers(kind, workers)) for kind in kinds]


async def _with_tasks(tx: Any, found: list[Worker]) -> list[Worker]:
    held = await tasks.held_by(tx, [worker.id for worker in found])
    return [replace(worker, task_ids=held.get(worker.id, [])) for worker in found]


def _servers(kind: TaskType, workers: list[Worker]) -> int:
    return sum(worker.types.get(kind.name, 0) >= kind.version for worker in workers)


def _same_contract(brought: TaskType, stored: TaskType) -> None:
    for part in ("input_schema", "output_schema", "permission"):
        if getattr(brought, part) != getattr(stored, part):
            field = _first_difference(getattr(brought, part), getattr(stored, part), part)
            raise SchemaChanged(
                f"task {brought.name} version {brought.version} differs from what is stored, at {field}; "
                f"declare it with version={brought.version + 1}"
            )


def _first_difference(ours: Any, theirs: Any, path: str) -> str:
    if not (isinstance(ours, dict) and isinstance(theirs, dict)):
        return path
    left, right = cast("dict[str, Any]", ours), cast("dict[str, Any]", theirs)
    key = next(key for key in sorted(left.keys() | right.keys()) if left.get(key) != right.get(key))
    return _first_difference(left.get(key), right.get(key), f"{path}.{key}")
