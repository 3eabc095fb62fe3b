"""What a try is to do and what it found, between the server that waits and the worker that tries.

Both are encrypted, since secrets and records of the source are in them, and kept
apart from the task: nothing of them is in its row, its events or its answer. They
go as soon as the answer is taken, or by the sweep where nobody came for it.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, TypeVar
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.collections import repository, trial_repository
from weir_core.collections.models import ConnectionCheck, Plan
from weir_core.db import Database
from weir_core.secrets import SecretBox
from weir_core.tasks.models import Failure
from weir_core.tasks.repository import fence

CHECK_TASK: Final = "connection.check"
PREVIEW_TASK: Final = "collection.preview"

_KEPT: Final = timedelta(minutes=2)
_BATCH: Final = 100

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CheckAsked:
    """Which connection is to be tried."""

    connector: str
    settings: dict[str, Any]
    secrets: dict[str, str] = field(repr=False)
    allow_private_addresses: bool
    discover: bool
    connection_id: UUID | None = None
    """A stored one, at its revision; None: it is not stored."""
    revision: int = 0
    max_per_minute: int = 0
    """Requests, over all workers; 0 is no limit. Of a stored one."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Something that can be read over a connection."""

    name: str
    schema: dict[str, Any] | None
    """JSON schema of its records, as far as known."""
    cursor_fields: tuple[str, ...] = ()
    key_fields: tuple[str, ...] = ()
    estimated_records: int = 0


@dataclass(frozen=True, slots=True)
class Checked:
    """How a try of a connection went, and what can be read over it."""

    check: ConnectionCheck
    streams: list[Stream] = field(default_factory=list[Stream])


@dataclass(frozen=True, slots=True)
class PreviewAsked:
    """What is to be read, as if by a run, and how many records of it."""

    plan: Plan
    count: int


@dataclass(frozen=True, slots=True)
class Misfit:
    """A record that would be quarantined; `raw` in base64."""

    raw: str
    truncated: bool
    reason: str
    column: str
    page: int
    position: int


@dataclass(frozen=True, slots=True)
class Previewed:
    """What a run would read first; with a failure there is nothing else."""

    records: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """Rows as JSON, as `to_json_rows` makes them."""
    schema: dict[str, Any] | None = None
    misfits: list[Misfit] = field(default_factory=list[Misfit])
    warnings: list[str] = field(default_factory=list[str])
    failure: Failure | None = None


class Trials:
    """Hands what is asked to the worker, and its answer back."""

    def __init__(self, db: Database, box: SecretBox) -> None:
        self._db = db
        self._box = box

    async def ask(self, tx: AsyncConnection, task_id: UUID, asked: CheckAsked | PreviewAsked) -> None:
        """Keep what the task is to do, in the transaction that makes it."""
        await trial_repository.insert(tx, task_id, self._box.seal(_dump(asked), _place("asked", task_id)))

    async def asked(self, kind: type[T], task_id: UUID, attempt: int) -> T | None:
        """What the attempt is to do; None where nobody waits for it. Fenced."""

        async def work(tx: AsyncConnection) -> bytes | None:
            await fence(tx, task_id, attempt)
            return await trial_repository.asked(tx, task_id)

        return self._opened(kind, await self._db.write(work), _place("asked", task_id))

    async def answer(
        self, task_id: UUID, attempt: int, found: Checked | Previewed, of: CheckAsked | None = None
    ) -> None:
        """Keep what the attempt found; how a stored connection did, with that connection. Fenced."""
        sealed = self._box.seal(_dump(found), _place("answer", task_id))

        async def work(tx: AsyncConnection) -> None:
            await fence(tx, task_id, attempt)
            await trial_repository.set_answer(tx, task_id, sealed)
            if isinstance(found, Checked) and of is not None and of.connection_id is not None:
                await repository.note_check(tx, of.connection_id, of.revision, found.check)

        await self._db.write(work)

    async def take(self, kind: type[T], task_id: UUID) -> T | None:
        """What was found, which is erased with what was asked; None: nothing yet."""

        async def work(tx: AsyncConnection) -> bytes | None:
            sealed = await trial_repository.answer(tx, task_id)
            await trial_repository.delete(tx, [task_id])
            return sealed

        return self._opened(kind, await self._db.write(work), _place("answer", task_id))

    async def forget(self) -> bool:
        """Erase a batch of those that nobody came for; True where there may be more."""

        async def work(tx: AsyncConnection) -> bool:
            old = await trial_repository.older(tx, _KEPT, _BATCH)
            await trial_repository.delete(tx, old)
            return len(old) == _BATCH

        return await self._db.write(work)

    def _opened(self, kind: type[T], sealed: bytes | None, place: str) -> T | None:
        return None if sealed is None else _load(kind, self._box.open(sealed, place))


def _place(part: str, task_id: UUID) -> str:
    return f"trial/{part}/{task_id}"


_ADAPTERS: Final[dict[type[Any], TypeAdapter[Any]]] = {
    kind: TypeAdapter(kind) for kind in (CheckAsked, Checked, PreviewAsked, Previewed)
}


def _dump(value: Any) -> bytes:
    return _ADAPTERS[type(value)].dump_json(value)


def _load(kind: type[T], raw: bytes) -> T:
    try:
        return _ADAPTERS[kind].validate_json(raw)
    except ValidationError:
        # Its text would show what was encrypted.
        raise ValueError(f"a try's {kind.__name__} was written by another version of Weir") from None
