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

What an earlier attempt kept is given as `checkpoint`, and how children end as
`children`, by their keys: an output, or a text for one that fails.

    ran = testing.run(site_length, {"pages": ["a"]}, children={"a": {"length": 5}})
    assert [child.type for child in ran.children] == ["page.length"]

Artifacts are kept with their content: `ran.artifacts[0].content`.

An input may refer to secrets; their values are given as `secrets`, and are kept out of all that is told:

    given = {"url": "data:,hello", "token": {"$secret": "shop/token"}}
    ran = testing.run(page_length, given, secrets={"shop/token": "s3cret"})
"""

import asyncio
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from weir.asks import Ask
from weir.context import BlockingContext, Context
from weir.scratch import Scratch
from weir.secrets import InputSecrets, Masks, references
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
    """One line of `ctx.log`, with secrets and what was masked taken out."""

    level: Literal["debug", "info", "warning", "error"]
    text: str
    fields: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Submitted:
    """One child that was made with `ctx.submit`."""

    type: str
    key: str
    input: dict[str, Any]
    queue: str = ""
    priority: str = ""
    labels: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file that was kept with `ctx.artifact`."""

    name: str
    media_type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ran:
    """What a handler returned, and all that it reported on the way."""

    output: Any
    progress: list[Progress]
    log: list[Line]
    checkpoints: list[Any]
    """As JSON, the one kept last at the end."""
    children: list[Submitted]
    artifacts: list[Artifact] = field(default_factory=list[Artifact])


def run(
    definition: TaskDefinition,
    given: BaseModel | dict[str, Any],
    *,
    attempt: int = 1,
    project: str = "default",
    resources: Any = None,
    checkpoint: Any = None,
    children: Mapping[str, dict[str, Any] | str] | None = None,
    secrets: Mapping[str, str] | None = None,
) -> Ran:
    """Run a handler to its end; raises what it raises, and ValidationError for an input that does not fit."""
    about = attempt, project, resources, checkpoint
    if definition.is_async and _in_event_loop():
        raise RuntimeError("an event loop is running already: `await weir.testing.run_async(…)` instead")
    with tempfile.TemporaryDirectory() as folder:
        recorder = _Recorder(children or {}, Scratch(Path(folder)), InputSecrets(secrets))
        value = _call(definition, given, recorder, about)
        return recorder.ran(definition, asyncio.run(value) if definition.is_async else value)


async def run_async(
    definition: TaskDefinition,
    given: BaseModel | dict[str, Any],
    *,
    attempt: int = 1,
    project: str = "default",
    resources: Any = None,
    checkpoint: Any = None,
    children: Mapping[str, dict[str, Any] | str] | None = None,
    secrets: Mapping[str, str] | None = None,
) -> Ran:
    """As `run`, in a test that is an `async def`; a `def` handler blocks its loop."""
    about = attempt, project, resources, checkpoint
    with tempfile.TemporaryDirectory() as folder:
        recorder = _Recorder(children or {}, Scratch(Path(folder)), InputSecrets(secrets))
        value = _call(definition, given, recorder, about)
        return recorder.ran(definition, await value if definition.is_async else value)


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class _Recorder:
    """Keeps everything that is reported, and answers what is asked."""

    def __init__(
        self, ends: Mapping[str, dict[str, Any] | str], scratch: Scratch, secrets: InputSecrets
    ) -> None:
        self.scratch = scratch
        self.secrets = secrets
        self._ends = ends
        self._artifacts: list[Artifact] = []
        self._masks = Masks()
        for value in secrets.masked:
            self._masks.add(value)
        self._checkpoints: list[Any] = []
        self._children: list[Submitted] = []
        self._progress: list[Progress] = []
        self._log: list[Line] = []

    def progress(self, progress: dict[str, Any]) -> None:
        self._progress.append(Progress(**self._masks.clean_progress(progress)))

    def log(self, line: dict[str, Any]) -> None:
        clean = self._masks.clean_line(line)
        self._log.append(Line(_LEVELS[clean["level"]], clean["text"], clean["fields"]))

    def mask(self, secret: str) -> None:
        self._masks.add(secret)

    def clean(self, text: str) -> str:
        return self._masks.clean(text)

    def answer(self, asked: Ask) -> Any:
        """What a worker would, at once."""
        match asked["what"]:
            case "checkpoint":
                self._checkpoints.append(asked["value"])
                return None
            case "submit":
                child = Submitted(**{key: value for key, value in asked.items() if key != "what"})
                if all(child.key != known.key for known in self._children):
                    self._children.append(child)
                return child.key
            case "artifact":
                content = (self.scratch.folder / asked["handed"]).read_bytes()
                self._artifacts.append(Artifact(asked["name"], asked["media_type"], content))
                return {"id": str(uuid.uuid4())}
            case _:
                return self._end(asked["task_id"])

    def _end(self, key: str) -> dict[str, Any]:
        if key not in self._ends:
            raise LookupError(f"the test does not say how child {key!r} ends: give it in `children`")
        end = self._ends[key]
        if isinstance(end, str):
            return {"state": "FAILED", "output": None, "message": end}
        return {"state": "SUCCEEDED", "output": end, "message": ""}

    def ran(self, definition: TaskDefinition, value: Any) -> Ran:
        model = definition.output_model
        if not isinstance(value, model):
            raise TypeError(
                f"the handler of {definition.name} returned {type(value).__name__}, not {model.__name__}"
            )
        # What JSON can't carry would fail on a worker too.
        told = value.model_dump(mode="json")
        clean = self.secrets.clean(told)
        output = value if clean == told else model.model_validate(clean)
        return Ran(output, self._progress, self._log, self._checkpoints, self._children, self._artifacts)


def _call(
    definition: TaskDefinition,
    given: BaseModel | dict[str, Any],
    recorder: _Recorder,
    about: tuple[int, str, Any, Any],
) -> Any:
    attempt, project, resources, checkpoint = about
    who = str(uuid.uuid4()), attempt, project, recorder, resources, to_jsonable_python(checkpoint)

    async def answer(asked: Ask) -> Any:
        return recorder.answer(asked)

    more: dict[str, Any] = {"scratch": recorder.scratch, "secrets": recorder.secrets}
    context = (
        Context(*who, **more, ask=answer)
        if definition.is_async
        else BlockingContext(*who, **more, ask=recorder.answer)
    )
    wire = to_jsonable_python(given)
    if missing := set(references(wire)) - set(recorder.secrets):
        raise LookupError(f"the test does not say what the secret {min(missing)!r} is: give it in `secrets`")
    return definition.handler(definition.input_model.model_validate(recorder.secrets.fill(wire)), context)
