"""Python environments of taps: one for each set of packages, made once and kept.

An environment is a folder named by the hash of what is in it. It is made under a
lock, and used under a shared one, so that none is removed while a tap runs from
it. The newest 20 are kept.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import shutil
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from contextvars import Context
from pathlib import Path
from typing import Final

from weir_core.config import Settings
from weir_workers.child import clean_environment
from weir_workers.connectors.errors import SourceError
from weir_workers.connectors.tap_settings import ProgramConnection, bare

_READY: Final = "ready"
_KEPT: Final = 20
_MAKE_SECONDS: Final = 600.0
_TURN_SECONDS: Final = 0.1
_SHOWN: Final = 1000
_PROGRAMS: Final = ("tap", "source")
"""How the names of their programs begin."""

_making: dict[Path, asyncio.Task[None]] = {}


@asynccontextmanager
async def program_of(connection: ProgramConnection) -> AsyncGenerator[str]:
    """The path of a tap's program; SourceError where the operator does not allow it, or it can't be had."""
    settings = Settings()
    if not connection.package:
        if connection.executable not in settings.taps:
            raise refused(f"the program {connection.executable!r}")
        yield connection.executable
        return
    packages = sorted({connection.package, *connection.more_packages})
    foreign = [one for one in packages if not _allowed(one, settings.taps)]
    if foreign:
        raise refused(f"the package {bare(foreign[0])!r}")
    place = _root(settings) / _key(packages)
    lock = await _made(place, packages)
    try:
        program = place / "bin" / connection.program
        if not program.is_file():
            found = (one.name for one in (place / "bin").iterdir() if one.name.startswith(_PROGRAMS))
            there = ", ".join(sorted(found)) or "none"
            raise SourceError(
                "INVALID_INPUT",
                f"{connection.package} has no program {program.name!r}; set `executable`, there are: {there}",
                code="tap.executable",
            )
        yield str(program)
    finally:
        os.close(lock)


def _allowed(requirement: str, taps: Sequence[str]) -> bool:
    return "*" in taps or requirement in taps or bare(requirement) in taps


def refused(what: str) -> SourceError:
    """The operator does not allow it."""
    return SourceError(
        "INVALID_INPUT",
        f"{what} may not be run here; an operator names taps in WEIR_TAPS",
        code="tap.refused",
    )


def _root(settings: Settings) -> Path:
    base = (
        settings.tap_folder or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "weir/taps"
    )
    base.mkdir(parents=True, exist_ok=True, mode=0o700)
    return base


def _key(packages: Sequence[str]) -> str:
    text = "\n".join([sys.version, sys.prefix, *packages])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


async def _made(place: Path, packages: Sequence[str]) -> int:
    """The environment's lock, shared; it is made first where it is not there."""
    while True:
        lock = await _locked(place, fcntl.LOCK_SH)
        if (place / _READY).exists():
            os.utime(place / _READY)
            return lock
        os.close(lock)
        making = _making.get(place)
        if making is None:
            # In a context of its own: who asked first may go away, and what it started with it.
            making = asyncio.create_task(_make(place, packages), context=Context())
            _making[place] = making
            making.add_done_callback(lambda _: _making.pop(place, None))
        await asyncio.shield(making)


async def _make(place: Path, packages: Sequence[str]) -> None:
    lock = await _locked(place, fcntl.LOCK_EX)
    try:
        if (place / _READY).exists():
            return
        await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)
        uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}")
        python = str(place / "bin/python")
        steps = (
            (
                [uv, "venv", "-q", "--python", sys.executable, place],
                [uv, "pip", "install", "-q", "--python", python],
            )
            if uv
            else ([sys.executable, "-m", "venv", place], [python, "-m", "pip", "install", "-q", "--no-input"])
        )
        async with asyncio.timeout(_MAKE_SECONDS):
            await _run([str(one) for one in steps[0]], packages)
            await _run([*map(str, steps[1]), *packages], packages)
        (place / _READY).touch()
        await asyncio.to_thread(_forget, place)
    except TimeoutError:
        raise SourceError(
            "DEPENDENCY",
            f"{', '.join(packages)}: not installed within {_MAKE_SECONDS:g} s",
            code="tap.install",
        ) from None
    finally:
        os.close(lock)


async def _run(command: Sequence[str], packages: Sequence[str]) -> None:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=clean_environment(),
    )
    try:
        _, said = await process.communicate()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode:
        text = said.decode(errors="replace").strip()[-_SHOWN:]
        raise SourceError(
            "DEPENDENCY", f"{', '.join(packages)} can't be installed: {text}", code="tap.install"
        )


async def _locked(place: Path, kind: int) -> int:
    """A lock on the environment; waits for it without a thread."""
    lock = os.open(place.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        async with asyncio.timeout(_MAKE_SECONDS):
            while True:
                try:
                    fcntl.flock(lock, kind | fcntl.LOCK_NB)
                except BlockingIOError:
                    await asyncio.sleep(_TURN_SECONDS)
                else:
                    return lock
    except BaseException:
        os.close(lock)
        raise


def _forget(kept: Path) -> None:
    """Remove the environments that were used longest ago, where none runs from them."""
    marks = sorted(kept.parent.glob(f"*/{_READY}"), key=lambda mark: mark.stat().st_mtime, reverse=True)
    for mark in marks[_KEPT:]:
        with contextlib.suppress(OSError):
            lock = os.open(mark.parent.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                mark.unlink()
                shutil.rmtree(mark.parent, ignore_errors=True)
            finally:
                os.close(lock)
