"""One process of Weir: started, known to be ready, killed, frozen, and started again."""

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tests.tools.guard import ROOT

WEIR = Path(sys.executable).with_name("weir")
_READY_SECONDS = 60.0
_STOP_SECONDS = 30.0
_WORKER = re.compile(r"worker ([0-9a-f-]{36}) serves")


class NotReady(Exception):
    """A program ended, or did not say that it is ready; the message has its last words."""


class Program:
    """A `weir` command under a name of its own; all its lives write to one log file."""

    def __init__(self, name: str, command: list[str], environment: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.command = command
        self.environment = dict(environment)
        self.log = folder / f"{name}.log"
        self.starts = 0
        self._process: asyncio.subprocess.Process | None = None

    @property
    def process(self) -> asyncio.subprocess.Process:
        """Its present life."""
        assert self._process is not None
        return self._process

    @property
    def lives(self) -> bool:
        """True until it has ended."""
        return self._process is not None and self._process.returncode is None

    async def start(self, **variables: str) -> None:
        """Start it, and wait until it says that it is ready; `variables` are for this life only."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as told:
            told.bind("")
            address = "@" + told.getsockname()[1:].decode()
            with self.log.open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    WEIR,
                    *self.command,
                    cwd=ROOT,
                    env=os.environ | self.environment | variables | {"NOTIFY_SOCKET": address},
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            self.starts += 1
            await self._ready(told)

    async def _ready(self, told: socket.socket) -> None:
        ready = asyncio.ensure_future(asyncio.get_running_loop().sock_recv(told, 64))
        ended = asyncio.create_task(self.process.wait())
        try:
            await asyncio.wait((ready, ended), timeout=_READY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            done = ready.done()
            for waiting in (ready, ended):
                waiting.cancel()
        # One that a failpoint killed at once was ready for what it was to do.
        if not done and self.process.returncode != -signal.SIGKILL:
            raise NotReady(f"{self.name} did not start:\n{self.tail()}")

    def worker_id(self) -> str:
        """The id under which a worker holds its tasks now."""
        found = _WORKER.findall(self.log.read_text(errors="replace"))
        return found[-1] if found else ""

    def tail(self, characters: int = 3000) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-characters:]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process itself, not to its children."""
        with suppress(ProcessLookupError):
            self.process.send_signal(number)

    async def kill(self) -> None:
        """kill -9, and see it gone."""
        self.signal(signal.SIGKILL)
        await self.process.wait()

    async def stop(self) -> None:
        """SIGTERM; its exit code must be 0 in good time."""
        if not self.lives:
            return
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                code = await self.process.wait()
        except TimeoutError:
            # Its threads' stacks go to the log.
            self.signal(signal.SIGABRT)
            await self.process.wait()
            raise NotReady(
                f"{self.name} did not stop within {_STOP_SECONDS:g} s:\n{self.tail(8000)}"
            ) from None
        if code:
            raise NotReady(f"{self.name} ended with {code} when told to stop:\n{self.tail()}")
