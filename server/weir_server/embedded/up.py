"""One machine's Weir from start to end: what starts when, and what ends when.

Redis first (it takes milliseconds) and the migration where one is due; then the server, at the first start
with the workers side by side, since loading their code is what takes time; then what nobody waits for. Until
`ready` was said, a child that ends is the end of all; from then on it is started again.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from weir_server.embedded import redis
from weir_server.embedded.child import Child, Program
from weir_server.embedded.database import is_prepared
from weir_server.embedded.failures import UpFailed
from weir_server.embedded.folder import DataFolder, write_private
from weir_server.embedded.guarding import Guard

# Beyond the drain grace, for closing what is open.
_STOP_SECONDS: Final = 5.0
_MIGRATE_SECONDS: Final = 300.0
_LARGEST_PORT: Final = 65_535
# These name other servers than the ones that are started here.
_OURS: Final = ("WEIR_DATABASE_URL", "WEIR_REDIS_URL")


@dataclass(frozen=True, slots=True)
class Options:
    """What `weir up` was asked for."""

    data_dir: Path
    listen: str
    workers: int = 1
    worker_slots: int | None = None
    insecure: bool = False


class Up:
    """All processes of one installation."""

    def __init__(
        self, options: Options, *, tell: Callable[[str], None], ready: Callable[[str], None]
    ) -> None:
        self._options = options
        self._tell = tell
        self._ready = ready
        self._folder = DataFolder(options.data_dir)
        self._children: list[Child] = []
        self._keeping: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT; a second one ends all at once."""
        stop = _signals(self._kill)
        _check_environment()
        # What is kept is its owner's, also where the folder was there before and others may look into it.
        os.umask(0o077)
        self._folder.make()
        self._folder.hold()
        sockets = self._folder.socket_folder()
        guard = Guard(sockets)
        try:
            starting = asyncio.create_task(self._start(sockets, guard))
            await _first(starting, stop)
            if starting.done():
                starting.result()
                await _first(*self._keeping, stop)
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
        finally:
            await self._drain()
            guard.close()
            self._folder.processes.unlink(missing_ok=True)

    async def _start(self, sockets: Path, guard: Guard) -> None:
        listen = free_port(self._options.listen)
        environment = self._environment(listen, sockets)
        program = redis.find_program()
        made = {
            each.name: Child(each, self._folder.log / f"{each.name}.log", sockets, guard, self._tell)
            for each in self._programs(program.path, environment, sockets)
        }
        self._children = list(made.values())
        cache, scheduler = made.pop("redis"), made.pop("scheduler")
        await cache.start()
        is_first = not is_prepared(self._folder.database)
        await asyncio.gather(cache.first_ready(), self._prepare(environment, guard))
        # The first worker brings the task types, without which no task is taken; from then on they are known,
        # and a task waits for its worker: the server has the machine to itself until it serves.
        awaited = list(made.values()) if is_first else [made["server"]]
        for child in awaited:
            await child.start()
        self._note()
        await asyncio.gather(*(child.first_ready() for child in awaited))
        self._ready(listen)
        for child in (*(each for each in made.values() if each not in awaited), scheduler):
            await child.start()
        self._note()
        self._keeping = [asyncio.create_task(child.keep(self._note)) for child in self._children]

    def _programs(self, redis_program: str, environment: dict[str, str], sockets: Path) -> list[Program]:
        """In the order in which they are ended."""
        slots = self._options.worker_slots
        worker = _weir("worker", *(("--slots", str(slots)) if slots else ()))
        names = ["worker", *(f"worker-{number}" for number in range(2, self._options.workers + 1))]
        address = sockets / "redis.sock"
        plain = {name: value for name, value in environment.items() if not name.startswith("WEIR_")}
        return [
            Program("server", _weir("server"), environment),
            *(Program(name, worker, environment) for name in names),
            Program("scheduler", _weir("scheduler"), environment),
            Program("redis", redis.command(redis_program, address), plain, accepts=address),
        ]

    def _environment(self, listen: str, sockets: Path) -> dict[str, str]:
        environment = dict(os.environ)
        key = self._folder.master_key(environment)
        environment.pop("WEIR_ADMIN_PASSWORD", None)
        environment |= {
            "WEIR_DATABASE_URL": f"sqlite+aiosqlite:///{self._folder.database}",
            "WEIR_REDIS_URL": f"unix://{sockets / 'redis.sock'}",
            "WEIR_MASTER_KEY": key,
            "WEIR_DATA_DIR": str(self._folder.path),
            "WEIR_LISTEN": listen,
        }
        if self._options.insecure:
            environment["WEIR_INSECURE"] = "true"
        return environment

    async def _prepare(self, environment: dict[str, str], guard: Guard) -> None:
        """Migrate and make the first user, where that has not been done."""
        if is_prepared(self._folder.database):
            return
        password = self._folder.admin_password(os.environ)
        process = await asyncio.create_subprocess_exec(
            *_weir("db", "upgrade"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**environment, "WEIR_ADMIN_PASSWORD": password},
            start_new_session=True,
        )
        guard.add(process.pid)
        try:
            async with asyncio.timeout(_MIGRATE_SECONDS):
                said, _ = await process.communicate()
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            guard.remove(process.pid)
        if process.returncode:
            raise UpFailed(f"the database could not be prepared:\n{said.decode(errors='replace')[-2000:]}")
        if not os.environ.get("WEIR_ADMIN_PASSWORD"):
            self._tell(f"user admin was made; the password is in {self._folder.password_file}")

    def _note(self) -> None:
        """Leave the process ids where operators and tests find them."""
        pids = {"up": os.getpid()} | {child.name: child.pid for child in self._children if child.pid}
        write_private(self._folder.processes, json.dumps(pids))

    def _kill(self) -> None:
        for child in self._children:
            child.kill()

    async def _drain(self) -> None:
        """End the children in order, then what watches them."""
        seconds = _drain_grace() + _STOP_SECONDS
        for child in self._children:
            await child.stop(seconds)
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)
        for child in self._children:
            child.close()


