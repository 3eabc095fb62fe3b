"""A whole Weir for one run: servers, workers and schedulers, each a process of its own, and services."""

import asyncio
import base64
import os
import random
import socket
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

import weir
from tests.faults.books import Left
from tests.faults.history import History
from tests.faults.programs import Program
from tests.faults.services import Lent, Service
from tests.tools.guard import ROOT
from tests.tools.processes import descendants, mark, marked
from weir_core.config import Settings
from weir_core.db import upgrade
from weir_core.runtime import Runtime
from weir_core.tasks import repository

PACK = "tests.faults.probes"
PASSWORD = "correct horse battery"
_DATABASE = "weir_faults"
_DROP = f"DROP DATABASE IF EXISTS {_DATABASE}"
_CREATE = f"CREATE DATABASE {_DATABASE} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
_OPEN = (
    "SELECT trx_mysql_thread_id, TIMESTAMPDIFF(SECOND, trx_started, NOW()) FROM information_schema.innodb_trx"
)
_PORTS = range(20_000, 30_000)


@dataclass(frozen=True, slots=True)
class Pace:
    """The times that decide how soon something is found out, in seconds."""

    lease: float
    heartbeat: float
    sweep: float


REAL = Pace(15, 5, 1)
SHORT = Pace(3, 1, 0.2)


@dataclass(frozen=True, slots=True)
class Size:
    """How many of each process there are."""

    servers: int = 2
    workers: int = 3
    schedulers: int = 2
    slots: int = 16


class Site:
    """Its processes, and two clients at each server's door."""

    def __init__(
        self, folder: Path, pace: Pace, size: Size, chance: random.Random, lent: dict[str, str] | None
    ) -> None:
        self.folder = folder
        self.pace = pace
        self.size = size
        self.chance = chance
        self.history = History(folder / "history.jsonl")
        self.database = Lent("mariadb", lent) if lent else Service("mariadb", folder / "mariadb")
        self.redis = Lent("redis", lent) if lent else Service("redis", folder / "redis")
        self.ledger = folder / "ledger"
        self.servers: list[Program] = []
        self.workers: list[Program] = []
        self.schedulers: list[Program] = []
        self.addresses: list[str] = []
        self.doors: list[str] = []
        """Where clients knock: the addresses of servers, or what stands before these."""
        self.detours: dict[str, dict[str, str]] = {}
        """Variables of the processes of a command that reach the services by a way of their own."""
        self.clients: list[weir.AsyncClient] = []
        self.environment: dict[str, str] = {}
        self.runtime: Runtime

    @property
    def programs(self) -> list[Program]:
        """All processes of Weir."""
        return [*self.servers, *self.workers, *self.schedulers]

    def program(self, command: str, number: int, *arguments: str, **variables: str) -> Program:
        """A process that is not started yet."""
        environment = self.environment | self.detours.get(command, {}) | variables
        return Program(f"{command}-{number}", [command, *arguments], environment, self.folder)

    def worker(self, number: int, **variables: str) -> Program:
        """A worker that is not started yet."""
        return self.program("worker", number, **variables)

    async def prepare(self, variables: Mapping[str, str]) -> Settings:
        """Start the services, bring the database up to date, and name the settings of all processes."""
        await asyncio.gather(self.database.start(), self.redis.start())
        url = self.database.told["mariadb"].format(name=_DATABASE)
        async with _admin(self.database) as admin:
            await admin.execute(text(_DROP))
            await admin.execute(text(_CREATE))
        await upgrade(url)
        values = {
            "database_url": url,
            "redis_url": self.redis.told["redis"],
            "master_key": base64.b64encode(self.chance.randbytes(32)).decode(),
            "data_dir": str(self.folder / "data"),
            "lease": f"{self.pace.lease}s",
            "heartbeat": f"{self.pace.heartbeat}s",
            "sweep": f"{self.pace.sweep}s",
            "drain_grace": "5s",
            "slots": str(self.size.slots),
        }
        self.environment = {f"WEIR_{name.upper()}": value for name, value in values.items()}
        self.environment |= mark(self.folder) | {
            "WEIR_FAULTS_LEDGER": str(self.ledger),
            "WEIR_PACKS": PACK,
            "PYTHONPATH": str(ROOT),
            "PYTHONFAULTHANDLER": "1",
            **variables,
        }
        self.addresses = [f"127.0.0.1:{free_port(self.chance)}" for _ in range(self.size.servers)]
        self.doors = list(self.addresses)
        given: dict[str, Any] = dict(values)
        return Settings(**given)

    async def start(self) -> None:
        """Start all processes; a server takes no call before it can be kept."""
        size = self.size
        self.servers = [
            self.program("server", number, "--listen", address)
            for number, address in enumerate(self.addresses)
        ]
        self.workers = [self.worker(number) for number in range(size.workers)]
        self.schedulers = [self.program("scheduler", number) for number in range(size.schedulers)]
        await asyncio.gather(*(program.start() for program in self.programs))

    async def unended(self) -> int:
        """How many tasks have not ended."""
        async with self.runtime.db.read() as tx:
            return sum((await repository.count_unended(tx)).values())

    async def quiet(self, seconds: float) -> bool:
        """Wait until every task has ended; False where that takes longer."""
        try:
            async with asyncio.timeout(seconds):
                while await self.unended():
                    await asyncio.sleep(0.2)
        except TimeoutError:
            return False
        return True

    async def left(self) -> list[Left]:
        """Open transactions, and processes of this run that belong to no living program."""
        async with _admin(self.database) as admin:
            rows = (await admin.execute(text(_OPEN))).all()
        return self._strays() + [
            Left(f"open transaction of connection {number}", age) for number, age in rows
        ]

    def _strays(self) -> list[Left]:
        known = {program.process.pid for program in self.programs if program.lives}
        family = set(known)
        for pid in known:
            family |= descendants(pid)
        return [Left(f"process {pid} {_command(pid)}", 0.0) for pid in marked(self.folder) - family]


