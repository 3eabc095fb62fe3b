"""Where benchmarks run: services, a database, and Weir's processes, which end with this one."""

import asyncio
import base64
import json
import logging
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import grpc
import psutil
from pydantic import SecretStr
from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import create_async_engine

from tests.tools.daemons import free_port
from tests.tools.processes import die_with_parent, mark
from weir.v1 import user_service_pb2 as users
from weir_core.config import Settings
from weir_core.db import upgrade
from weir_core.ids import new_id
from weir_core.principals import Caller, Principal, PrincipalKind
from weir_core.runtime import Runtime
from weir_core.tasks.models import task
from weir_core.tasks.states import TaskState

ROOT = Path(__file__).parents[2]
PACK = "tests.bench.pack"
_PASSWORD = secrets.token_urlsafe(18)
SLOTS = 64
PER_PAGE = 1000
_SECONDS = 60
_END_SECONDS = 30


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    starts: int
    watchers: int
    watch_seconds: int
    streams: int
    rounds: int
    round_seconds: float
    drained: int
    finished: int
    tries: int
    """Of what is run whole: the best one counts."""
    records: int
    """Of a web API; a database has twice as many."""
    dlt: int
    """Records that dlt reads at most."""
    singles: int
    """Records that are read one a message."""
    rows: int

    @property
    def pages(self) -> int:
        """Pages of the web API."""
        return self.records // PER_PAGE

    def with_rows(self, rows: int) -> "Size":
        """The same with another number of tasks in the table, and of records of the web API."""
        return replace(self, rows=rows, records=max(PER_PAGE, rows))


FULL = Size(
    starts=300,
    watchers=1000,
    watch_seconds=30,
    streams=1000,
    rounds=7,
    round_seconds=3.0,
    drained=10_000,
    finished=100_000,
    tries=3,
    records=500_000,
    dlt=100_000,
    singles=10_000,
    rows=100_000,
)
QUICK = Size(
    starts=50,
    watchers=250,
    watch_seconds=5,
    streams=250,
    rounds=3,
    round_seconds=0.7,
    drained=1000,
    finished=5000,
    tries=1,
    records=50_000,
    dlt=10_000,
    singles=1000,
    rows=20_000,
)
TINY = Size(
    starts=3,
    watchers=5,
    watch_seconds=1,
    streams=10,
    rounds=1,
    round_seconds=0.1,
    drained=20,
    finished=20,
    tries=1,
    records=2000,
    dlt=0,
    singles=20,
    rows=1000,
)


