"""Who acts: the caller of a request, and the creator kept with a row."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Integer, String

from weir_core.columns import Uuid


class PrincipalKind(IntEnum):
    """Kinds of principal, numbered as in the contract."""

    PERSON = 1
    SERVICE = 2
    SYSTEM = 3


@dataclass(frozen=True, slots=True)
class Principal:
    """Who did something; a program with an API key acts for the user it belongs to."""

    kind: PrincipalKind
    id: UUID | None
    name: str
    api_key_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """A principal with what it may do: permissions by project, `*` for all projects.

    Besides permissions stand `area.*`, and `*` for every one, those of task types included.
    """

    principal: Principal
    rights: dict[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    session_id: UUID | None = None

    def holds(self, permission: str, project: str) -> bool:
        """True where the caller holds the permission in the project."""
        area = permission.split(".", 1)[0] + ".*"
        held = self.rights.get("*", frozenset()) | self.rights.get(project, frozenset())
        return permission in held or area in held or "*" in held

    def projects(self, permission: str) -> list[str] | None:
        """Projects in which the caller holds the permission; None: all."""
        if self.holds(permission, "*"):
            return None
        return sorted(project for project in self.rights if self.holds(permission, project))


SYSTEM = Principal(PrincipalKind.SYSTEM, None, "weir")


def creator_columns(part: str = "creator") -> list[Column[Any]]:
    """The columns that keep a row's creator, or who else has a part in it."""
    return [
        Column(f"{part}_kind", Integer, nullable=False),
        Column(f"{part}_id", Uuid),
        Column(f"{part}_name", String(200), nullable=False),
        Column(f"{part}_api_key_id", Uuid),
    ]


def creator_values(principal: Principal, part: str = "creator") -> dict[str, Any]:
    """The values of those columns."""
    return {
        f"{part}_kind": int(principal.kind),
        f"{part}_id": principal.id,
        f"{part}_name": principal.name,
        f"{part}_api_key_id": principal.api_key_id,
    }


def creator_of(row: Any, part: str = "creator") -> Principal:
    """The creator in a row, or who else has a part in it."""
    kind, *rest = (getattr(row, f"{part}_{name}") for name in ("kind", "id", "name", "api_key_id"))
    return Principal(PrincipalKind(kind), *rest)