@asynccontextmanager
async def opened(
    folder: Path,
    pace: Pace,
    seed: int,
    size: Size | None = None,
    *,
    variables: Mapping[str, str] | None = None,
    lent: dict[str, str] | None = None,
    detour: Callable[[Site], AbstractAsyncContextManager[None]] = nullcontext,
) -> AsyncGenerator[Site]:
    """A running site; at the end every process must stop when it is told to.

    `lent` has the URLs of services that are there; without it, it has its own.
    `detour` puts something between processes, before they start.
    """
    site = Site(folder, pace, size or Size(), random.Random(seed), lent)
    settings = await site.prepare(variables or {})
    async with AsyncExitStack() as stack:
        stack.push_async_callback(site.redis.kill)
        stack.push_async_callback(site.database.kill)
        await stack.enter_async_context(detour(site))
        site.runtime = await stack.enter_async_context(Runtime.open(settings))
        await site.runtime.people.users.bootstrap(PASSWORD)
        stack.push_async_callback(_kill_all, site)
        await site.start()
        for address in site.doors:
            client = weir.AsyncClient(address, user="admin", password=PASSWORD)
            site.clients.append(await stack.enter_async_context(client))
        yield site
        await asyncio.gather(*(program.stop() for program in site.programs))


def free_port(chance: random.Random) -> int:
    """A port outside of the range that the kernel gives away, so that it is still free after a restart."""
    while True:
        port = chance.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


async def _kill_all(site: Site) -> None:
    for program in site.programs:
        if program.lives:
            await program.kill()


@asynccontextmanager
async def _admin(database: Service) -> AsyncGenerator[AsyncConnection]:
    engine = create_async_engine(database.told["mariadb_admin"].format(name="mysql"), poolclass=NullPool)
    async with engine.begin() as connection:
        yield connection
    await engine.dispose()


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()[-80:]
    except OSError:
        return os.strerror(3)
