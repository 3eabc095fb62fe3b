"""What a running task asks its worker for, and what it is answered: checkpoints, children, files.

Both kinds of handler ask in the same words; they differ in how they wait for the answer.
"""

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pydantic import BaseModel
from pydantic_core import from_json, to_json, to_jsonable_python

from weir.scratch import Handed, Scratch
from weir.secrets import InputSecrets

MAX_CHECKPOINT: Final = 256 << 10
"""Bytes of a checkpoint as JSON, at most."""
MAX_INPUT: Final = 1 << 20
"""Bytes of a child's input as JSON, at most."""
MAX_NAME: Final = 255
"""Bytes of a file's name, at most."""
_MAX_KEY: Final = 200

Ask = dict[str, Any]
"""What is asked, as JSON."""

Answer = dict[str, Any]
"""`value`, or `refused` with code and message, or `failed` with kind as well, or `stopped`."""


class Refused(Exception):
    """What a handler asked for can't be had: a child of an unknown type, a right that is missing.

    `code` is the reason, such as `FIELD_INVALID` or `PERMISSION_MISSING`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ChildFailed(Exception):
    """Raised by `ChildEnd.result` where a child did not succeed; `end` tells how it ended."""

    def __init__(self, end: "ChildEnd") -> None:
        super().__init__(f"child {end.child.key!r} ({end.child.task_id}) ended {end.state}: {end.message}")
        self.end = end


@dataclass(frozen=True, slots=True)
class Child:
    """A task that this task has made."""

    task_id: str
    key: str


@dataclass(frozen=True, slots=True)
class ChildEnd:
    """How a child ended."""

    child: Child
    state: Literal["SUCCEEDED", "FAILED", "CANCELLED"]
    output: dict[str, Any] | None = field(default=None, repr=False)
    """What it returned, as JSON; None where it did not succeed."""
    message: str = ""
    """Why it did not succeed."""

    def result(self) -> dict[str, Any]:
        """Its output; ChildFailed where it did not succeed."""
        if self.state != "SUCCEEDED":
            raise ChildFailed(self)
        return self.output or {}


def checkpoint(value: Any, secrets: InputSecrets) -> Ask:
    """Keep a value."""
    size = len(to_json(value))
    if size > MAX_CHECKPOINT:
        raise ValueError(f"a checkpoint of {size:,} bytes is larger than {MAX_CHECKPOINT:,}")
    wire = to_jsonable_python(value)
    secrets.demand_none(wire, "the checkpoint")
    return {"what": "checkpoint", "value": wire}


def artifact(name: str, media_type: str) -> Ask:
    """Keep a file; `handed` says which."""
    if not 0 < len(name.encode()) <= MAX_NAME or "/" in name or not name.isprintable():
        raise ValueError(f"an artifact's name has 1 to {MAX_NAME} bytes and no '/', unlike {name!r}")
    return {"what": "artifact", "name": name, "media_type": media_type or "application/octet-stream"}


def handed(asked: Ask, file: Handed) -> Ask:
    """The same, with the file that lies ready."""
    return asked | {"handed": file.name, "size": file.size}


def submit(
    task_type: str,
    given: BaseModel | dict[str, Any],
    key: str,
    options: dict[str, Any],
    secrets: InputSecrets,
) -> Ask:
    """Make a child."""
    if not 0 < len(key) <= _MAX_KEY:
        raise ValueError(f"key must have 1 to {_MAX_KEY} characters, not {len(key)}")
    wire = secrets.refer(to_jsonable_python(given))
    if (size := len(to_json(wire))) > MAX_INPUT:
        raise ValueError(f"an input of {size:,} bytes is larger than {MAX_INPUT:,}")
    secrets.demand_none([wire, key, options], f"child {key!r}")
    return {"what": "submit", "type": task_type, "input": wire, "key": key, **options}


def waits(children: tuple[Child, ...], scratch: Scratch) -> Generator[Ask, Any, list[ChildEnd]]:
    """Wait for children, one after the other; is sent each answer."""
    ends: list[ChildEnd] = []
    for child in children:
        told = yield {"what": "wait", "task_id": child.task_id}
        # A large output comes as a file.
        output = from_json(scratch.take(told["handed"])) if "handed" in told else told["output"]
        ends.append(ChildEnd(child, told["state"], output, told["message"]))
    return ends
