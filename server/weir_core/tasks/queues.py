"""Queues: what waits in them, and their limits. A queue is there once anyone has named it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from weir_core.db import Database
from weir_core.errors import InvalidArgument
from weir_core.filtering import matches, parse
from weir_core.fleet import repository as fleet
from weir_core.paging import Page
from weir_core.tasks import gate_repository, waiting_repository
from weir_core.tasks.gates import Gate, queue_gate
from weir_core.tasks.promotion import Promotion

CHANGEABLE: Final = ("paused", "pause_reason", "max_running", "max_per_minute")


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue as it is now."""

    name: str
    gate: Gate
    queued: int = 0
    running: int = 0
    oldest: timedelta = timedelta(0)
    worker_count: int = 0


class Queues:
    """Shows and limits queues."""

    def __init__(self, db: Database, promotion: Promotion) -> None:
        self._db = db
        self._promotion = promotion

    async def list_queues(self, page: Page, filter_text: str) -> list[Queue]:
        """Queues by name; one more than the page holds, where there is one."""
        wanted = parse(filter_text)
        matches(wanted, {"name": ""})
        async with self._db.read() as tx:
            names = await waiting_repository.queue_names(tx)
            workers = await fleet.active_workers(tx)
        names |= {name for worker in workers for name in worker.queues}
        after = page.key[0] if page.key else ""
        shown = [name for name in sorted(names) if name > after and matches(wanted, {"name": name})]
        return [await self.get(name) for name in shown[: page.size + 1]]

    async def get(self, name: str) -> Queue:
        """A queue, whether anything was ever in it or not."""
        async with self._db.read() as tx:
            gates = await gate_repository.get(tx, [queue_gate(name)])
            queued, running, oldest = await waiting_repository.queue_counts(tx, name)
            workers = await fleet.active_workers(tx)
        return Queue(
            name,
            gates.get(queue_gate(name)) or Gate(queue_gate(name)),
            queued,
            running,
            timedelta(0) if oldest is None else max(timedelta(0), datetime.now(UTC) - oldest),
            sum(name in worker.queues for worker in workers),
        )

    async def update(self, name: str, changes: dict[str, Any]) -> Queue:
        """Set a queue's limits or pause; what runs goes on."""
        if not changes:
            raise InvalidArgument.at("update_mask", f"must name one of {', '.join(CHANGEABLE)}")
        await self._db.write(lambda tx: gate_repository.put(tx, queue_gate(name), changes))
        await self._promotion.open_gates()
        return await self.get(name)
