"""What handlers ask their worker, on its way there and back: async in a child, blocking in a run."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Final

from weir.task import Answer, Ask, Cancelled, InputSecrets, Refused, Sink, TaskFailure
from weir_workers.handlers.outbox import Key
from weir_workers.pipe import Pipe, receive_from, send_to

SECRETS: Final[Ask] = {"what": "secrets"}
"""Asks for the secrets that the run's input refers to."""

# What one run may have asked and not been answered; more wait their turn.
_AT_ONCE: Final = 64


class Questions:
    """What the tasks of a child have asked, until each is answered."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._number = 0
        self._open: dict[int, asyncio.Future[Answer]] = {}

    def of(self, key: Key) -> Callable[[Ask], Awaitable[Any]]:
        """Asks in the name of one run."""
        turns = asyncio.Semaphore(_AT_ONCE)

        async def ask(asked: Ask) -> Any:
            async with turns:
                answer = await self._answer(key, asked)
            if "stopped" in answer:
                raise asyncio.CancelledError
            return _value(answer)

        return ask

    def answered(self, message: dict[str, Any]) -> None:
        """Take an answer; who no longer waits for it does not get it."""
        waiting = self._open.get(message["ask"])
        if waiting is not None and not waiting.done():
            waiting.set_result(message["answer"])

    async def _answer(self, key: Key, asked: Ask) -> Answer:
        self._number = number = self._number + 1
        self._open[number] = asyncio.get_running_loop().create_future()
        try:
            await self._pipe.send(
                {"op": "ask", "id": key[0], "attempt": key[1], "ask": number, "asked": asked}
            )
            return await self._open[number]
        finally:
            del self._open[number]


class BlockingQuestions:
    """What a run in a process of its own asks, one thing at a time: its threads take turns."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._turn = threading.Lock()
        self._torn = False

    def ask(self, asked: Ask) -> Any:
        """Ask and wait for the answer."""
        with self._turn:
            # A stop may have come in the middle of a message: what is read after it would be no answer.
            if self._torn:
                raise Cancelled
            self._torn = True
            try:
                send_to(self._end, asked)
                answer = receive_from(self._end)
            except OSError:
                # The keeper is gone, and this process is about to be.
                raise Cancelled from None
            self._torn = False
        if "stopped" in answer:
            raise Cancelled
        return _value(answer)


def masked(values: dict[str, str], sink: Sink) -> InputSecrets:
    """The secrets that were answered, once they are kept out of what the run tells."""
    secrets = InputSecrets(values)
    for value in secrets.masked:
        sink.mask(value)
    return secrets


def _value(answer: Answer) -> Any:
    if (refused := answer.get("refused")) is not None:
        raise Refused(refused["code"], refused["message"])
    if (failed := answer.get("failed")) is not None:
        raise TaskFailure(failed["kind"], failed["message"], code=failed["code"])
    return answer["value"]
