"""Keeps one run of a `def` handler: hears what it says, stops it, and sees that nothing of it is left.

    worker → keeper   start, answer, cancel, kill
    keeper → worker   progress, log, ask, holdup, done

A fork of the nursery for each run, and the run is a fork of it in turn. It adopts every orphan of
the run, so that it can tell when the last of its processes has gone. Where the worker is gone, it kills
all and ends.
"""

import asyncio
import contextlib
import os
import signal
import socket
import tempfile
from pathlib import Path
from typing import Any, Final

import orjson

from weir.task import Masks
from weir_workers.handlers.outbox import Outbox, output_line, system_line
from weir_workers.pipe import LARGEST, Pipe
from weir_workers.runs.exits import Exit, failure, oom_kills
from weir_workers.runs.limits import Meter
from weir_workers.runs.lines import Lines
from weir_workers.runs.run import Loader, Place, run
from weir_workers.wards import processes

_CHUNK: Final = 65_536
# One more than the worker takes: with it, it says that the limit is reached.
_LINES: Final = 50_001
# A line that has begun and goes on no further is told as it stands.
_LINE_SECONDS: Final = 1.0
_LAST_WORDS_SECONDS: Final = 2.0
_HOLDUP_SECONDS: Final = 1.0


def keep(worker: socket.socket, start: dict[str, Any], load: Loader) -> None:
    """Do a run and keep it, to its end."""
    processes.adopt_orphans()
    processes.name_process("weir-keeper")
    processes.bear_mark(processes.RUN, processes.run_mark(start["id"], start["attempt"]))
    folder = Path(tempfile.gettempdir(), processes.run_mark(start["id"], start["attempt"]))
    folder.mkdir(mode=0o700, parents=True)
    outputs = [os.pipe(), os.pipe()]
    heard, reports = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    asked, questions = socket.socketpair()
    outcome = os.memfd_create("weir-outcome") if processes.LINUX else _nameless_file()
    place = Place(folder, outputs[0][1], outputs[1][1], reports, questions, outcome)
    me, kills = os.getpid(), oom_kills()
    child = os.fork()
    if child == 0:
        worker.close()
        heard.close()
        asked.close()
        for reading, _ in outputs:
            os.close(reading)
        run(start, place, me, load)
    reports.close()
    questions.close()
    for _, writing in outputs:
        os.close(writing)
    readings = [reading for reading, _ in outputs]
    keeper = Keeper(start, child, place, heard=heard, asked=asked, outputs=readings, kills=kills)
    # Never closed: the worker takes the end of the connection for the end of this process.
    os.dup(worker.fileno())
    asyncio.run(_attend(worker, keeper))


