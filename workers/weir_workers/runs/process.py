"""Runs of `def` handlers as their worker sees them: nurseries kept up, and a process for each run."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from weir_workers.child import Child, ChildGone, clean_environment
from weir_workers.pipe import Pipe
from weir_workers.runs.nursery import READY
from weir_workers.wards import processes
from weir_workers.wards.ward import Ward, Wards

_log = logging.getLogger(__name__)

_READY_SECONDS: Final = 30.0
_ANSWER_SECONDS: Final = 2.0
_RESTART_PAUSE: Final = 1.0
_TURN_SECONDS: Final = 0.005
_LOOK_SECONDS: Final = 2.0


class Process:
    """One run of a `def` handler, with the keeper that watches over it."""

    def __init__(self, pack: str, pipe: Pipe, folder: Path) -> None:
        self.pack = pack
        self._pipe = pipe
        self._folder = folder
        self._answered = asyncio.Event()

    async def send(self, message: dict[str, Any]) -> None:
        """Send a message; ChildGone where nobody takes it."""
        try:
            await self._pipe.send(message)
        except OSError as error:
            raise ChildGone(f"a process of pack {self.pack!r}: {error}") from error

    def folder_of(self, task_id: UUID, attempt: int) -> Path:
        """Where its files lie that it hands over; it does one run only."""
        return self._folder

    async def messages(self) -> AsyncGenerator[dict[str, Any]]:
        """What its keeper says, how the run ended last; then nothing of it is left, the keeper included."""
        done = None
        while (message := await self._pipe.receive()) is not None:
            if message["op"] == "done":
                done = message
                continue
            if message["op"] == "holdup":
                self._answered.set()
            yield message
        if done is None:
            await self._clear()
        self._answered.set()
        self._pipe.close()
        if done is not None:
            yield done

    async def kill(self) -> bool:
        """Have it killed with all that it started, and tell it; `messages` ends when that is gone."""
        with contextlib.suppress(ChildGone):
            await self.send({"op": "kill"})
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self._answered.wait()
        except TimeoutError:
            _log.warning("a keeper of pack %s does not answer, and is killed with its run", self.pack)
            await self._clear()
        return True

    async def _clear(self) -> None:
        """Do what the keeper would have done; orphans that hide are the warden's."""

        def find() -> list[int]:
            return [*processes.marked(processes.RUN, self._folder.name), *processes.within(self._folder)]

        while not await asyncio.to_thread(processes.kill_until_gone, find, _LOOK_SECONDS):
            _log.warning("killed, but not gone yet: something of run %s", self._folder.name)
        await asyncio.to_thread(processes.remove, self._folder)


class Nursery:
    """The nursery of one pack."""

    def __init__(self, pack: str, ward: Ward, control: socket.socket) -> None:
        self.pack = pack
        self._ward = ward
        self._control = control

    @classmethod
    async def start(cls, pack: str, wards: Wards) -> "Nursery":
        """Start it, and wait until the pack is loaded; ChildGone where it does not come up."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        environment = clean_environment() | {processes.RUN: processes.run_mark(str(UUID(int=0)), 0)}
        with theirs:
            program = "weir_workers.runs.nursery"
            ward = await Ward.start(wards, theirs, program, pack, environment=environment, orphans="kill")
        nursery = cls(pack, ward, ours)
        try:
            await nursery._ready()
        except BaseException:
            await nursery.kill()
            raise
        return nursery

    async def fork(self, start: dict[str, Any]) -> Process:
        """Start a run; ChildGone where the nursery is gone."""
        ours, theirs = socket.socketpair()
        with theirs:
            await self._hand_over(theirs)
        folder = self._ward.folder / processes.run_mark(start["id"], start["attempt"])
        process = Process(self.pack, await Pipe.open(ours), folder)
        await process.send(start)
        return process

    async def ended(self) -> str:
        """Wait until nothing of it is left; how it ended."""
        return await self._ward.ended()

    async def kill(self) -> None:
        """Kill it with all runs that it has forked."""
        await self._ward.kill()
        self._control.close()

    async def _ready(self) -> None:
        told = b""
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(_READY_SECONDS):
                told = await asyncio.get_running_loop().sock_recv(self._control, 1)
        if told != READY:
            raise ChildGone(f"pack {self.pack!r} did not start its nursery; its error stands above")

    async def _hand_over(self, end: socket.socket) -> None:
        while True:
            try:
                socket.send_fds(self._control, [b"f"], [end.fileno()])
            except BlockingIOError:
                # It forks as fast as it can.
                await asyncio.sleep(_TURN_SECONDS)
            except OSError as error:
                raise ChildGone(f"the nursery of pack {self.pack!r}: {error}") from error
            else:
                return


class Nurseries:
    """The nurseries of a worker: one for each pack that has `def` handlers, started again when it ends."""

    def __init__(self, wards: Wards) -> None:
        self._wards = wards
        self._limits: dict[str, dict[str, Any]] = {}
        self._packs: dict[str, str] = {}
        self._up: dict[str, Nursery] = {}
        self._changed = asyncio.Event()

    async def add(self, child: Child) -> None:
        """Start the nursery of a child's pack, where it has `def` handlers; ChildGone."""
        plain = [task for task in child.tasks if not task["is_async"]]
        for task in plain:
            self._packs[task["name"]] = child.pack
            self._limits[task["name"]] = {key: task[key] for key in ("memory", "cpu_time")}
        if plain:
            self._up[child.pack] = await Nursery.start(child.pack, self._wards)

    def serve(self, task_type: str) -> bool:
        """True for the type of a `def` handler."""
        return task_type in self._packs

    async def fork(self, start: dict[str, Any]) -> Process:
        """Start a run; ChildGone where its nursery is down."""
        nursery = self._up.get(self._packs[start["type"]])
        if nursery is None:
            raise ChildGone("its nursery is being restarted")
        return await nursery.fork(start | self._limits[start["type"]])

    async def all_up(self) -> None:
        """Wait while one is down."""
        while len(self._up) < len(set(self._packs.values())):
            self._changed.clear()
            await self._changed.wait()

    async def keep_up(self) -> None:
        """Start again what ends; until cancelled."""
        async with asyncio.TaskGroup() as group:
            for nursery in list(self._up.values()):
                group.create_task(self._keep_up(nursery))

    async def kill(self) -> None:
        """End all, with their runs."""
        await asyncio.gather(*(nursery.kill() for nursery in self._up.values()))

    async def _keep_up(self, nursery: Nursery) -> None:
        while True:
            _log.warning("pack %s: its nursery ended: %s", nursery.pack, await nursery.ended())
            self._up.pop(nursery.pack, None)
            await nursery.kill()
            nursery = await self._replace(nursery.pack)

    async def _replace(self, pack: str) -> Nursery:
        while True:
            await asyncio.sleep(_RESTART_PAUSE)
            try:
                nursery = await Nursery.start(pack, self._wards)
            except ChildGone as error:
                _log.error("%s", error)
                continue
            self._up[pack] = nursery
            self._changed.set()
            return nursery
