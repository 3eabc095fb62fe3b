"""A tap's process as its worker sees it: what it writes, what it says, how it ended, and its end."""

import asyncio
import contextlib
import os
import signal
import sys
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import orjson

from weir.task import Masks
from weir_workers.connectors.errors import SourceError
from weir_workers.runs.lines import Lines
from weir_workers.wards import processes

CHUNK: Final = 256 * 1024
_MOST_SAID: Final = 500
_GRACE_SECONDS: Final = 5.0
_KEPT: Final = ("LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "TMPDIR", processes.WARD)
_PROXIES: Final = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


@dataclass(frozen=True, slots=True)
class Program:
    """What is started; `{name}` in an argument is the path of the file with that name."""

    argv: Sequence[str]
    files: Mapping[str, str]
    memory: int
    masks: Masks


class Tap:
    """A tap that runs."""

    def __init__(self, process: asyncio.subprocess.Process, masks: Masks) -> None:
        self._process = process
        self._masks = masks
        self._said: deque[str] = deque(maxlen=_MOST_SAID)
        self.last_words = ""
        """What it said last, for a failure's message."""

    async def read(self) -> bytes:
        """What it has written next; nothing at its end."""
        assert self._process.stdout is not None
        return await self._process.stdout.read(CHUNK)

    def said(self) -> list[str]:
        """What it has said on standard error since it was asked last, secrets taken out."""
        said = list(self._said)
        self._said.clear()
        return said

    async def ended(self) -> int:
        """Its exit code, once it has ended; one that only closed its output is ended."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GRACE_SECONDS):
                return await self._process.wait()
        _signal(self._process, signal.SIGKILL)
        return await self._process.wait()

    async def listen(self) -> None:
        """Take what it says, until it says no more."""
        assert self._process.stderr is not None
        lines = Lines()
        while chunk := await self._process.stderr.read(CHUNK):
            self._hear(lines.feed(chunk))
        self._hear(lines.rest())

    def _hear(self, lines: list[str]) -> None:
        for line in lines:
            if text := self._masks.clean(line.rstrip()):
                self._said.append(text)
                self.last_words = text[:500]


@asynccontextmanager
async def running(program: Program) -> AsyncGenerator[Tap]:
    """Starts it; when the context ends, it and all of its process group are gone."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "weir_workers.connectors.tap_child",
        str(os.getpid()),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=_environment(program.argv[0]),
        limit=CHUNK,
        start_new_session=True,
    )
    tap = Tap(process, program.masks)
    listening = asyncio.create_task(tap.listen())
    order = {"argv": list(program.argv), "files": dict(program.files), "memory": program.memory}
    try:
        assert process.stdin is not None
        try:
            process.stdin.write(orjson.dumps(order) + b"\n")
            await process.stdin.drain()
        except ConnectionError:
            raise SourceError("DEPENDENCY", "the tap's process did not start", code="tap.start") from None
        process.stdin.close()
        yield tap
    finally:
        await _end(process, listening)


async def _end(process: asyncio.subprocess.Process, listening: asyncio.Task[None]) -> None:
    if process.returncode is None:
        _signal(process, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GRACE_SECONDS):
                await _emptied(process)
    processes.kill(processes.descendants(process.pid))
    _signal(process, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        # What hides from the group and holds the pipe is killed with the task, by its mark.
        async with asyncio.timeout(_GRACE_SECONDS):
            await _emptied(process)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def _emptied(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    # A pipe that was full closes only when it is empty.
    while await process.stdout.read(CHUNK):
        pass
    await process.wait()


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _environment(program: str) -> dict[str, str]:
    """Nothing of the worker's own: what it signs in with is not the tap's."""
    kept = {name: os.environ[name] for name in (*_KEPT, *_PROXIES) if name in os.environ}
    folder = os.path.dirname(program)  # noqa: PTH120 - a text is wanted
    path = f"{folder}:{os.environ.get('PATH', os.defpath)}"
    return {"PYTHONUNBUFFERED": "1", "HOME": kept.get("TMPDIR", "/nonexistent"), "PATH": path, **kept}
