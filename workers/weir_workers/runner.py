"""The child process: runs the handlers of one pack, told over a pipe by its worker.

    worker → child   start, cancel
    child → worker   hello, progress, log, done

It ends when the pipe does, and dies with its worker.
"""

import asyncio
import ctypes
import os
import signal
import socket
import sys
from collections import deque
from typing import Any, Final

import orjson
from pydantic import BaseModel, ValidationError

from weir.task import Context, TaskDefinition
from weir_workers import packs
from weir_workers.failures import describe, invalid_input
from weir_workers.pipe import Pipe

_LINES: Final = 10_000
_TOGETHER: Final = 100
_MAX_OUTPUT: Final = 1 << 20
_PR_SET_PDEATHSIG: Final = 1
_FLUSH_SECONDS: Final = 0.02


class Outbox:
    """What tasks report, on its way to the worker. Newest progress wins; at most 10,000 lines wait."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._progress: dict[str, dict[str, Any]] = {}
        self._lines: deque[dict[str, Any]] = deque()
        self._dropped = 0
        self._filled = asyncio.Event()

    def progress(self, key: str, message: dict[str, Any]) -> None:
        """Take progress; what still waits of that task is replaced."""
        self._progress[key] = message
        self._filled.set()

    def line(self, message: dict[str, Any]) -> None:
        """Take a log line; dropped and counted where too many wait."""
        if len(self._lines) < _LINES:
            self._lines.append(message)
        else:
            self._dropped += 1
        self._filled.set()

    async def run(self) -> None:
        """Send what comes; until cancelled."""
        while True:
            await self._filled.wait()
            self._filled.clear()
            await self.flush()
            await asyncio.sleep(_FLUSH_SECONDS)

    async def flush(self) -> None:
        """Send all that waits."""
        while self._lines:
            taken = [self._lines.popleft() for _ in range(min(len(self._lines), _TOGETHER))]
            await self._pipe.send_many(taken)
        if self._dropped:
            print(f"{self._dropped} log lines dropped: written faster than they are read", file=sys.stderr)  # noqa: T201
            self._dropped = 0
        if self._progress:
            newest, self._progress = list(self._progress.values()), {}
            await self._pipe.send_many(newest)


class _TaskSink:
    """Reports of one task, with its secrets taken out."""

    def __init__(self, outbox: Outbox, task_id: str, attempt: int) -> None:
        self._outbox = outbox
        self._task_id = task_id
        self._head = {"id": task_id, "attempt": attempt}
        self._secrets: list[str] = []

    def mask(self, secret: str) -> None:
        if secret:
            self._secrets.append(secret)

    def clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "[redacted]")
        return text

    def progress(self, progress: dict[str, Any]) -> None:
        body = progress | {"message": self.clean(progress["message"])}
        self._outbox.progress(self._task_id, {"op": "progress", **self._head, "body": body})

    def log(self, line: dict[str, Any]) -> None:
        fields = {key: self.clean(value) for key, value in line["fields"].items()}
        body = line | {"text": self.clean(line["text"]), "fields": fields}
        self._outbox.line({"op": "log", **self._head, "body": body})


class Runner:
    """Runs tasks as they are started, each in an asyncio task of its own."""

    def __init__(self, pipe: Pipe, definitions: dict[str, TaskDefinition], resources: Any) -> None:
        self._pipe = pipe
        self._definitions = definitions
        self._resources = resources
        self._outbox = Outbox(pipe)
        self._running: dict[tuple[str, int], asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Serve the worker until it is gone."""
        sending = asyncio.create_task(self._outbox.run())
        introductions = [packs.introduction(definition) for definition in self._definitions.values()]
        await self._pipe.send({"op": "hello", "tasks": introductions})
        while (message := await self._pipe.receive()) is not None:
            key = message["id"], message["attempt"]
            if message["op"] == "start":
                self._running[key] = asyncio.create_task(self._run(key, message))
            elif key in self._running:
                self._running[key].cancel()
        sending.cancel()

    async def _run(self, key: tuple[str, int], message: dict[str, Any]) -> None:
        sink = _TaskSink(self._outbox, *key)
        try:
            result = await self._outcome(message, sink)
        finally:
            del self._running[key]
        await self._outbox.flush()
        await self._pipe.send({"op": "done", "id": key[0], "attempt": key[1], **result})

    async def _outcome(self, message: dict[str, Any], sink: _TaskSink) -> dict[str, Any]:
        definition = self._definitions[message["type"]]
        context = Context(message["id"], message["attempt"], message["project"], sink, self._resources)
        try:
            given = definition.input_model.model_validate(message["input"])
        except ValidationError as error:
            return {"failure": invalid_input(error)}
        try:
            return _output(await definition.handler(given, context))
        except asyncio.CancelledError:
            return {"cancelled": True}
        except Exception as error:  # noqa: BLE001 - whatever a handler raises becomes the failure
            return {"failure": describe(error, sink.clean)}


def _output(value: BaseModel) -> dict[str, Any]:
    output = value.model_dump(mode="json")
    size = len(orjson.dumps(output))
    if size > _MAX_OUTPUT:
        message = f"the output is {size:,} bytes; at most {_MAX_OUTPUT:,} are kept"
        return {
            "failure": {
                "kind": "USER_ERROR",
                "message": message,
                "code": "output.size",
                "causes": [],
                "detail": {},
            }
        }
    return {"output": output}


async def serve(pack: str, end: socket.socket) -> None:
    """Load a pack and run its tasks until the worker is gone."""
    pipe = await Pipe.open(end)
    module = packs.load(pack)
    async with packs.resources(module) as resources:
        await Runner(pipe, packs.definitions(module), resources).run()


def main() -> None:
    """Entry of the child: `python -m weir_workers.runner PACK DESCRIPTOR PARENT`."""
    pack, descriptor, parent = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return
    # A signal for the whole terminal goes to the worker, which tells its children what to do.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with socket.socket(fileno=descriptor) as end:
        asyncio.run(serve(pack, end))


if __name__ == "__main__":
    main()
