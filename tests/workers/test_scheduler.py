"""P6 with processes: however many schedulers run, die or pause, each fire time is accounted for once."""

import asyncio
import os
import signal
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from redis.asyncio import Redis
from sqlalchemy import select

from tests.fixtures.proxy import dial_database, proxied, through
from tests.fixtures.scheduling import EVERY_MINUTE, EVERY_SECOND, Times
from tests.fixtures.workers import SECONDS, Fleet
from weir_core.fleet.models import scheduler
from weir_core.schedules.models import FireResult, MissedPolicy, OverlapPolicy, Schedule, fire
from weir_core.tasks.models import task

SPAN = float(os.environ.get("WEIR_TEST_SCHEDULES", "12"))
ALLOW = OverlapPolicy.ALLOW


@pytest.fixture
def fleet(unscheduled: Fleet) -> Fleet:
    """A scheduler that has a process of its own."""
    unscheduled.start("scheduler")
    return unscheduled


@dataclass
class Account:
    """What became of the fire times of one schedule."""

    fired: Counter[datetime]
    missed: int
    other: int
    latest: timedelta


async def account(times: Times, schedule: Schedule) -> Account:
    """Read from the tasks, and from what the schedule says of itself."""
    async with times.runtime.db.read() as tx:
        tasks = (
            await tx.execute(select(task.c.fire_time).where(task.c.schedule_id == schedule.id))
        ).scalars()
        fired = Counter(tasks)
        rows = (await tx.execute(select(fire).where(fire.c.schedule_id == schedule.id))).all()
    told = [row for row in rows if row.result == FireResult.FIRED]
    assert Counter(row.fired_time for row in told) == fired
    missed = sum(row.times for row in rows if row.result == FireResult.MISSED)
    other = sum(row.result in {FireResult.OVERLAP, FireResult.REFUSED} for row in rows)
    return Account(
        fired, missed, other, max((row.action_time - row.fire_time for row in told), default=timedelta())
    )


async def alive(times: Times, count: int) -> None:
    """Wait until so many schedulers have begun."""
    async with asyncio.timeout(SECONDS):
        while True:
            async with times.runtime.db.read() as tx:
                if len((await tx.execute(select(scheduler.c.id))).all()) == count:
                    return
            await asyncio.sleep(0.1)


async def over(times: Times, schedules: list[Schedule]) -> None:
    """Wait until none has a fire to come."""
    async with asyncio.timeout(SECONDS + SPAN):
        for schedule in schedules:
            while (await times.get(schedule)).next_fires:
                await asyncio.sleep(0.2)


@pytest.mark.parametrize("database_kind", ["mariadb"], indirect=True)
@pytest.mark.timeout(300)
async def test_p06_one_scheduler_killed_and_one_frozen_in_the_middle(times: Times, fleet: Fleet):
    first = fleet.running[0]
    frozen, _ = fleet.start("scheduler"), fleet.start("scheduler")
    await alive(times, 3)
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=SPAN + 5)
    policies = [MissedPolicy.ALL] * 12 + [MissedPolicy.LAST] * 4 + [MissedPolicy.SKIP] * 4
    schedules = [
        await times.create(
            f"tick-{n}", replace(EVERY_SECOND, end_time=end), missed=policy, max_catch_up=1000, overlap=ALLOW
        )
        for n, policy in enumerate(policies)
    ]
    await asyncio.sleep(SPAN / 3)
    first.kill()
    frozen.send_signal(signal.SIGSTOP)
    await asyncio.sleep(SPAN / 3)
    frozen.send_signal(signal.SIGCONT)
    await over(times, schedules)

    worst = timedelta()
    for schedule in schedules:
        begin = schedule.next_fire
        assert begin is not None
        expected = {begin + timedelta(seconds=n) for n in range(round((end - begin).total_seconds()))}
        found = await account(times, schedule)
        worst = max(worst, found.latest)
        assert set(found.fired.values()) == {1}
        assert set(found.fired) <= expected
        assert (len(found.fired) + found.missed, found.other) == (len(expected), 0)
        if schedule.wanted.missed is MissedPolicy.ALL:
            assert set(found.fired) == expected
    late = worst.total_seconds()
    print(f"{len(schedules)} schedules over {SPAN + 5:.0f} s, the latest fire {late:.2f} s late")
    assert frozen.poll() is None


async def test_p06_ten_minutes_without_a_scheduler_follow_each_policy(times: Times, fleet: Fleet):
    await asyncio.to_thread(stop, fleet)
    schedules = {
        policy: await times.create(policy.name.lower(), EVERY_MINUTE, missed=policy, overlap=ALLOW)
        for policy in MissedPolicy
    }
    come = {policy: await times.back(schedule, 10) for policy, schedule in schedules.items()}
    for _ in range(2):
        fleet.start("scheduler")
    expected = {MissedPolicy.SKIP: 1, MissedPolicy.LAST: 1, MissedPolicy.ALL: 10}
    async with asyncio.timeout(SECONDS):
        for policy, schedule in schedules.items():
            while (await times.get(schedule)).next_fires[0] <= come[policy][-1]:
                await asyncio.sleep(0.1)
    for policy, schedule in schedules.items():
        found = await account(times, schedule)
        # A slow start makes also the newest one late, which SKIP then drops.
        least = 0 if policy is MissedPolicy.SKIP else expected[policy]
        assert least <= len(found.fired) <= expected[policy]
        assert set(found.fired) <= set(come[policy])
        assert len(found.fired) + found.missed == 10


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
async def test_p05_it_notes_since_when_redis_has_kept_its_data(redis_url: str):
    # What is not known to be old may lack events: a worker that dies silent would leave a gap.
    async with Redis.from_url(redis_url) as redis:
        for _ in range(2):
            await redis.flushdb()
            async with asyncio.timeout(SECONDS):
                while not await redis.exists("weir:since"):
                    await asyncio.sleep(0.05)


@pytest.mark.parametrize("database_kind", ["mariadb"], indirect=True)
async def test_it_outlives_an_outage_of_the_database(
    times: Times, fleet: Fleet, database_url: str, tmp_path: Path
):
    await asyncio.to_thread(stop, fleet)
    async with proxied(tmp_path / "db.sock", dial_database(database_url)) as proxy:
        process = fleet.start("scheduler", WEIR_DATABASE_URL=through(database_url, proxy))
        made = await times.create(
            timing=EVERY_SECOND, missed=MissedPolicy.ALL, max_catch_up=1000, overlap=ALLOW
        )
        await fired(times, made, 1)
        proxy.cut()
        before = len((await account(times, made)).fired)
        await asyncio.sleep(3)
        assert len((await account(times, made)).fired) <= before + 1
        proxy.heal()
        await fired(times, made, before + 4)
        found = await account(times, made)
        assert set(found.fired.values()) == {1}
        assert (found.missed, found.other, process.poll()) == (0, 0, None)
        process.terminate()
        assert await asyncio.to_thread(process.wait, SECONDS) == 0


async def fired(times: Times, schedule: Schedule, count: int) -> None:
    """Wait for so many fires."""
    async with asyncio.timeout(SECONDS):
        while len((await account(times, schedule)).fired) < count:
            await asyncio.sleep(0.1)


def stop(fleet: Fleet) -> None:
    """End the scheduler that the fixture has started."""
    fleet.running[0].terminate()
    fleet.running[0].wait(SECONDS)
