"""A small process that outlives its worker, to leave nothing of a program behind.

    python -m weir_workers.wards.warden CONTROL FOLDER DESCRIPTOR STRAYS MODULE ARGUMENT…

It starts the program as its child, and adopts what the program leaves orphaned. When the program
ends, or the worker does (CONTROL closes), or the worker was not heard of until the time it gave last
(so a frozen one counts as dead), it kills all that is below it, removes the folder that was everyone's
TMPDIR, and ends. With STRAYS `kill`, an orphan is killed at once.

    worker → warden   the time by the machine's steady clock until which to trust it, 8 bytes
    warden → worker   at the end: how the program ended, 4 bytes

It was given a lock on the folder, and the folder's path is a mark in the environment of all below: should
it be killed itself, `strays` finds what is left.
"""

import contextlib
import math
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from weir_workers.wards import processes

TRUST: Final = struct.Struct("!d")
STATUS: Final = struct.Struct("!i")

_LOOK_SECONDS: Final = 1.0


class Warden:
    """Waits for the first reason to end what it holds."""

    def __init__(self, control: socket.socket, program: int, *, kills_strays: bool) -> None:
        self._control = control
        self._program = program
        self._kills_strays = kills_strays
        self._trusted_until = math.inf
        self._status = 0
        self._empty = False

    def watch(self) -> None:
        """Until the program or the worker has ended, or the worker's time is over."""
        woken, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        while self._collect() and time.monotonic() < self._trusted_until:
            ready, _, _ = select.select([self._control, woken], [], [], self._pause())
            if woken in ready:
                os.read(woken, 4096)
            if self._control in ready and not self._hear():
                return

    def clear(self) -> int:
        """Kill all below, until there is nothing; how the program ended."""
        for pause in processes.pauses():
            self._collect()
            if self._empty:
                return self._status
            processes.kill(processes.descendants(os.getpid()))
            time.sleep(pause)
        return self._status

    def _collect(self) -> bool:
        """Collect who has ended; False where the program was among them."""
        ended, self._empty = processes.reap()
        for each in ended:
            if each.pid == self._program:
                self._status = each.status
                self._program = 0
        if self._kills_strays and self._program:
            self._kill_strays()
        return self._program != 0

    def _kill_strays(self) -> None:
        for stray in processes.children():
            if stray != self._program:
                processes.kill([*processes.descendants(stray), stray])

    def _hear(self) -> bool:
        """Read how long the worker is to be trusted; False where it is gone."""
        try:
            told = self._control.recv(4096)
        except OSError:
            return False
        if len(told) >= TRUST.size:
            (self._trusted_until,) = TRUST.unpack(told[-TRUST.size :])
        return bool(told)

    def _pause(self) -> float | None:
        left = self._trusted_until - time.monotonic()
        if self._kills_strays:
            left = min(left, _LOOK_SECONDS)
        return None if left == math.inf else max(0.0, left)


def main() -> None:
    """Entry of the warden."""
    control, place, descriptor, strays, module, *arguments = sys.argv[1:]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    processes.adopt_orphans()
    processes.name_process(processes.WARDEN)
    with socket.socket(fileno=int(control)) as worker:
        folder = Path(place)
        program = _start(folder, int(descriptor), module, arguments)
        warden = Warden(worker, program, kills_strays=strays == "kill")
        warden.watch()
        status = warden.clear()
        processes.remove(folder)
        with contextlib.suppress(OSError):
            worker.send(STATUS.pack(os.waitstatus_to_exitcode(status)))


def _start(folder: Path, descriptor: int, module: str, arguments: list[str]) -> int:
    told = (str(descriptor), str(os.getpid()), *arguments)
    environment = os.environ | {processes.WARD: str(folder), "TMPDIR": str(folder)}
    started = subprocess.Popen(  # noqa: S603 - a program of Weir's own
        [sys.executable, "-m", module, *told],
        pass_fds=(descriptor,),
        stdin=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
    )
    os.close(descriptor)
    # It is collected by the warden's own hand.
    started.returncode = 0
    return started.pid


if __name__ == "__main__":
    main()
