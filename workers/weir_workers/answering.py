"""Answers what running tasks ask for, however long the database is away."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any, Final
from uuid import UUID

from weir.task import Answer, Ask
from weir_core.errors import Conflict, DependencyDown, InvalidArgument, WeirError
from weir_core.files.service import FileService
from weir_core.tasks.asking import Asking, NewChild
from weir_core.tasks.errors import Fenced
from weir_core.tasks.models import Task
from weir_core.tasks.states import TERMINAL, Priority
from weir_workers.taking import Declined, Giver, Taking, hand_out

_log = logging.getLogger(__name__)

_PAUSE: Final = 1.0
_LOOK_SECONDS: Final = 0.2


class Answering:
    """Does what is asked for, once it may be done."""

    def __init__(self, asking: Asking, files: FileService) -> None:
        self._asking = asking
        self._files = files
        self._children: defaultdict[UUID, asyncio.Event] = defaultdict(asyncio.Event)
        self._waiting = asyncio.Event()

    async def answer(self, asker: Giver, asked: Ask) -> Answer:
        """What the handler is told."""
        task, work = asker.task, self._work(asker, asked)
        while True:
            try:
                return {"value": await work()}
            except Fenced:
                return {"stopped": True}
            except (DependencyDown, Conflict) as error:
                _log.info("task %s waits for its %s: %s", task.id, asked["what"], error)
                await asyncio.sleep(_PAUSE)
            except Declined as error:
                return {"failed": {"kind": error.kind, "code": error.code, "message": error.message}}
            except WeirError as error:
                return {"refused": {"code": error.reason, "message": error.message}}
            except Exception:  # noqa: BLE001 - without an answer the handler would wait for ever
                _log.exception("task %s: its %s failed", task.id, asked["what"])
                message = f"{asked['what']} failed; the worker's log says why"
                return {"refused": {"code": "INTERNAL", "message": message}}

    async def run(self) -> None:
        """Look for the ends of children that are waited for; until cancelled."""
        while True:
            await self._waiting.wait()
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                for child_id in await self._asking.gone_or_ended(self._children):
                    self._children.pop(child_id).set()
            except WeirError as error:
                _log.info("it is not known which children have ended: %s", error)
            if not self._children:
                self._waiting.clear()

    def _work(self, asker: Giver, asked: Ask) -> Callable[[], Awaitable[Any]]:
        """Does it; once more where it did not come about."""
        task = asker.task
        match asked["what"]:
            case "checkpoint":
                return lambda: self._asking.checkpoint(task, asked["value"])
            case "submit":
                return lambda: self._submit(task, asked)
            case "secrets":
                return lambda: self._secrets(task)
            case "artifact":
                return Taking(self._files, asker, asked).artifact
            case "result":
                return Taking(self._files, asker, asked).result
            case _:
                return lambda: self._end(asker, UUID(asked["task_id"]))

    async def _secrets(self, task: Task) -> dict[str, str]:
        try:
            return await self._asking.secrets(task)
        except InvalidArgument as error:
            raise Declined("INVALID_INPUT", "secret.missing", error.message) from None

    async def _submit(self, task: Task, asked: Ask) -> str:
        return str(await self._asking.submit(task, _child(asked)))

    async def _end(self, asker: Giver, child_id: UUID) -> dict[str, Any]:
        while (child := await self._asking.child(asker.task, child_id)).state not in TERMINAL:
            ended = self._children[child_id]
            self._waiting.set()
            await ended.wait()
        message = child.failure.message if child.failure else ""
        end = {"state": child.state.name, "output": child.output, "message": message}
        if child.output_file_id is None:
            return end
        return end | {"handed": await hand_out(self._files, child.output_file_id, asker.folder)}


def _child(asked: Ask) -> NewChild:
    priority = asked.get("priority")
    if priority is not None and priority not in Priority.__members__:
        raise InvalidArgument.at("priority", f"must be LOW, NORMAL or HIGH, not {priority!r}")
    return NewChild(
        key=asked["key"],
        type=asked["type"],
        input=asked["input"],
        queue=asked.get("queue", ""),
        priority=None if priority is None else Priority[priority],
        labels=asked.get("labels", {}),
    )
