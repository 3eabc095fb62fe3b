"""The table of files, and its rows as values.

A file belongs to an attempt of a task, and is there as long as that attempt is the task's newest. The
row makes it so: content without a row is nothing, and swept.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple, Self
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table

from weir_core.columns import TABLE, Digest, Micros, Uuid, metadata, name_column
from weir_core.config import Settings
from weir_core.errors import InvalidArgument
from weir_core.principals import Principal, PrincipalKind, creator_columns

FOLDER: Final = "files"
"""Where in the store they lie."""
RESULT: Final = "result.json"
"""Name of the file that has the result of a task, where that is large."""
DEFAULT_MEDIA_TYPE: Final = "application/octet-stream"
_NAME_BYTES: Final = 255
_MEDIA_TYPE: Final = re.compile(r"[!-~][ -~]{0,99}")

file = Table(
    "file",
    metadata,
    Column("id", Uuid, primary_key=True),
    name_column("project", 63),
    name_column("name", 255),
    name_column("media_type", 100),
    Column("size", BigInteger, nullable=False),
    Column("sha256", Digest, nullable=False),
    Column("path", String(255), nullable=False),
    Column("task_id", Uuid, nullable=False),
    Column("attempt", Integer, nullable=False),
    # True: its task has ended, so that no later attempt can take its place.
    Column("settled", Boolean(create_constraint=False), nullable=False),
    *creator_columns(),
    Column("create_time", Micros, nullable=False),
    Index(None, "task_id", "id"),
    Index(None, "project", "id"),
    Index(None, "name", "id"),
    Index(None, "settled", "id"),
    **TABLE,
)


@dataclass(frozen=True, slots=True)
class FileLimits:
    """How much may be kept of one task, in bytes, and how many files."""

    file: int
    """Of one file."""
    task: int
    """Of all files of a task together."""
    result: int
    """Of the result."""
    count: int = 1000
    """Files of a task."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As they are set."""
        return cls(settings.file_bytes, settings.task_file_bytes, settings.result_bytes)


@dataclass(frozen=True, slots=True)
class NewFile:
    """What a task wants kept, besides the content."""

    name: str
    media_type: str

    def check(self) -> None:
        """InvalidArgument where the name or the media type can't be."""
        if not 0 < len(self.name.encode(errors="replace")) <= _NAME_BYTES:
            raise InvalidArgument.at("name", f"must have 1 to {_NAME_BYTES} bytes, not {self.name!r}")
        if self.name in {".", ".."} or "/" in self.name or not self.name.isprintable():
            raise InvalidArgument.at("name", f"must be a plain file name without '/', not {self.name!r}")
        if _MEDIA_TYPE.fullmatch(self.media_type) is None:
            raise InvalidArgument.at("media_type", f"must be such as text/csv, not {self.media_type!r}")


@dataclass(frozen=True, slots=True)
class File:
    """A file of a task."""

    id: UUID
    project: str
    name: str
    media_type: str
    size: int
    sha256: bytes
    path: str
    task_id: UUID
    attempt: int
    creator: Principal
    create_time: datetime
    expire_time: datetime | None = None


class Owner(NamedTuple):
    """Whose content it is."""

    task_id: UUID
    attempt: int


def content_path(file_id: UUID, owner: Owner) -> str:
    """Where in the store a file's content lies; the folder is one of 256."""
    return f"{FOLDER}/{file_id.hex[-2:]}/{owner.task_id}.{owner.attempt:08d}.{file_id}"


def owner_of(path: str) -> Owner | None:
    """Whose content lies there; None where it is no such path."""
    try:
        _, _, name = path.split("/")
        task_id, attempt, file_id = name.split(".")
        return Owner(UUID(task_id), int(attempt)) if UUID(file_id) else None
    except ValueError:
        return None


def event_body(found: File) -> dict[str, Any]:
    """A file as its event tells it."""
    who = found.creator
    return {
        "id": str(found.id),
        "project": found.project,
        "name": found.name,
        "media_type": found.media_type,
        "size": found.size,
        "sha256": found.sha256.hex(),
        "create_time": found.create_time.isoformat(),
        "creator": {
            "kind": int(who.kind),
            "id": who.id and str(who.id),
            "name": who.name,
            "api_key_id": who.api_key_id and str(who.api_key_id),
        },
    }


def from_event(body: dict[str, Any], task_id: UUID, attempt: int) -> File:
    """A file from its event."""
    who = body["creator"]
    file_id = UUID(body["id"])
    return File(
        id=file_id,
        project=body["project"],
        name=body["name"],
        media_type=body["media_type"],
        size=body["size"],
        sha256=bytes.fromhex(body["sha256"]),
        path=content_path(file_id, Owner(task_id, attempt)),
        task_id=task_id,
        attempt=attempt,
        creator=Principal(
            PrincipalKind(who["kind"]),
            who["id"] and UUID(who["id"]),
            who["name"],
            who["api_key_id"] and UUID(who["api_key_id"]),
        ),
        create_time=datetime.fromisoformat(body["create_time"]),
    )
