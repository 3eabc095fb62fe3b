"""A worker's claims and ends, where an answer of the database is lost or comes late."""

import asyncio
import signal

import pytest

from tests.fixtures.workers import SECONDS, Fleet
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


# SQLite has one writer on one machine: frozen, it holds up all until it goes on or is killed.
@pytest.mark.parametrize("database_kind", ["mariadb"], indirect=True)
async def test_p03_a_worker_frozen_inside_a_transaction_keeps_nobody_from_its_task(fleet: Fleet):
    frozen = await fleet.worker(WEIR_FAILPOINTS="close.written:stop")
    held = await fleet.submit("probe.echo", {"text": "held"})
    async with asyncio.timeout(SECONDS):
        while (await fleet.engine.get(held)).state is not TaskState.RUNNING:
            await asyncio.sleep(0.05)
    await fleet.worker()
    ended = await fleet.until(held, TaskState.SUCCEEDED)
    assert ended.attempt == 2
    frozen.send_signal(signal.SIGCONT)
    assert (await fleet.run("probe.echo", {"text": "on it goes"})).state is TaskState.SUCCEEDED
    assert (await fleet.engine.get(held)).last_seq == ended.last_seq
