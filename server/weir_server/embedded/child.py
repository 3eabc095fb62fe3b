"""One child of `weir up`: started, known to be ready, started again when it dies, ended."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from weir_server.embedded.failures import UpFailed
from weir_server.embedded.log_pipe import LogPipe

_START_SECONDS: Final = 60.0
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 30.0
# Who lived this long starts again without a pause to speak of.
_STEADY_SECONDS: Final = 60.0
_TAIL_LINES: Final = 12


class Keeper(Protocol):
    """Is told of process groups that live and that have ended."""

    def add(self, pid: int) -> None: ...
    def remove(self, pid: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Program:
    """What to start; `accepts` is a socket it listens on, where it can't say itself that it is ready."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    accepts: Path | None = None


class Child:
    """A program that is kept running."""

    def __init__(
        self, program: Program, log: Path, sockets: Path, keeper: Keeper, tell: Callable[[str], None]
    ) -> None:
        self.name = program.name
        self.pid = 0
        self._program = program
        self._log_file = log
        self._log = LogPipe(log)
        self._keeper = keeper
        self._tell = tell
        self._notice = _Notice(sockets / f"{program.name}.ready")
        self._process: asyncio.subprocess.Process | None = None
        self._started = 0.0
        self._stopping = False

    async def start(self) -> None:
        """Start the program."""
        program = self._program
        if program.accepts is not None:
            program.accepts.unlink(missing_ok=True)
        process = await asyncio.create_subprocess_exec(
            *program.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=self._log.write_end,
            stderr=self._log.write_end,
            env={**program.environment, "NOTIFY_SOCKET": self._notice.address},
            start_new_session=True,
        )
        self._process, self.pid, self._started = process, process.pid, time.monotonic()
        self._keeper.add(process.pid)

    async def first_ready(self) -> None:
        """Wait until it is ready; UpFailed with its last words where it ends before."""
        told = self._notice.wait() if self._program.accepts is None else self._accepted()
        ready = asyncio.create_task(told)
        ended = asyncio.create_task(self._ended())
        try:
            await asyncio.wait((ready, ended), timeout=_START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if ready.done():
                return
            how = ended.result() if ended.done() else f"was not ready after {_START_SECONDS:g} s"
            last = "\n  ".join(self._log.last_lines(_TAIL_LINES)) or "(nothing)"
            raise UpFailed(f"{self.name} {how}; its last words, from {self._log_file}:\n  {last}")
        finally:
            ready.cancel()
            ended.cancel()

    async def keep(self, started: Callable[[], None]) -> None:
        """Start it again whenever it ends; the pause grows while it does not stay up."""
        pause = _FIRST_PAUSE
        while not self._stopping:
            how = await self._ended()
            if self._stopping:
                return
            if time.monotonic() - self._started > _STEADY_SECONDS:
                pause = _FIRST_PAUSE
            self._tell(f"{self.name} {how}; it starts again in {pause:.1f} s (log: {self._log_file})")
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)
            try:
                await self.start()
            except OSError as error:
                self._tell(f"{self.name} could not be started: {error}")
            else:
                started()

    async def stop(self, seconds: float) -> None:
        """Ask it to end; kill it with its process group where it does not in time."""
        self._stopping = True
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(seconds):
                await self._ended()
        except TimeoutError:
            self._tell(f"{self.name} did not end within {seconds:g} s and is killed")
        finally:
            self.kill()
        await self._ended()

    def kill(self) -> None:
        """Kill what is left of its process group."""
        if self._process is not None and self._process.returncode is None:
            with suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Free what belongs to this process."""
        self._notice.close()
        self._log.close()

    async def _ended(self) -> str:
        assert self._process
        code = await self._process.wait()
        if self.pid == self._process.pid:
            self.pid = 0
            self._keeper.remove(self._process.pid)
        return f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"

    async def _accepted(self) -> None:
        """Poll: a program of another house tells nobody when it listens."""
        while not _accepts(self._program.accepts):  # noqa: ASYNC110 - nothing signals it
            await asyncio.sleep(0.005)


class _Notice:
    """A socket at which a program says READY=1."""

    def __init__(self, path: Path) -> None:
        self.address = str(path)
        self._said = asyncio.Event()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(self.address)
        asyncio.get_running_loop().add_reader(self._socket, self._hear)

    async def wait(self) -> None:
        await self._said.wait()

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _hear(self) -> None:
        with suppress(OSError):
            if b"READY=1" in self._socket.recv(4096).split(b"\n"):
                self._said.set()


def _accepts(path: Path | None) -> bool:
    with suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
        probe.connect(str(path))
        return True
    return False
