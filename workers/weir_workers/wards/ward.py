"""A program under a warden, as its worker sees it: started, kept going, killed with all that it started."""

import asyncio
import contextlib
import logging
import math
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Final, Literal

from weir_workers.wards import strays
from weir_workers.wards.warden import STATUS, TRUST

_log = logging.getLogger(__name__)

# How much longer than its lease a worker is trusted: one that lives comes first, and hands its tasks back.
_PATIENCE: Final = 3.0
_KILL_SECONDS: Final = 5.0


class Wards:
    """All programs of a worker. Fed from the thread of its lease, so that nothing can hold that up."""

    def __init__(self) -> None:
        self._trusted_until = math.inf
        self._controls: set[socket.socket] = set()
        self._turn = threading.Lock()

    def trust(self, lease_end: float) -> None:
        """The worker's lease holds until then, by the steady clock; 3 s later all programs are killed."""
        with self._turn:
            self._trusted_until = lease_end + _PATIENCE
            for control in self._controls:
                self._tell(control)

    def add(self, control: socket.socket) -> None:
        """Tell this one too, from now on."""
        with self._turn:
            self._controls.add(control)
            if self._trusted_until != math.inf:
                self._tell(control)

    def close(self, control: socket.socket) -> None:
        """Tell it nothing more: its warden ends."""
        with self._turn:
            self._controls.discard(control)
            control.close()

    def _tell(self, control: socket.socket) -> None:
        # A full buffer means a frozen warden.
        with contextlib.suppress(OSError):
            control.send(TRUST.pack(self._trusted_until))


class Ward:
    """One such program."""

    def __init__(
        self, wards: Wards, control: socket.socket, folder: Path, process: asyncio.subprocess.Process
    ) -> None:
        self._wards = wards
        self._control = control
        self.folder = folder
        self._process = process
        self._how = ""

    @classmethod
    async def start(
        cls,
        wards: Wards,
        end: socket.socket,
        module: str,
        *arguments: str,
        environment: dict[str, str],
        orphans: Literal["kill", "keep"] = "keep",
    ) -> "Ward":
        """Start `module` with the arguments DESCRIPTOR of `end`, PARENT and the given ones."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs, strays.hold_folder() as (folder, lock):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "weir_workers.wards.warden", str(theirs.fileno()), str(folder)),
                *(str(end.fileno()), orphans, module, *arguments),
                pass_fds=(theirs.fileno(), end.fileno(), lock),
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,
                env=environment,
            )
        wards.add(ours)
        return cls(wards, ours, folder, process)

    async def ended(self) -> str:
        """Wait until nothing of it is left; how the program ended."""
        code = await self._process.wait()
        if not self._how:
            how = self._told()
            if not how:
                how = f"its warden ended with status {code}"
                while not await asyncio.to_thread(strays.clear, self.folder):
                    _log.warning("killed, but not gone yet: something of %s", self.folder)
            self._wards.close(self._control)
            self._how = how
        return self._how

    async def kill(self) -> bool:
        """Kill it with all that it started; True once that is gone, False where it takes longer than 5 s."""
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ProcessLookupError):
            # Where somebody has stopped the warden, it goes on now.
            self._process.send_signal(signal.SIGCONT)
        try:
            async with asyncio.timeout(_KILL_SECONDS):
                await self.ended()
        except TimeoutError:
            _log.error("warden %d does not end: something below it can't be killed", self._process.pid)
            return False
        return True

    def _told(self) -> str:
        with contextlib.suppress(OSError):
            if len(status := self._control.recv(STATUS.size)) == STATUS.size:
                (code,) = STATUS.unpack(status)
                return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        return ""
