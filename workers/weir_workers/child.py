"""A child process as its worker sees it: start, talk, kill."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator
from typing import Any, Final

from weir_workers.packs import BUILTIN
from weir_workers.pipe import Pipe

_HELLO_SECONDS: Final = 30.0
# What a pack of one's own has no business with.
_HIDDEN: Final = ("WEIR_DATABASE_URL", "WEIR_REDIS_URL", "WEIR_MASTER_KEY", "WEIR_ADMIN_PASSWORD")


class ChildGone(Exception):
    """The child has ended, or did not come up."""


class Child:
    """One running child."""

    def __init__(self, pack: str, process: asyncio.subprocess.Process, pipe: Pipe) -> None:
        self.pack = pack
        self._process = process
        self._pipe = pipe
        self.tasks: list[dict[str, Any]] = []
        self.gone = False

    @classmethod
    async def start(cls, pack: str) -> "Child":
        """Start a child and wait for its introduction."""
        ours, theirs = socket.socketpair()
        with theirs:
            arguments = ("-m", "weir_workers.runner", pack, str(theirs.fileno()), str(os.getpid()))
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *arguments,
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,
                env=_environment(pack),
            )
        child = cls(pack, process, await Pipe.open(ours))
        try:
            await child._introduce()
        except BaseException:
            await child.kill()
            raise
        return child

    async def _introduce(self) -> None:
        try:
            async with asyncio.timeout(_HELLO_SECONDS):
                hello = await self._pipe.receive()
        except TimeoutError:
            hello = None
        if hello is None:
            raise ChildGone(f"pack {self.pack!r} did not start; its error stands above")
        self.tasks = hello["tasks"]

    async def send(self, message: dict[str, Any]) -> None:
        """Send a message; ChildGone where nobody takes it."""
        if self.gone:
            raise ChildGone(f"pack {self.pack!r}: its process has ended")
        try:
            await self._pipe.send(message)
        except OSError as error:
            raise ChildGone(f"pack {self.pack!r}: {error}") from error

    async def messages(self) -> AsyncGenerator[dict[str, Any]]:
        """What the child says, until it is gone."""
        while (message := await self._pipe.receive()) is not None:
            yield message
        self.gone = True

    async def ended(self) -> str:
        """Wait for the child's end; how it ended."""
        code = await self._process.wait()
        return f"killed by signal {-code}" if code < 0 else f"exit code {code}"

    async def kill(self) -> None:
        """Kill the child with its process group, and see it gone."""
        self.gone = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        self._pipe.close()


async def start_all(packs: list[str]) -> list[Child]:
    """A child for each pack; ChildGone, and no child left, where one does not come up."""
    children: list[Child] = []
    try:
        for pack in packs:
            children += [await Child.start(pack)]
    except BaseException:
        for child in children:
            await child.kill()
        raise
    return children


def _environment(pack: str) -> dict[str, str]:
    if pack == BUILTIN:
        return dict(os.environ)
    return {name: value for name, value in os.environ.items() if name not in _HIDDEN}
