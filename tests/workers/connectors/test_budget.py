"""A connection is asked no faster and no more at a time than it allows, whoever asks."""

import asyncio
from collections import deque
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from tests.fixtures.http_source import Asked, HttpSource, meeting, status
from tests.workers.connectors.reading import NUMBERED, PLAIN, Waits, quick, read, source_at
from weir_core.pacing import local_pace
from weir_workers.connectors.budget import Budget
from weir_workers.connectors.errors import SourceError
from weir_workers.connectors.http import HttpConnector


def most_in(times: list[float], seconds: float) -> int:
    """The greatest number of times within any span of that length."""
    inside: deque[float] = deque()
    most = 0
    for at in sorted(times):
        inside.append(at)
        while inside[0] <= at - seconds:
            inside.popleft()
        most = max(most, len(inside))
    return most


class TestRate:
    async def test_is_kept_by_several_runs_together(self, http_source: HttpSource) -> None:
        connector = HttpConnector()
        source = replace(source_at(http_source), turn=local_pace(1200))
        async with asyncio.TaskGroup() as runs:
            for _ in range(4):
                runs.create_task(read(source, NUMBERED, connector=connector))
        times = [asked.at for asked in http_source.asked]
        span = max(times) - min(times)
        assert (len(times) - 1) / span <= 20 * 1.05
        assert most_in(times, 0.5) <= 11

    async def test_first_request_does_not_wait(self) -> None:
        waits = Waits()
        budget = Budget(waits)
        budget.allow(4, local_pace(1))
        async with budget.turn():
            pass
        assert waits.seconds == []

    async def test_none_is_none(self) -> None:
        waits = Waits()
        budget = Budget(waits)
        budget.allow(4, None)
        for _ in range(100):
            async with budget.turn():
                pass
        assert waits.seconds == []


class TestConcurrency:
    async def test_is_kept_by_several_runs_together(self, http_source: HttpSource) -> None:
        connector = quick()
        source = source_at(http_source, max_concurrency=3)
        http_source.records = [{"id": number} for number in range(30)]
        three_there = meeting(asyncio.Barrier(3))
        for number in (1, 2, 3):
            http_source.faults[number] = [three_there] * 3
        settings = {**NUMBERED, "pagination": {**NUMBERED["pagination"], "total_path": "total"}}
        async with asyncio.timeout(10), asyncio.TaskGroup() as runs:
            for _ in range(3):
                runs.create_task(read(source, settings, connector=connector))
        assert http_source.most_at_once == 3

    async def test_other_connection_has_a_budget_of_its_own(self, http_source: HttpSource) -> None:
        both_there = meeting(asyncio.Barrier(2))
        http_source.faults[1] = [both_there, both_there]
        connector = quick()
        async with asyncio.timeout(5), asyncio.TaskGroup() as runs:
            for name in ("one", "two"):
                source = source_at(http_source, {"token": name}, auth="bearer", max_concurrency=1)
                runs.create_task(read(source, PLAIN, connector=connector))

    async def test_who_gives_up_waiting_leaves_no_hole(self) -> None:
        budget = Budget(Waits())
        budget.allow(1, None)
        entered = asyncio.Event()

        async def enter() -> None:
            async with budget.turn():
                entered.set()

        async with budget.turn():
            given_up, patient = asyncio.create_task(enter()), asyncio.create_task(enter())
            await asyncio.sleep(0)
            given_up.cancel()
            await asyncio.gather(given_up, return_exceptions=True)
            assert not entered.is_set()
        await patient
        assert entered.is_set()

    async def test_who_is_cancelled_when_called_passes_it_on(self) -> None:
        budget = Budget(Waits())
        budget.allow(1, None)

        async def enter() -> None:
            async with budget.turn():
                pass

        async with budget.turn():
            called, patient = asyncio.create_task(enter()), asyncio.create_task(enter())
            await asyncio.sleep(0)
        called.cancel()
        async with asyncio.timeout(5):
            await patient


class TestSlowingDown:
    async def test_refusal_halves_and_success_restores(self) -> None:
        waits = Waits()
        budget = Budget(waits)
        budget.allow(8, None)

        async def under_way(want: int, *, refused: bool = False) -> int:
            """How many get in at once."""
            inside = asyncio.Semaphore(0)
            done = asyncio.Event()

            async def enter() -> None:
                async with budget.turn() as begun:
                    inside.release()
                    await done.wait()
                    if refused:
                        budget.refused(begun)

            tasks = [asyncio.create_task(enter()) for _ in range(want)]
            for _ in range(5):
                await asyncio.sleep(0)
            found = inside._value
            done.set()
            await asyncio.gather(*tasks)
            return found

        assert await under_way(20) == 8
        await waits.sleep(1)
        assert await under_way(6, refused=True) == 6
        assert await under_way(20) == 3
        budget.answered()
        assert await under_way(20) == 3
        for _ in range(100):
            budget.answered()
        assert await under_way(20) == 8

    async def test_refusal_of_one_run_holds_up_the_others(self, http_source: HttpSource) -> None:
        waits = Waits()
        connector = quick(waits)
        http_source.faults[1] = [status(429, Retry_After="30")]
        times: list[float] = []

        def answer(_: Asked) -> Any:
            times.append(waits.now())
            return []

        http_source.apis["/other"] = answer
        begun = waits.now()
        await read(source_at(http_source), PLAIN, connector=connector)
        await read(source_at(http_source), {"path": "/other"}, connector=connector)
        assert times[0] - begun >= 29.9

    async def test_long_refusal_sends_the_others_away_at_once(self, http_source: HttpSource) -> None:
        connector = quick()
        http_source.apis["/busy"] = lambda _: web.Response(status=429, headers={"Retry-After": "3600"})
        for path in ("/busy", "/plain"):
            with pytest.raises(SourceError) as caught:
                await read(source_at(http_source), {"path": path}, connector=connector)
            assert caught.value.kind == "RATE_LIMITED"
            assert caught.value.retry_after is not None
        assert caught.value.code == "http.held"
        assert 600 < caught.value.retry_after <= 900
        assert len(http_source.asked) == 1
