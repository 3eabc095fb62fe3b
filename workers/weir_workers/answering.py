"""Answers what running tasks ask for, however long the database is away."""

import asyncio
import logging
from collections import defaultdict
from typing import Any, Final
from uuid import UUID

from weir.task import Answer, Ask
from weir_core.errors import Conflict, DependencyDown, InvalidArgument, WeirError
from weir_core.tasks.asking import Asking, NewChild
from weir_core.tasks.errors import Fenced
from weir_core.tasks.models import Task
from weir_core.tasks.states import TERMINAL, Priority

_log = logging.getLogger(__name__)

_PAUSE: Final = 1.0
_LOOK_SECONDS: Final = 0.2


class Answering:
    """Does what is asked for, once it may be done."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._children: defaultdict[UUID, asyncio.Event] = defaultdict(asyncio.Event)
        self._waiting = asyncio.Event()

    async def answer(self, task: Task, asked: Ask) -> Answer:
        """What the handler is told."""
        while True:
            try:
                return {"value": await self._done(task, asked)}
            except Fenced:
                return {"stopped": True}
            except (DependencyDown, Conflict) as error:
                _log.info("task %s waits for its %s: %s", task.id, asked["what"], error)
                await asyncio.sleep(_PAUSE)
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

    async def _done(self, task: Task, asked: Ask) -> Any:
        match asked["what"]:
            case "checkpoint":
                return await self._asking.checkpoint(task, asked["value"])
            case "submit":
                return str(await self._asking.submit(task, _child(asked)))
            case _:
                return await self._end(task, UUID(asked["task_id"]))

    async def _end(self, task: Task, child_id: UUID) -> dict[str, Any]:
        while (child := await self._asking.child(task, child_id)).state not in TERMINAL:
            ended = self._children[child_id]
            self._waiting.set()
            await ended.wait()
        message = child.failure.message if child.failure else ""
        return {"state": child.state.name, "output": child.output, "message": message}


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
