"""What a running task asks for is refused to all but the newest attempt, and to who must stop."""

from dataclasses import replace

import pytest

from tests.fixtures.engine import Engine
from tests.fixtures.scheduling import administrator
from weir_core.errors import NotFound, StateConflict
from weir_core.ids import new_id
from weir_core.tasks.asking import NewChild
from weir_core.tasks.errors import Fenced
from weir_core.tasks.models import Task

CHILD = NewChild("a", "probe.echo", {"text": "hi"})


@pytest.fixture(autouse=True)
async def somebody(engine: Engine):
    """A child is made in the name of a user who is there."""
    engine.caller = await administrator(engine.runtime)


async def asks_in_vain(engine: Engine, held: Task) -> None:
    """Neither a checkpoint nor a child is taken."""
    asking = engine.runtime.asking
    with pytest.raises(Fenced):
        await asking.checkpoint(held, {"at": 2})
    with pytest.raises(Fenced):
        await asking.submit(held, CHILD)
    assert (await engine.get(held.id)).checkpoint == {"at": 1}
    with pytest.raises(NotFound):
        await asking.child(held, held.id)


async def test_p02_an_old_attempt_keeps_no_checkpoint_and_makes_no_child(engine: Engine):
    held = (await engine.claimed(await engine.worker())).task
    await engine.runtime.asking.checkpoint(held, {"at": 1})
    await asks_in_vain(engine, replace(held, attempt=held.attempt - 1))
    await engine.runtime.asking.checkpoint(held, {"at": 3})


async def test_p04_who_must_stop_keeps_no_checkpoint_and_makes_no_child(engine: Engine):
    held = (await engine.claimed(await engine.worker())).task
    await engine.runtime.asking.checkpoint(held, {"at": 1})
    await engine.runtime.stopping.cancel(engine.caller, held.id, "enough", None)
    await asks_in_vain(engine, held)


async def test_a_key_makes_one_child_over_all_attempts(engine: Engine):
    held = (await engine.claimed(await engine.worker())).task
    first = await engine.runtime.asking.submit(held, CHILD)
    assert await engine.runtime.asking.submit(held, CHILD) == first
    other = await engine.runtime.asking.submit(held, replace(CHILD, key="b"))
    assert other != first
    assert await engine.runtime.asking.gone_or_ended([first, other]) == set()


async def test_p13_nothing_is_made_in_the_name_of_who_was_disabled(engine: Engine):
    held = (await engine.claimed(await engine.worker())).task
    nobody = replace(held, creator=replace(held.creator, id=new_id()))
    with pytest.raises(StateConflict, match="was disabled or deleted"):
        await engine.runtime.asking.submit(nobody, CHILD)
