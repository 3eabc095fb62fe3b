"""Through the SDK against two real servers: kill -9 of a worker and of a server, a flush in the middle."""

import asyncio
import socket
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from redis.asyncio import Redis

import weir
from tests.fixtures.workers import SECONDS, Fleet
from weir.types import TaskEvent, TaskState

PASSWORD = "correct horse battery"


@dataclass
class Site:
    """Two servers, their addresses and processes, around a fleet."""

    fleet: Fleet
    servers: list[subprocess.Popen[bytes]]
    addresses: list[str]

    def client(self, server: int = 0) -> weir.AsyncClient:
        """A client of one of the servers, signed in as admin."""
        return weir.AsyncClient(self.addresses[server], user="admin", password=PASSWORD)

    async def serve(self, address: str) -> subprocess.Popen[bytes]:
        """Start a server and wait until it answers."""
        process = self.fleet.start("server", "--listen", address)
        async with asyncio.timeout(SECONDS):
            while True:
                assert process.poll() is None, "the server has ended"
                try:
                    async with weir.AsyncClient(
                        address, user="admin", password=PASSWORD, timeout=2
                    ) as client:
                        await client.users.get_user(user_id="self")
                except weir.errors.WeirError:
                    await asyncio.sleep(0.1)
                else:
                    return process


@pytest.fixture
async def site(fleet: Fleet) -> Site:
    """Two servers and a worker."""
    await fleet.engine.runtime.people.users.bootstrap(PASSWORD)
    addresses = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    site = Site(fleet, [], addresses)
    site.servers = [await site.serve(address) for address in addresses]
    return site


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def numbers(events: list[TaskEvent]) -> list[int]:
    return [event.seq for event in events]


async def collect(client: weir.AsyncClient, task_id: str, into: list[TaskEvent]) -> None:
    async for event in client.tasks.watch(task_id):
        into.append(event)  # noqa: PERF401 - others look at the list while it grows


async def seen(events: list[TaskEvent], text: str) -> None:
    async with asyncio.timeout(SECONDS):
        while not any(text in event.log.text for event in events):
            await asyncio.sleep(0.02)


async def test_a_killed_worker_a_killed_server_and_a_flush_leave_one_stream(
    site: Site, tmp_path: Path, redis_url: str
):
    worker = await site.fleet.worker()
    go = tmp_path / "go"
    seen_by: list[list[TaskEvent]] = [[], []]
    async with site.client(0) as first, site.client(1) as second:
        task = await first.tasks.submit("probe.until", {"path": str(go)})
        watches = [
            asyncio.create_task(collect(client, task.id, events))
            for client, events in zip((first, second), seen_by, strict=True)
        ]
        for events in seen_by:
            await seen(events, "waiting")
        site.servers[1].kill()
        worker.kill()
        async with Redis.from_url(redis_url) as redis:
            await redis.flushdb()
        site.servers[1] = await site.serve(site.addresses[1])
        await site.fleet.worker()
        go.touch()
        output = await task.result(timeout=SECONDS)
        async with asyncio.timeout(SECONDS):
            await asyncio.gather(*watches)
        late = [event async for event in second.tasks.watch(task.id)]

    assert output["attempt"] == 2
    for events in (*seen_by, late):
        places = [(event.gap.from_seq or event.seq, event.seq) for event in events]
        assert places[0][0] == 1
        assert all(before[1] < after[1] and after[0] <= before[1] + 1 for before, after in pairwise(places))
        assert events[-1].state.to_state == TaskState.TASK_STATE_SUCCEEDED
    assert numbers(seen_by[1])[-1] == numbers(late)[-1]


async def test_p01_a_submit_that_returned_survives_the_server_and_redis(site: Site, redis_url: str):
    await site.fleet.worker()
    async with site.client(0) as client:
        task = await client.tasks.submit("probe.echo", {"text": "still here"})
    site.servers[0].kill()
    async with Redis.from_url(redis_url) as redis:
        await redis.flushdb()
    async with site.client(1) as client:
        assert await client.tasks.result(task.id, timeout=SECONDS) == {"text": "still here"}


async def test_the_short_program_of_the_readme_sync_and_async(site: Site):
    await site.fleet.worker()
    program = """
import sys, weir
with weir.Client(sys.argv[1], user="admin", password=sys.argv[2]) as client:
    task = client.tasks.submit("probe.steps", {"count": 3})
    for event in task.watch():
        if event.HasField("progress"):
            print(f"{event.progress.done:.0f}/{event.progress.total:.0f}")
    print(task.result()["count"])
"""
    ran = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, site.addresses[0], PASSWORD, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(SECONDS):
        said, _ = await ran.communicate()
    assert ran.returncode == 0
    assert said.decode().split()[-2:] == ["3/3", "3"]
