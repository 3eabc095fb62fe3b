"""Redis is killed and comes back, on TCP as in production: nothing that runs notices."""

import asyncio
import socket
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.workers import SECONDS, Fleet
from tests.tools.daemons import Daemon, start
from weir_core.system.health import Health, PartState
from weir_core.tasks.states import TaskState
from weir_server.embedded.redis import find_program

# What is tried is the way to Redis.
pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


@dataclass
class OwnRedis:
    """A Redis on a port of its own, empty at each start."""

    folder: Path
    port: int
    daemon: Daemon | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        address = self.folder / "redis.sock"
        address.unlink(missing_ok=True)
        flags = ("--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", str(address), "--save", "")
        command = [find_program().path, *flags, "--dir", str(self.folder)]
        self.daemon = start(command, self.folder / "redis.log", address)

    def kill(self) -> None:
        assert self.daemon is not None
        self.daemon.stop()


@pytest.fixture
def own_redis(tmp_path: Path) -> Generator[OwnRedis]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        redis = OwnRedis(tmp_path, probe.getsockname()[1])
    redis.start()
    yield redis
    redis.kill()


@pytest.fixture
def redis_url(own_redis: OwnRedis) -> str:
    return own_redis.url


async def redis_state(fleet: Fleet) -> Any:
    runtime = fleet.engine.runtime
    health = Health(runtime.db, runtime.redis, runtime.store, runtime.settings.data_dir)
    await health.probe()
    return health.parts["redis"].state


async def test_p01_what_runs_goes_on_and_what_is_submitted_meanwhile_runs_later(
    fleet: Fleet, own_redis: OwnRedis, tmp_path: Path
):
    worker = await fleet.worker()
    go = tmp_path / "go"
    running = await fleet.submit("probe.until", {"path": str(go)})
    await fleet.until(running, TaskState.RUNNING)
    [before] = await fleet.engine.runtime.fleet.active()
    for _ in range(3):
        own_redis.kill()
        assert await redis_state(fleet) is PartState.DOWN
        meanwhile = await fleet.submit("probe.echo", {"text": "later"})
        own_redis.start()
        await fleet.until(meanwhile, TaskState.SUCCEEDED)
    go.touch()
    async with asyncio.timeout(SECONDS):
        ended = await fleet.until(running, TaskState.SUCCEEDED)
    assert ended.attempt == 1
    assert worker.poll() is None
    assert [each.id for each in await fleet.engine.runtime.fleet.active()] == [before.id]
