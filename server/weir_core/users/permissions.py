"""Roles, and what they allow. Pure.

A right is a permission (`tasks.read`), all of an area (`tasks.*`), or `*`, which
only the role admin has. Rights stand under a project, or under `*` for all.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from weir_core.principals import Caller
from weir_core.users.models import Binding

ALL_PROJECTS: Final = "*"
DEFAULT_PROJECT: Final = "default"
PROJECTS: Final = (DEFAULT_PROJECT, "system")

Rights = Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Role:
    """A named set of rights that comes with Weir."""

    name: str
    description: str
    rights: frozenset[str]


_READ: Final = frozenset(
    {"tasks.read", "files.read", "schedules.read", "connections.read", "collections.read", "datasets.read"}
)
_RUN: Final = frozenset({"tasks.submit", "tasks.cancel", "collections.run"})
_WRITE: Final = frozenset(
    {"schedules.write", "connections.write", "connections.use", "collections.write", "datasets.write"}
)

ROLES: Final[Mapping[str, Role]] = {
    role.name: role
    for role in (
        Role("admin", "Everything, people and keys included", frozenset({"*"})),
        Role(
            "operator",
            "Reads and runs what there is, and looks after workers, queues and datasets",
            _READ | _RUN | {"system.read", "system.operate", "system.maintain"},
        ),
        Role(
            "editor",
            "Makes, changes and runs connections, collections, schedules and tasks",
            _READ | _RUN | _WRITE,
        ),
        Role("viewer", "Reads tasks, their files, schedules, collections and datasets", _READ),
    )
}


def rights_of(bindings: Iterable[Binding]) -> dict[str, frozenset[str]]:
    """What a set of roles allows, by project; a role that is not known allows nothing."""
    rights: dict[str, frozenset[str]] = {}
    for binding in bindings:
        if role := ROLES.get(binding.role):
            rights[binding.project] = rights.get(binding.project, frozenset()) | role.rights
    return rights


def overlap(one: Rights, other: Rights) -> dict[str, frozenset[str]]:
    """What both allow: the rights of a key that acts for a user."""
    shared = {
        project: _overlap_in(_held(one, project), _held(other, project))
        for project in {ALL_PROJECTS, *one, *other}
    }
    return {project: rights for project, rights in shared.items() if rights}


def missing(caller: Caller, binding: Binding) -> str | None:
    """A right of the binding's role that the caller does not hold, and so can't give."""
    rights = sorted(ROLES[binding.role].rights)
    return next((right for right in rights if not caller.holds(right, binding.project)), None)


def spell_out(rights: frozenset[str], areas: Iterable[str]) -> list[str]:
    """Rights as the contract writes them: `*` becomes `area.*` of every area."""
    return [f"{area}.*" for area in sorted(areas)] if "*" in rights else sorted(rights)


def _held(rights: Rights, project: str) -> frozenset[str]:
    return rights.get(project, frozenset()) | rights.get(ALL_PROJECTS, frozenset())


def _overlap_in(one: frozenset[str], other: frozenset[str]) -> frozenset[str]:
    return frozenset(right for right in one if _covers(other, right)) | frozenset(
        right for right in other if _covers(one, right)
    )


def _covers(held: frozenset[str], right: str) -> bool:
    return right in held or "*" in held or f"{right.split('.', 1)[0]}.*" in held
