"""MariaDB and Redis: of the run's own, which it may kill, freeze and start again, or lent to it."""

import asyncio
import signal
from pathlib import Path

from tests.tools.daemons import Daemon
from tests.tools.guard import ROOT
from tests.tools.mariadb import start_mariadb
from tests.tools.redis_server import start_redis

_CACHE = ROOT / ".cache"


class Service:
    """One of the two."""

    def __init__(self, kind: str, folder: Path, port: int = 0) -> None:
        self.kind = kind
        self.told: dict[str, str] = {}
        self._folder = folder
        self._port = port
        self._daemon: Daemon | None = None

    async def start(self) -> None:
        """Start it in its folder: MariaDB with what it had, Redis empty."""
        self._folder.mkdir(exist_ok=True)
        self._daemon, self.told = await asyncio.to_thread(self._start)

    def _start(self) -> tuple[Daemon, dict[str, str]]:
        if self.kind == "redis":
            return start_redis(self._folder, tied=False)
        scratch = _CACHE / f"partial-{self._folder.parent.name}"
        return start_mariadb(self._folder, _CACHE, scratch, durable=True, tied=False, port=self._port)

    async def kill(self) -> None:
        """kill -9, and see it gone."""
        if self._daemon is not None:
            self.signal(signal.SIGCONT)
            await asyncio.to_thread(self._daemon.stop)

    def signal(self, number: signal.Signals) -> None:
        """Freeze it with SIGSTOP, let it go on with SIGCONT."""
        assert self._daemon is not None
        self._daemon.process.send_signal(number)


class Lent(Service):
    """One that serves others too, and that no harm is done to."""

    def __init__(self, kind: str, told: dict[str, str]) -> None:
        super().__init__(kind, Path())
        self.told = told

    async def start(self) -> None:
        """Take it as it is."""

    async def kill(self) -> None:
        """Leave it as it is."""
