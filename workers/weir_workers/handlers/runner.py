"""The child process: runs the handlers of one pack, told over a pipe by its worker.

    worker → child   start, answer, cancel
    child → worker   hello, progress, log, ask, done

It ends when the pipe does, and dies with its worker.
"""

import asyncio
import signal
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from weir.task import Ask, Cancelled, Context, InputSecrets, Scratch, TaskDefinition, secret_references
from weir_workers import packs
from weir_workers.handlers.failures import describe, invalid_input
from weir_workers.handlers.outbox import Key, Outbox, TaskSink, system_line
from weir_workers.handlers.printing import clean_printed
from weir_workers.handlers.questions import SECRETS, Questions, masked
from weir_workers.handlers.results import STORED, handed_over, returned, too_large
from weir_workers.pipe import Pipe
from weir_workers.wards import processes, spawning


class Runner:
    """Runs tasks as they are started, each in an asyncio task of its own."""

    def __init__(
        self,
        pipe: Pipe,
        definitions: dict[str, TaskDefinition],
        resources: Any,
        sinks: dict[Key, TaskSink],
        *,
        connectors: list[dict[str, Any]],
    ) -> None:
        self._pipe = pipe
        self._definitions = definitions
        self._connectors = connectors
        self._resources = resources
        self._sinks = sinks
        self._outbox = Outbox(pipe)
        self._questions = Questions(pipe)
        self._running: dict[Key, asyncio.Task[None]] = {}
        self._folder = Path(tempfile.gettempdir())

    async def run(self) -> None:
        """Serve the worker until it is gone."""
        sending = asyncio.create_task(self._outbox.run())
        introductions = [packs.introduction(definition) for definition in self._definitions.values()]
        await self._pipe.send({"op": "hello", "tasks": introductions, "connectors": self._connectors})
        while (message := await self._pipe.receive()) is not None:
            key = message["id"], message["attempt"]
            match message["op"]:
                case "start":
                    self._running[key] = asyncio.create_task(self._run(key, message))
                case "answer":
                    self._questions.answered(message)
                case _ if key in self._running:
                    self._running[key].cancel()
                case _:
                    pass
        sending.cancel()

    async def _run(self, key: Key, message: dict[str, Any]) -> None:
        spawned = spawning.enter(processes.run_mark(*key))
        sink = self._sinks[key] = TaskSink(self._outbox, key)
        scratch = Scratch(self._folder / processes.run_mark(*key), message["file_bytes"])
        try:
            result = await self._outcome(message, sink, scratch, self._questions.of(key))
        finally:
            del self._running[key]
        if _is_there(scratch.folder):
            await asyncio.to_thread(processes.remove, scratch.folder)
        if spawned.any and (left := await asyncio.to_thread(spawned.end_all)):
            sink.log(system_line(f"killed what the handler left running: {', '.join(left)}"))
        # Where the worker is gone, nobody is left to tell, and this process ends with it.
        with suppress(OSError):
            await self._outbox.flush()
            await self._pipe.send({"op": "done", "id": key[0], "attempt": key[1], **result})
        del self._sinks[key]

    async def _outcome(
        self,
        message: dict[str, Any],
        sink: TaskSink,
        scratch: Scratch,
        ask: Callable[[Ask], Awaitable[Any]],
    ) -> dict[str, Any]:
        try:
            return await self._handled(message, sink, scratch, ask)
        except (asyncio.CancelledError, Cancelled):
            return {"cancelled": True}
        except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001 - all becomes the failure
            return {"failure": describe(error, sink.clean)}

    async def _handled(
        self,
        message: dict[str, Any],
        sink: TaskSink,
        scratch: Scratch,
        ask: Callable[[Ask], Awaitable[Any]],
    ) -> dict[str, Any]:
        definition = self._definitions[message["type"]]
        secrets = InputSecrets()
        if any(secret_references(message["input"])):
            secrets = masked(await ask(SECRETS), sink)
        try:
            given = definition.input_model.model_validate(secrets.fill(message["input"]))
        except ValidationError as error:
            return {"failure": invalid_input(error, sink.clean)}
        context = Context(
            message["id"],
            message["attempt"],
            message["project"],
            sink,
            self._resources,
            message["checkpoint"],
            secrets=secrets,
            scratch=scratch,
            ask=ask,
        )
        told = returned(definition, await definition.handler(given, context), secrets)
        if isinstance(told, dict):
            return told
        return await _store(told, message["result_bytes"], scratch.folder, ask)


def _is_there(folder: Path) -> bool:
    # Few runs have one: no thread is asked for the others.
    return folder.exists()


async def _store(
    text: bytes, most: int, folder: Path, ask: Callable[[Ask], Awaitable[Any]]
) -> dict[str, Any]:
    """Have the worker keep a large result."""
    if (refused := too_large(text, most)) is not None:
        return refused
    await ask(await asyncio.to_thread(handed_over, folder, text))
    return STORED


async def serve(pack: str, end: socket.socket) -> None:
    """Load a pack and run its tasks until the worker is gone."""
    pipe = await Pipe.open(end)
    sinks: dict[Key, TaskSink] = {}

    def clean(text: str) -> str:
        for sink in list(sinks.values()):
            text = sink.clean(text)
        return text

    # Before the pack is loaded: its loggers keep the streams that they find.
    clean_printed(clean)
    module = packs.load(pack)
    async with packs.resources(module) as resources:
        definitions, connectors = packs.definitions(module), packs.connectors(module)
        await Runner(pipe, definitions, resources, sinks, connectors=connectors).run()


def main() -> None:
    """Entry of the child: `python -m weir_workers.handlers.runner DESCRIPTOR PARENT PACK`."""
    descriptor, parent, pack = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    processes.die_with(parent)
    # A signal for the whole terminal goes to the worker, which tells its children what to do.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    spawning.install()
    with socket.socket(fileno=descriptor) as end:
        asyncio.run(serve(pack, end))


if __name__ == "__main__":
    main()
