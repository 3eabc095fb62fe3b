"""A worker's claims and ends, where an answer of the database is lost or comes late."""

from tests.fixtures.workers import Fleet
from weir_core.tasks.states import TaskState


async def test_a_claim_that_was_made_and_whose_answer_was_lost_is_run(fleet: Fleet):
    await fleet.worker()
    (worker,) = await fleet.engine.runtime.fleet.active()
    # Nobody reads that queue: the worker hears nothing of the task but what it finds in its name.
    task = (await fleet.engine.submit("mine", queue="elsewhere")).task
    claimed = await fleet.engine.runtime.execution.claim([task.id], worker.id, {"probe.echo": 1})
    assert len(claimed) == 1
    ended = await fleet.until(task.id, TaskState.SUCCEEDED)
    assert (ended.attempt, ended.charged) == (1, 0)
