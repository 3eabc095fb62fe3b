"""One run as its worker sees it: what it is told, and when."""

from tests.workers.looking import running
from weir_core.ids import new_id
from weir_workers.runs.process import Nursery
from weir_workers.wards.ward import Wards

START = {
    "op": "start",
    "type": "command.hungry",
    "attempt": 1,
    "project": "default",
    "input": {"way": "little"},
    "checkpoint": None,
    "memory": None,
    "cpu_time": None,
    "file_bytes": 1 << 20,
    "result_bytes": 1 << 20,
}


async def test_p04_the_end_is_told_when_nothing_of_a_run_is_there_its_keeper_included():
    nursery = await Nursery.start("tests.packs.commands", Wards())
    try:
        for _ in range(20):
            task_id = new_id()
            run = await nursery.fork(START | {"id": str(task_id)})
            told = [message["op"] async for message in run.messages()]
            assert (told[-1], running(task_id)) == ("done", [])
    finally:
        await nursery.kill()
