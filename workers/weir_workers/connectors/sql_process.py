"""The child process of the connector `sql`, as its worker sees it."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import orjson

from weir_workers.child import clean_environment
from weir_workers.connectors import sql_frames as frames
from weir_workers.connectors.errors import SourceError

_START_SECONDS: Final = 30.0
_DRIVERS: Final = ("PG", "MYSQL", "MARIADB")
_BUFFER: Final = 1024 * 1024


class ChildBroke(Exception):
    """The child ended without a word: a library took it down, or it was killed."""


Frame = tuple[bytes, bytes]


@asynccontextmanager
async def frames_of(order: Mapping[str, Any], timeout: float) -> AsyncGenerator[AsyncGenerator[Frame]]:
    """Starts a child on what it is to do; gives its frames. The child is gone when the context ends."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "weir_workers.connectors.sql_child",
        str(os.getpid()),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        # A panic writes values of the source there.
        stderr=asyncio.subprocess.DEVNULL,
        env=_environment(),
        limit=_BUFFER,
    )
    try:
        yield _frames(child, orjson.dumps(order) + b"\n", timeout, str(order["place"]["host"]))
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(signal.SIGKILL)
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.close()
        # A pipe that was full closes only when it is empty.
        while await child.stdout.read(_BUFFER):
            pass
        await child.wait()


def _environment() -> dict[str, str]:
    """Nothing that drivers would sign in with by themselves: that is the worker's own."""
    kept = {name: value for name, value in clean_environment().items() if not name.startswith(_DRIVERS)}
    return kept | {"HOME": "/nonexistent"}


async def _frames(
    child: asyncio.subprocess.Process, order: bytes, timeout: float, host: str
) -> AsyncGenerator[Frame]:
    assert child.stdin is not None
    assert child.stdout is not None
    patience = _START_SECONDS + timeout
    try:
        child.stdin.write(order)
        async with asyncio.timeout(patience):
            await child.stdin.drain()
        while True:
            async with asyncio.timeout(patience):
                kind, length = frames.HEADER.unpack(await child.stdout.readexactly(frames.HEADER.size))
                if length > frames.LARGEST:
                    raise ChildBroke
                content = await child.stdout.readexactly(length)
            if kind == frames.DONE:
                return
            if kind == frames.FAILED:
                told = orjson.loads(content)
                raise SourceError(told[0], told[1], code=told[2], host=told[3])
            yield kind, content
            patience = timeout
    except (asyncio.IncompleteReadError, ConnectionError):
        raise ChildBroke from None
    except TimeoutError:
        raise SourceError(
            "DEPENDENCY", f"no rows came within {timeout:g} s", code="sql.timeout", host=host
        ) from None
