"""Cancel of 100 running tasks of each run mode, a fifth unwilling: all stop in time, and nothing is left."""

import asyncio
import time
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import weir
from tests.faults.judging import Asked
from tests.faults.report import Report
from tests.faults.site import REAL, Size, opened
from tests.workers.looking import running
from weir.types import TaskState
from weir_core.ids import parse_id

_COUNT = 100
_GRACE = timedelta(seconds=5)
_ALLOWED = _GRACE + timedelta(seconds=5)
_PATIENCE = 180.0
_NEVER = {"path": "/nowhere/never"}
_PACKS = "tests.packs.probes,tests.packs.commands"
# The type and input of those that stop when told, and of those that do not.
_MODES: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "coroutines": [("probe.until", _NEVER), ("probe.unwilling", _NEVER)],
    "processes": [
        ("command.until", _NEVER),
        ("command.stubborn", {"way": "loop"}),
        ("command.family", {"way": "wait"}),
    ],
}


async def cancels(asked: Asked) -> list[Report]:
    """Each run mode on a site of its own."""
    return [
        await _cancels(replace(asked, folder=asked.folder / str(number)), mode)
        for number, mode in enumerate(_MODES)
    ]


async def _cancels(asked: Asked, mode: str) -> Report:
    report = Report(f"cancels of {_COUNT} {mode}")
    asked.folder.mkdir()
    size = Size(servers=1, workers=0, schedulers=1)
    async with opened(asked.folder, REAL, asked.seed, size) as site:
        worker = site.worker(9, WEIR_PACKS=_PACKS, WEIR_SLOTS=str(_COUNT))
        site.workers.append(worker)
        await worker.start()
        tasks = [await _submit(site.clients[0], mode, number) for number in range(_COUNT)]
        async with asyncio.timeout(_PATIENCE):
            await asyncio.gather(*(_says(task) for task in tasks))
        began = time.monotonic()
        await asyncio.gather(*(task.cancel("enough", grace=_GRACE, timeout=_PATIENCE) for task in tasks))
        async with asyncio.timeout(_PATIENCE):
            ended = await asyncio.gather(*(_ended(task) for task in tasks))
        seconds = time.monotonic() - began
        left = running(*(parse_id("task", task.id) for task in tasks))
    took = [_took(each) for each in ended]
    states = Counter(TaskState.Name(each.state).removeprefix("TASK_STATE_") for each in ended)
    report.numbers |= {
        "states": ", ".join(f"{count} {state}" for state, count in states.items()),
        "seconds from the request to CONFIRMED": f"greatest {max(took):.1f} of {_ALLOWED.seconds} allowed",
        "seconds until all had ended": f"{seconds:.1f}",
        "processes left": len(left),
    }
    report.demand("all are CANCELLED", kept=set(states) == {"CANCELLED"})
    report.demand("each within its grace and 5 s", kept=max(took) <= _ALLOWED.total_seconds())
    report.demand("no process of theirs is left", kept=not left)
    return report


async def _submit(client: weir.AsyncClient, mode: str, number: int) -> weir.AsyncTaskHandle:
    willing, *unwilling = _MODES[mode]
    kind, given = unwilling[number // 5 % len(unwilling)] if number % 5 == 0 else willing
    return await client.tasks.submit(kind, given)


async def _says(task: weir.AsyncTaskHandle) -> None:
    """Wait for the first line of its log: it runs."""
    async for event in task.watch():
        if event.HasField("log"):
            return


async def _ended(task: weir.AsyncTaskHandle) -> Any:
    async for _ in task.watch():
        pass
    return await task.get()


def _took(task: Any) -> float:
    told = task.cancellation
    return (told.confirm_time.ToDatetime() - told.request_time.ToDatetime()).total_seconds()