def free_port(listen: str) -> str:
    """The address with a port that is free now: the one in it, or for 0 one of the system's choice."""
    host, colon, port = listen.rpartition(":")
    # Too large a port is wrapped in silence by who resolves it.
    if not colon or not port.isdecimal() or int(port) > _LARGEST_PORT or not host:
        raise UpFailed(f"--listen {listen!r} is no HOST:PORT, such as 127.0.0.1:7443")
    bare = host.strip("[]")
    try:
        family, kind, _, _, address = socket.getaddrinfo(bare, int(port), type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return f"{host}:{probe.getsockname()[1]}"
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise UpFailed(f"--listen {listen}: {why}; choose another, or port 0 for a free one") from None


def _check_environment() -> None:
    if given := [name for name in _OURS if os.environ.get(name)]:
        raise UpFailed(
            f"{' and '.join(given)} is set, but `weir up` brings a database and a Redis; "
            "unset it, or start server, worker and scheduler on yours (see docs/operate.md)"
        )
    if find_spec("weir_workers") is None:
        raise UpFailed("`weir up` starts workers, which are not installed: pip install weir-workers")


def _weir(*arguments: str) -> list[str]:
    return [sys.executable, "-P", "-m", "weir.cli", *arguments]


def _drain_grace() -> float:
    # Loaded here, where nobody waits for it.
    from weir_core.config import Settings

    try:
        return Settings().drain_grace.total_seconds()
    except ValueError:
        # A setting that can't be: the children have said so and ended.
        return 0.0


def _signals(second: Callable[[], None]) -> asyncio.Task[bool]:
    """Ends at the first signal; from the second on `second` is called."""
    asked = asyncio.Event()

    def heard() -> None:
        if asked.is_set():
            second()
        asked.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # Under nohup the terminal may go.
        if signal.getsignal(number) is not signal.SIG_IGN:
            asyncio.get_running_loop().add_signal_handler(number, heard)
    return asyncio.create_task(asked.wait())


async def _first(*tasks: asyncio.Task[None] | asyncio.Task[bool]) -> None:
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        if task.done():
            task.result()
