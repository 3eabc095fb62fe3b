"""What many finished tasks leave in Redis."""

from collections.abc import AsyncIterator

from tests.bench.clients import NOOP, store
from tests.bench.draining import until_none_left
from tests.bench.report import Line
from tests.bench.site import SLOTS, Ground, Site, Size
from weir_core.tasks.promotion import hint_of
from weir_core.tasks.states import TaskState

_PART = 5_000
_OPEN = (TaskState.QUEUED, TaskState.RUNNING, TaskState.CANCELLING)


async def measure(site: Site, size: Size) -> AsyncIterator[Line]:
    """Its memory before and after, once some tasks have made what stays: scripts, groups, streams."""
    ground = await site.ground()
    await ground.worker(SLOTS)
    await _finish(ground, 100)
    before = await _used(ground)
    for start in range(0, size.finished, _PART):
        await _finish(ground, min(_PART, size.finished - start))
    after = await _used(ground)
    await ground.tidy()
    yield Line(
        f"Redis after {size.finished:,} finished tasks",
        f"{after / 1e6:.2f} MB",
        f"before {before / 1e6:.2f} MB, {(after - before) / 1e6:+.2f} MB",
        goal="within 10 MB",
    )


async def _finish(ground: Ground, count: int) -> None:
    kind = await ground.runtime.tasks.newest_type(NOOP)
    made = await store(ground, kind, [{"tell": ""}] * count)
    await ground.runtime.queue.hint([hint_of(each) for each in made])
    await until_none_left(ground, "default", *_OPEN)


async def _used(ground: Ground) -> int:
    return int((await ground.runtime.redis.info("memory"))["used_memory"])
