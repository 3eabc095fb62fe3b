"""Run a handler in a test, without a server or a worker.

    from weir import testing
    from my_pack import page_length

    def test_counts_the_letters():
        ran = testing.run(page_length, {"url": "data:,hello"})
        assert ran.output.length == 5
        assert ran.progress[-1].done == 5
        assert [line.text for line in ran.log] == ["asked", "answered"]

Input and output pass through their models and through JSON, as they do on a worker.
What the handler raises is raised. A `def` handler runs in the test's own process: a
debugger reaches it, and its limits on memory and CPU do not hold. In a test that is
itself an `async def`, `await testing.run_async(…)`.
"""

import asyncio
import uuid
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pydantic import BaseModel

from weir.context import Context, Masks
from weir.task import TaskDefinition

_LEVELS: Final[dict[int, Literal["debug", "info", "warning", "error"]]] = {
    1: "debug",
    2: "info",
    3: "warning",
    4: "error",
}


@dataclass(frozen=True, slots=True)
class Progress:
    """One call of `ctx.progress`."""

    done: float
    total: float = 0
    unit: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of `ctx.log`, with what was masked taken out."""

    level: Literal["debug", "info", "warning", "error"]
    text: str
    fields: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Ran:
    """What a handler returned, and all that it reported on the way."""

    output: Any
    progress: list[Progress]
    log: list[Line]


def run(
    definition: TaskDefinition,
    given: BaseModel | dict[str, Any],
    *,
    attempt: int = 1,
    project: str = "default",
    resources: Any = None,
) -> Ran:
    """Run a handler to its end; raises what it raises, and ValidationError for an input that does not fit."""
    if not definition.is_async:
        recorder, value = _call(definition, given, attempt, project, resources)
        return recorder.ran(definition, value)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        again = run_async(definition, given, attempt=attempt, project=project, resources=resources)
        return asyncio.run(again)
    raise RuntimeError("an event loop is running already: `await weir.testing.run_async(…)` instead")


async def run_async(
    definition: TaskDefinition,
    given: BaseModel | dict[str, Any],
    *,
    attempt: int = 1,
    project: str = "default",
    resources: Any = None,
) -> Ran:
    """As `run`, in a test that is an `async def`; a `def` handler blocks its loop."""
    recorder, value = _call(definition, given, attempt, project, resources)
    return recorder.ran(definition, await value if definition.is_async else value)


class _Recorder:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self._masks = Masks()
        self._progress: list[Progress] = []
        self._log: list[Line] = []

    def progress(self, progress: dict[str, Any]) -> None:
        progress = progress | {"message": self._masks.clean(progress["message"])}
        self._progress.append(Progress(**progress))

    def log(self, line: dict[str, Any]) -> None:
        clean = self._masks.clean_line(line)
        self._log.append(Line(_LEVELS[clean["level"]], clean["text"], clean["fields"]))

    def mask(self, secret: str) -> None:
        self._masks.add(secret)

    def ran(self, definition: TaskDefinition, value: Any) -> Ran:
        model = definition.output_model
        if not isinstance(value, model):
            raise TypeError(
                f"the handler of {definition.name} returned {type(value).__name__}, not {model.__name__}"
            )
        # What JSON can't carry would fail on a worker too.
        value.model_dump_json()
        return Ran(value, self._progress, self._log)


def _call(
    definition: TaskDefinition,
    given: BaseModel | dict[str, Any],
    attempt: int,
    project: str,
    resources: Any,
) -> tuple[_Recorder, Any]:
    recorder = _Recorder()
    context = Context(str(uuid.uuid4()), attempt, project, recorder, resources)
    wire = given.model_dump(mode="json") if isinstance(given, BaseModel) else given
    return recorder, definition.handler(definition.input_model.model_validate(wire), context)
