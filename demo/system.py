"""Weir as the demo sees it: `weir up` in a folder, and the worker among its processes."""

import json
import os
import secrets
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import weir
from demo.environment import clean_environment
from demo.processes import Program, below, wait_until_gone

_READY_SECONDS = 60.0
_GONE_SECONDS = 5.0


@dataclass(frozen=True)
class Settings:
    """What the demo sets differently from a usual installation, and says so."""

    segment_rows: int = 20_000
    lease_seconds: int = 5
    heartbeat_seconds: int = 1

    def variables(self) -> dict[str, str]:
        """As `weir up` reads them."""
        return {
            "WEIR_SEGMENT_ROWS": str(self.segment_rows),
            "WEIR_LEASE": f"PT{self.lease_seconds}S",
            "WEIR_HEARTBEAT": f"PT{self.heartbeat_seconds}S",
        }


class NoWorker(Exception):
    """No worker is seen among the processes of `weir up`."""


class System:
    """A whole Weir on this machine."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self._data = folder / "data"
        self._password = secrets.token_urlsafe(18)
        command = [str(Path(sys.executable).with_name("weir")), "up"]
        command += ["--data-dir", str(self._data), "--listen", "127.0.0.1:0"]
        environment = clean_environment(WEIR_ADMIN_PASSWORD=self._password, **settings.variables())
        self._program = Program(command, folder / "weir.log", environment)
        self.address = ""

    def wait(self) -> None:
        """Wait until it serves."""
        self.address = self._program.ready(_READY_SECONDS)

    def client(self) -> weir.Client:
        """A client that is signed in as the user `admin`."""
        return weir.Client(self.address, user="admin", password=self._password, client_name="demo")

    def kill_worker(self) -> tuple[int, bool]:
        """Kill the worker with signal 9; its process id, and whether all below it ended with it."""
        worker = self._worker()
        family = {worker} | {process.pid for process in below(worker)}
        os.kill(worker, signal.SIGKILL)
        return worker, wait_until_gone(family, _GONE_SECONDS)

    def stop(self) -> None:
        """End all of it."""
        self._program.stop()

    def _worker(self) -> int:
        """As `weir up` notes it for operators, anew whenever it starts one again."""
        pids: dict[str, int] = json.loads((self._data / "processes.json").read_text())
        if "worker" not in pids:
            raise NoWorker(f"no worker runs below `weir up` (process {self._program.pid})")
        return pids["worker"]
