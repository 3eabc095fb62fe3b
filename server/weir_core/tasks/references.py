"""References to secrets in a task's input: `{"$secret": "CONNECTION/KEY"}` in place of a string.

The input is stored and shown with the reference. Who submits it needs `connections.use`; the value is read
when an attempt starts, and goes to its handler alone.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

from weir_core.errors import InvalidArgument, PermissionMissing, Violation
from weir_core.principals import Caller
from weir_core.tasks.models import Task

MARK: Final = "$secret"
MOST: Final = 32
_NAMED: Final = re.compile(r"([a-z][a-z0-9_.-]{0,99})/([a-z][a-z0-9_]{0,62})")
_SHOWN: Final = 100


class StandIn(str):
    """In place of a secret's value, where an input is checked without it."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Reference:
    """One reference: where it stands, such as `spec.input.db.password`, and what it names."""

    place: str
    connection: str
    key: str

    @property
    def text(self) -> str:
        """As it is written."""
        return f"{self.connection}/{self.key}"


class Vault(Protocol):
    """The secrets of a project's connections, by the names of connections and keys."""

    async def keys(self, project: str, connections: Collection[str]) -> Mapping[str, Collection[str]]:
        """What can be referred to; a connection that is not there is left out."""
        ...

    async def values(self, project: str, connections: Collection[str]) -> Mapping[str, Mapping[str, str]]:
        """The same, with the values in clear: for who is about to use them."""
        ...


def read(given: Any, root: str) -> tuple[list[Reference], Any]:
    """The references in an input, and the input with a stand-in for each; InvalidArgument for odd ones."""
    found: list[Reference] = []
    return found, _read(given, root, found)


async def check(vault: Vault, caller: Caller, project: str, references: list[Reference]) -> None:
    """Refuse references that the caller may not make, and those to what is not there."""
    if not caller.holds("connections.use", project):
        raise PermissionMissing("connections.use", project)
    known = await vault.keys(project, {each.connection for each in references})
    _demand_all(project, known, references)


async def values(vault: Vault, task: Task) -> dict[str, str]:
    """The values that a task's input refers to now, by reference; InvalidArgument where one is gone."""
    references, _ = read(task.input, "input")
    known = await vault.values(task.project, {each.connection for each in references})
    _demand_all(task.project, known, references)
    return {each.text: known[each.connection][each.key] for each in references}


def _read(value: Any, place: str, found: list[Reference]) -> Any:
    if isinstance(value, list):
        return [_read(each, f"{place}[{at}]", found) for at, each in enumerate(cast("list[Any]", value))]
    if not isinstance(value, dict):
        return value
    held = cast("dict[str, Any]", value)
    if MARK not in held:
        return {key: _read(each, f"{place}.{key}", found) for key, each in held.items()}
    reference = _reference(held, place)
    if len(found) == MOST:
        raise InvalidArgument.at(place, f"is one too many: an input refers to {MOST} secrets at most")
    found.append(reference)
    return StandIn(reference.text)


def _reference(held: dict[str, Any], place: str) -> Reference:
    named = held[MARK]
    if len(held) == 1 and isinstance(named, str) and (match := _NAMED.fullmatch(named)):
        return Reference(place, match[1], match[2])
    shown = repr(named) if len(held) == 1 else f"one with {', '.join(sorted(held))}"
    raise InvalidArgument.at(
        place,
        f'a reference to a secret is {{"{MARK}": "CONNECTION/KEY"}} and no more, not {shown[:_SHOWN]}',
    )


def _demand_all(project: str, known: Mapping[str, Collection[str]], references: Iterable[Reference]) -> None:
    missing = [
        Violation(each.place, _complaint(project, known, each))
        for each in references
        if each.key not in known.get(each.connection, ())
    ]
    if missing:
        raise InvalidArgument(*missing)


def _complaint(project: str, known: Mapping[str, Collection[str]], wanted: Reference) -> str:
    if wanted.connection not in known:
        return f"there is no connection {wanted.connection!r} in project {project!r}"
    keys = ", ".join(sorted(known[wanted.connection])) or "none"
    return f"connection {wanted.connection!r} has no secret {wanted.key!r}; it has {keys}"