class Keeper:
    """What is kept of one run."""

    def __init__(
        self,
        start: dict[str, Any],
        child: int,
        place: Place,
        *,
        heard: socket.socket,
        asked: socket.socket,
        outputs: list[int],
        kills: int,
    ) -> None:
        self._key = start["id"], start["attempt"]
        self._child = child
        self._place = place
        self._heard = heard
        self._asked = asked
        self._outputs = dict(zip(outputs, (Lines(), Lines()), strict=True))
        self._errors = outputs[1]
        self._meter = Meter(start["memory"] or 0, start["cpu_time"] or 0)
        self._kills_before = kills
        self._masks = Masks()
        self._lines = 0
        self._stopped = False
        self._passed = ""
        self._ended: processes.Ended | None = None
        self._ending = asyncio.Event()
        self._all_gone = asyncio.Event()
        self._silent = asyncio.Event()

    async def keep(self, pipe: Pipe) -> None:
        """Until nothing of the run is left, and the worker knows how it ended."""
        self._outbox = Outbox(pipe)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCHLD, self._collect)
        loop.add_reader(self._heard, self._hear_reports)
        self._heard.setblocking(False)
        for descriptor in self._outputs:
            os.set_blocking(descriptor, False)
            loop.add_reader(descriptor, self._hear_output, descriptor)
        self._collect()
        questions = await Pipe.open(self._asked)
        beside = [
            self._hear_worker(pipe, questions),
            self._hear_questions(pipe, questions),
            self._outbox.run(),
            self._meter_run(),
            self._flush_begun(),
        ]
        tasks = [asyncio.create_task(each) for each in beside]
        await self._ending.wait()
        await self._clear(pipe)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                await self._silent.wait()
        self._hear_reports()
        self._flush()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        result = self._result()
        processes.remove(self._place.folder)
        with contextlib.suppress(OSError):
            await self._outbox.flush()
            await pipe.send({"op": "done", **result})
            await pipe.finish()

    async def _hear_questions(self, pipe: Pipe, questions: Pipe) -> None:
        # The run asks one thing at a time: its number tells nobody anything.
        while (asked := await questions.receive()) is not None:
            with contextlib.suppress(OSError):
                await pipe.send({"op": "ask", "ask": 0, "asked": asked})

    async def _hear_worker(self, pipe: Pipe, questions: Pipe) -> None:
        while (message := await pipe.receive()) is not None:
            if message["op"] == "answer":
                with contextlib.suppress(OSError):
                    await questions.send(message["answer"])
                continue
            self._stopped = True
            if message["op"] == "kill":
                self._ending.set()
            elif self._ended is None:
                self._signal()
        # Nobody is left to tell; what remains is to leave nothing behind.
        self._stopped = True
        self._ending.set()

    def _signal(self) -> None:
        """SIGTERM for the run's process group: what it waits for is told to end as well."""
        try:
            os.killpg(self._child, signal.SIGTERM)
        except OSError:
            with contextlib.suppress(OSError):
                os.kill(self._child, signal.SIGTERM)

    async def _clear(self, pipe: Pipe) -> None:
        """Kill what is there of the run, and wait until it is gone."""
        if self._all_gone.is_set():
            return
        me = os.getpid()
        if not self._stopped and not self._passed and (left := processes.alive(processes.descendants(me))):
            self._line(system_line(f"killed what the handler left running: {_names(left)}"))
        holdup = asyncio.create_task(self._tell_holdup(pipe))
        for pause in processes.pauses():
            if self._all_gone.is_set():
                break
            processes.kill(processes.descendants(me))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._all_gone.wait()
        holdup.cancel()

    async def _tell_holdup(self, pipe: Pipe) -> None:
        await asyncio.sleep(_HOLDUP_SECONDS)
        text = self._masks.clean(f"killed, but not gone yet: {_names(processes.descendants(os.getpid()))}")
        with contextlib.suppress(OSError):
            await pipe.send({"op": "holdup", "text": text})

    def _collect(self) -> None:
        ended, empty = processes.reap()
        for each in ended:
            if each.pid == self._child:
                self._ended = each
                self._ending.set()
        if empty:
            self._all_gone.set()

    async def _meter_run(self) -> None:
        meter = self._meter
        while meter.memory or meter.cpu_time:
            await asyncio.sleep(meter.pause)
            if (passed := meter.look()) and self._ended is None:
                self._passed = passed
                self._ending.set()
                return

    def _hear_reports(self) -> None:
        while True:
            try:
                report = orjson.loads(self._heard.recv(1 << 20))
            except BlockingIOError:
                return
            except ValueError:
                continue
            match report["op"]:
                case "mask":
                    self._masks.add(report["secret"])
                case "log":
                    self._line(report["body"])
                case _:
                    self._outbox.progress(self._key, self._masks.clean_progress(report["body"]))

    def _hear_output(self, descriptor: int) -> None:
        try:
            chunk = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return
        # What was to be masked before this was printed is known before it is told.
        self._hear_reports()
        lines = self._outputs[descriptor]
        if not chunk:
            self._tell(descriptor, lines.rest())
            asyncio.get_running_loop().remove_reader(descriptor)
            os.close(descriptor)
            del self._outputs[descriptor]
            if not self._outputs:
                self._silent.set()
        elif self._lines < _LINES:
            self._tell(descriptor, lines.feed(chunk))

    async def _flush_begun(self) -> None:
        waiting: set[int] = set()
        while True:
            await asyncio.sleep(_LINE_SECONDS)
            begun = {descriptor for descriptor, lines in self._outputs.items() if lines.begun}
            for descriptor in begun & waiting:
                self._tell(descriptor, self._outputs[descriptor].rest())
            waiting = begun - waiting

    def _flush(self) -> None:
        for descriptor, lines in self._outputs.items():
            self._tell(descriptor, lines.rest())

    def _tell(self, descriptor: int, lines: list[str]) -> None:
        for text in lines:
            self._line(output_line(text, error=descriptor == self._errors))

    def _line(self, body: dict[str, Any]) -> None:
        self._lines += 1
        if self._lines <= _LINES:
            self._outbox.line(self._key, self._masks.clean_line(body))

    def _result(self) -> dict[str, Any]:
        assert self._ended is not None
        with contextlib.suppress(ValueError):
            outcome = orjson.loads(os.pread(self._place.outcome, LARGEST, 0))
            if not self._passed and self._ended.status == 0:
                return outcome
        if self._stopped:
            return {"cancelled": True}
        return {"failure": failure(self._exit(self._ended))}

    def _exit(self, ended: processes.Ended) -> Exit:
        peak = ended.usage.ru_maxrss * (1024 if processes.LINUX else 1)
        return Exit(
            ended.status,
            limit=self._passed,
            oom=oom_kills() > self._kills_before,
            memory_limit=self._meter.memory,
            memory_peak=max(peak, self._meter.memory_peak),
            cpu_limit=self._meter.cpu_time,
        )


async def _attend(worker: socket.socket, keeper: Keeper) -> None:
    await keeper.keep(await Pipe.open(worker))


def _names(pids: list[int]) -> str:
    return ", ".join(map(processes.describe, pids[:20]))


def _nameless_file() -> int:
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
