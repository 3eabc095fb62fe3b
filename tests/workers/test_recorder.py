"""What carries events out must also stop."""

import asyncio

from tests.fixtures.engine import Engine
from weir_workers.recorder import Recorder

_STEPS = 60


async def test_a_cancel_at_any_step_of_a_send_ends_it(engine: Engine):
    claimed = await engine.claimed(await engine.worker())
    for steps in range(_STEPS):
        recorder = Recorder(engine.runtime.execution, lambda _: None, lambda: True)
        running = asyncio.create_task(recorder.run())
        claimed.log.add_log({"level": 2, "source": 1, "text": f"line {steps}", "fields": {}})
        recorder.add(claimed.log)
        for _ in range(steps):
            await asyncio.sleep(0)
        running.cancel()
        done, _ = await asyncio.wait([running], timeout=5)
        assert done, f"cancelled after {steps} steps, it goes on"
