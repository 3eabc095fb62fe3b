"""One run of a `def` handler, in the process that was forked for it."""

import asyncio
import contextlib
import faulthandler
import io
import os
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import orjson
from pydantic import ValidationError

from weir.task import (
    BlockingContext,
    Cancelled,
    InputSecrets,
    Masks,
    Scratch,
    TaskDefinition,
    secret_references,
)
from weir_workers.handlers.failures import describe, invalid_input
from weir_workers.handlers.questions import SECRETS, BlockingQuestions, masked
from weir_workers.handlers.results import STORED, handed_over, returned, too_large
from weir_workers.runs import limits
from weir_workers.runs.exits import Exit, memory_failure
from weir_workers.wards import processes

Loader = Callable[[], dict[str, TaskDefinition]]


@dataclass(frozen=True, slots=True)
class Place:
    """What a run has in the world: its folder, and where its output, reports, questions and outcome go."""

    folder: Path
    stdout: int
    stderr: int
    reports: socket.socket
    questions: socket.socket
    outcome: int


class ReportSink:
    """Sends reports to the keeper, a datagram each: several threads and forks may send at a time."""

    def __init__(self, reports: socket.socket) -> None:
        self._reports = reports
        self._masks = Masks()

    def progress(self, progress: dict[str, Any]) -> None:
        self._send({"op": "progress", "body": progress})

    def log(self, line: dict[str, Any]) -> None:
        self._send({"op": "log", "body": line})

    def mask(self, secret: str) -> None:
        self._masks.add(secret)
        self._send({"op": "mask", "secret": secret})

    def clean(self, text: str) -> str:
        return self._masks.clean(text)

    def _send(self, report: dict[str, Any]) -> None:
        try:
            self._reports.send(orjson.dumps(report))
        except OSError:
            # The keeper is gone, and this process is about to be.
            return


class Stop:
    """Turns SIGTERM into `Cancelled`, inside the handler and nowhere else."""

    def __init__(self) -> None:
        self._asked = False
        self._inside = False

    def __call__(self, number: int, frame: object) -> None:
        self._asked = True
        if self._inside:
            self._inside = False
            raise Cancelled

    def call(self, definition: TaskDefinition, given: Any, context: BlockingContext) -> Any:
        """Call the handler; raises Cancelled where a stop was asked for before it had returned."""
        self._inside = True
        if self._asked:
            raise Cancelled
        value = definition.handler(given, context)
        self._inside = False
        return value


def run(start: dict[str, Any], place: Place, keeper: int, load: Loader) -> NoReturn:
    """Do what the start message says, in this process; it ends with it."""
    me = os.getpid()
    try:
        stop = _settle(place, keeper)
        outcome = _outcome(start, load, place, stop)
        # A fork of the handler's that came back out of it has no say.
        if os.getpid() == me:
            os.pwrite(place.outcome, orjson.dumps(outcome), 0)
    except BaseException:  # noqa: BLE001 - the keeper takes it from the log and the exit code
        traceback.print_exc()
        os._exit(os.EX_SOFTWARE)
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        with contextlib.suppress(Exception):
            stream.flush()  # pyright: ignore[reportOptionalMemberAccess]
    # Nothing of the parent's is to run at exit, and no thread of the handler's is waited for.
    os._exit(0)


def _settle(place: Place, keeper: int) -> Stop:
    """Make this process the run's own: session, signals, streams, folder."""
    os.setsid()
    stop = Stop()
    for number in (signal.SIGCHLD, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, stop)
    processes.die_with(keeper)
    processes.name_process("weir-run")
    for source, target in ((place.stdout, 1), (place.stderr, 2)):
        os.dup2(source, target)
        os.close(source)
    for stream in (sys.__stdout__, sys.__stderr__):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)
    faulthandler.enable(2)
    os.chdir(place.folder)
    os.environ["TMPDIR"] = tempfile.tempdir = str(place.folder)
    limits.prefer_as_victim()
    limits.give_way()
    return stop


def _outcome(start: dict[str, Any], load: Loader, place: Place, stop: Stop) -> dict[str, Any]:
    sink = ReportSink(place.reports)
    try:
        definition = load()[start["type"]]
        questions = BlockingQuestions(place.questions)
        secrets = InputSecrets()
        if any(secret_references(start["input"])):
            secrets = masked(questions.ask(SECRETS), sink)
        scratch = Scratch(place.folder, start["file_bytes"])
        context = BlockingContext(
            start["id"],
            start["attempt"],
            start["project"],
            sink,
            last_checkpoint=start["checkpoint"],
            secrets=secrets,
            scratch=scratch,
            ask=questions.ask,
        )
        try:
            given = definition.input_model.model_validate(secrets.fill(start["input"]))
        except ValidationError as error:
            return {"failure": invalid_input(error, sink.clean)}
        _part_from_siblings()
        _limit(start)
        told = returned(definition, stop.call(definition, given, context), secrets)
        return told if isinstance(told, dict) else _store(told, start["result_bytes"], place, questions)
    except (Cancelled, asyncio.CancelledError):
        return {"cancelled": True}
    except MemoryError as error:
        return _out_of_memory(error, start, sink)
    except BaseException as error:  # noqa: BLE001 - whatever a handler raises becomes the failure
        return {"failure": describe(error, sink.clean)}


def _store(text: bytes, most: int, place: Place, questions: BlockingQuestions) -> dict[str, Any]:
    """Have the worker keep a large result."""
    if (refused := too_large(text, most)) is not None:
        return refused
    questions.ask(handed_over(place.folder, text))
    return STORED


def _limit(start: dict[str, Any]) -> None:
    if start["memory"]:
        limits.limit_memory(start["memory"])
    if start["cpu_time"]:
        limits.limit_cpu_time(start["cpu_time"])


def _out_of_memory(error: MemoryError, start: dict[str, Any], sink: ReportSink) -> dict[str, Any]:
    if not start["memory"]:
        return {"failure": describe(error, sink.clean)}
    limits.lift_memory_limit()
    told = memory_failure(Exit(0, limit="memory", memory_limit=start["memory"]), "MemoryError: the handler")
    return {
        "failure": describe(error, sink.clean) | {key: told[key] for key in ("message", "code", "detail")}
    }


def _part_from_siblings() -> None:
    """Numpy's generator, unlike Python's, would give every fork the same numbers."""
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed()