class Program:
    """A process that ends with this one; its CPU time is what it and its children used."""

    def __init__(self, command: list[str], log: Path, environment: Mapping[str, str]) -> None:
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=os.environ | environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - nothing of ours runs in threads yet
            )
        self.pid = self._process.pid

    def said(self) -> str:
        """The next line that it prints; fails where it ended instead."""
        assert self._process.stdout
        line = self._process.stdout.readline().decode().strip()
        if not line:
            raise RuntimeError(
                f"{self._process.args!r} ended:\n{self._log.read_text(errors='replace')[-3000:]}"
            )
        return line

    @property
    def alive(self) -> bool:
        """True while it runs."""
        return self._process.poll() is None

    def tell(self, line: str) -> None:
        """Give it a line to read."""
        assert self._process.stdin
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def cpu(self) -> float:
        """Seconds of processor time so far, its children and those that have ended included."""
        return sum(sum(each.cpu_times()[:4]) for each in self._family())

    def memory(self) -> int:
        """Bytes that it holds in memory by itself."""
        return psutil.Process(self.pid).memory_info().rss

    def family_memory(self) -> int:
        """Bytes that it and its children hold in memory; what some share counts once."""
        held = 0
        for each in self._family():
            with suppress(psutil.NoSuchProcess):
                held += each.memory_full_info().pss
        return held

    def _family(self) -> list[psutil.Process]:
        process = psutil.Process(self.pid)
        return [process, *process.children(recursive=True)]

    def stop(self) -> None:
        """Ask it to end; kill it where it does not."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.terminate()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@dataclass
class Ground:
    """One Weir: a database, a Redis database, the parts of it in this process, and processes."""

    runtime: Runtime
    folder: Path
    environment: dict[str, str]
    caller: Caller
    stack: AsyncExitStack
    _server: "Server | None" = None
    _working: dict[str, Any] = field(default_factory=dict[str, Any])
    _working_stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    @asynccontextmanager
    async def server(self) -> AsyncGenerator["Server"]:
        """A fresh server process, while it is needed."""
        address = f"127.0.0.1:{free_port()}"
        program = self._weir("server", "--listen", address)
        try:
            yield Server(program, address, await _sign_in(program, address))
        finally:
            await asyncio.to_thread(program.stop)

    async def usual_server(self) -> "Server":
        """The server process that benchmarks share."""
        if self._server is None:
            self._server = await self.stack.enter_async_context(self.server())
        return self._server

    async def worker(self, slots: int, packs: str = f"builtin,{PACK}") -> Program:
        """A worker process with so many slots and a scheduler beside it, until `rest`."""
        asked = {"slots": slots, "packs": packs}
        if not asked.items() <= self._working.items():
            await self.rest()
            worker = await self._working_stack.enter_async_context(self._works(slots, packs))
            self._working = {**asked, "worker": worker}
        return self._working["worker"]

    async def rest(self) -> None:
        """End the worker, so that nothing runs what is submitted."""
        self._working.clear()
        await self._working_stack.aclose()

    @asynccontextmanager
    async def _works(self, slots: int, packs: str) -> AsyncGenerator[Program]:
        fleet = self.runtime.fleet
        before = {worker.id for worker in await fleet.active()}
        options = ("--packs", packs, "--slots", str(slots))
        programs = [self._weir("worker", *options), self._weir("scheduler")]
        try:
            async with asyncio.timeout(_SECONDS):
                while {worker.id for worker in await fleet.active()} <= before:
                    if not programs[0].alive:
                        programs[0].said()
                    await asyncio.sleep(0.05)
            yield programs[0]
        finally:
            await asyncio.gather(*(asyncio.to_thread(program.stop) for program in programs))

    async def tidy(self) -> None:
        """End what a benchmark left, lest it run in the next one."""
        ended = update(task).where(task.c.state.in_([1, 2, 3, 4])).values(state=int(TaskState.CANCELLED))
        await self.runtime.db.write(lambda tx: tx.execute(ended))
        await self.runtime.redis.flushdb()

    def _weir(self, *command: str) -> Program:
        program = str(Path(sys.executable).with_name("weir"))
        return Program([program, *command], self.folder / f"{command[0]}.log", self.environment)


@dataclass
class Server:
    """A running server, and an administrator's token for it."""

    program: Program
    address: str
    token: str

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What a call carries."""
        return (("authorization", f"Bearer {self.token}"),)


@dataclass
class Site:
    """The services, and what stands on them."""

    services: dict[str, str]
    folder: Path
    stack: AsyncExitStack
    _grounds: dict[str, Ground] = field(default_factory=dict[str, Ground])

    async def ground(self, kind: str = "mariadb") -> Ground:
        """The Weir on that database: `mariadb` or `sqlite`."""
        if kind not in self._grounds:
            self._grounds[kind] = await self._open(kind, len(self._grounds))
        return self._grounds[kind]

    @contextmanager
    def bare(self, *words: str) -> Generator[Program]:
        """The program of bare references, while it is needed; it says `ready …` first."""
        program = Program(
            [sys.executable, "-m", "tests.bench.bare", *words],
            self.folder / "bare.log",
            {"PYTHONPATH": str(ROOT)},
        )
        try:
            yield program
        finally:
            program.stop()

    async def _open(self, kind: str, number: int) -> Ground:
        folder = self.folder / kind
        folder.mkdir()
        redis_url = f"{self.services['redis']}?db={number}"
        database_url = await self._database(kind, folder)
        master_key = base64.b64encode(secrets.token_bytes(32)).decode()
        settings = Settings(
            database_url=SecretStr(database_url),
            redis_url=SecretStr(redis_url),
            master_key=SecretStr(master_key),
            data_dir=folder / "data",
        )
        runtime = await self.stack.enter_async_context(Runtime.open(settings))
        await runtime.people.users.bootstrap(_PASSWORD)
        environment = {
            "WEIR_DATABASE_URL": database_url,
            "WEIR_REDIS_URL": redis_url,
            "WEIR_MASTER_KEY": master_key,
            "WEIR_DATA_DIR": str(folder / "data"),
            "WEIR_ACCESS_TOKEN_LIFE": "12h",
            "WEIR_DRAIN_GRACE": "1s",
            "WEIR_SOURCE_ROOTS": str(self.folder),
            "PYTHONPATH": str(ROOT),
        }
        admin = Principal(PrincipalKind.PERSON, new_id(), "bench")
        ground = Ground(runtime, folder, environment, Caller(admin, {"*": frozenset({"*"})}), self.stack)
        self.stack.push_async_callback(ground.rest)
        return ground

    async def _database(self, kind: str, folder: Path) -> str:
        if kind == "sqlite":
            url = f"sqlite+aiosqlite:///{folder / 'weir.sqlite'}"
        else:
            url = self.services["mariadb"].format(name="weir_bench")
            admin = create_async_engine(self.services["mariadb_admin"].format(name="mysql"))
            async with admin.begin() as connection:
                await connection.execute(
                    text("CREATE DATABASE weir_bench CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
                )
            await admin.dispose()
        # MariaDB has no names for primary keys, and says so for each.
        logging.getLogger("asyncmy").setLevel(logging.ERROR)
        await upgrade(url)
        return url


@asynccontextmanager
async def open_site() -> AsyncGenerator[Site]:
    """Services that end with this process, whatever ends it."""
    running = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs yet
        [sys.executable, "-m", "tests.tools.services", "--durable"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert running.stdout
    try:
        told: dict[str, str] = json.loads(running.stdout.readline() or '{"missing": "no service started"}')
        if "missing" in told:
            raise SystemExit(told["missing"])
        folder = Path(told["folder"])
        os.environ.update(mark(folder))
        (folder / "bench").mkdir()
        async with AsyncExitStack() as stack:
            yield Site(told, folder / "bench", stack)
    finally:
        running.communicate()


async def _sign_in(program: Program, address: str) -> str:
    login: Any = users.LoginRequest(
        password=users.LoginRequest.Password(user_name="admin", password=_PASSWORD)
    )
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_unary(
            "/weir.v1.UserService/Login",
            request_serializer=users.LoginRequest.SerializeToString,
            response_deserializer=users.LoginResponse.FromString,
        )
        try:
            answer: users.LoginResponse = await call(login, wait_for_ready=True, timeout=_SECONDS)
        except grpc.aio.AioRpcError:
            if not program.alive:
                program.said()
            raise
    return answer.tokens.access_token
