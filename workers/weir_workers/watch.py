"""What a warden does once its program has started: wait for a reason to end it, then leave nothing of it."""

import contextlib
import math
import os
import select
import signal
import socket
import struct
import time
from pathlib import Path
from typing import Final

from weir_workers import processes

TRUST: Final = struct.Struct("!d")
STATUS: Final = struct.Struct("!i")

_LOOK_SECONDS: Final = 1.0


def watch(control: int, program: int, folder: str, *, kills_strays: bool) -> None:
    """Until nothing is left of the program; then tell the worker how it ended."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    processes.adopt_orphans()
    processes.name_process(processes.WARDEN)
    with socket.socket(fileno=control) as worker:
        warden = Warden(worker, program, kills_strays=kills_strays)
        warden.watch()
        status = warden.clear()
        processes.remove(Path(folder))
        with contextlib.suppress(OSError):
            worker.send(STATUS.pack(os.waitstatus_to_exitcode(status)))


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
        for pid, status, _ in ended:
            if pid == self._program:
                self._status = status
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
