"""The tables of users, keys, sessions and projects, and the rows as values."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    Boolean,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
)

from weir_core.columns import TABLE, Blob, Digest, Micros, Uuid, metadata, name_column
from weir_core.idempotency import request_columns
from weir_core.principals import Principal, PrincipalKind, creator_columns

project = Table(
    "project",
    metadata,
    name_column("name", 63, primary_key=True),
    Column("create_time", Micros, nullable=False),
    **TABLE,
)

user = Table(
    "user",
    metadata,
    Column("id", Uuid, primary_key=True),
    name_column("name", 100),
    Column("kind", Integer, nullable=False),
    name_column("display_name", 200),
    # Empty: no password, no sign-in.
    name_column("password_hash", 200),
    Column("disabled", Boolean(create_constraint=False), nullable=False),
    Column("last_login_time", Micros),
    *creator_columns(),
    *request_columns(),
    Column("create_time", Micros, nullable=False),
    Column("is_delete", Boolean(create_constraint=False), nullable=False),
    UniqueConstraint("name"),
    **TABLE,
)

# Roles of users and of API keys alike: `owner_id` is the id of either.
role_binding = Table(
    "role_binding",
    metadata,
    Column("owner_id", Uuid, nullable=False),
    name_column("project", 63),
    name_column("role", 60),
    PrimaryKeyConstraint("owner_id", "project", "role"),
    **TABLE,
)

session = Table(
    "session",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, nullable=False),
    name_column("client_name", 200),
    # The number of the one refresh token that is good.
    Column("generation", Integer, nullable=False),
    Column("expire_time", Micros, nullable=False),
    Column("revoke_time", Micros),
    Column("create_time", Micros, nullable=False),
    Index(None, "user_id", "id"),
    **TABLE,
)

api_key = Table(
    "api_key",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, nullable=False),
    name_column("name", 100),
    name_column("prefix", 20),
    Column("digest", Digest, nullable=False),
    Column("expire_time", Micros, nullable=False),
    Column("last_used_time", Micros),
    Column("revoke_time", Micros),
    *creator_columns(),
    *request_columns(),
    Column("create_time", Micros, nullable=False),
    Column("is_delete", Boolean(create_constraint=False), nullable=False),
    UniqueConstraint("prefix"),
    Index(None, "user_id", "id"),
    **TABLE,
)

signing_key = Table(
    "signing_key",
    metadata,
    Column("id", Uuid, primary_key=True),
    # Servers that make a key at the same time meet here, and one of them wins.
    Column("number", Integer, nullable=False),
    Column("sealed", Blob, nullable=False),
    Column("create_time", Micros, nullable=False),
    Column("retire_time", Micros, nullable=False),
    UniqueConstraint("number"),
    **TABLE,
)


@dataclass(frozen=True, slots=True, order=True)
class Binding:
    """A role held in a project; `*` is all projects."""

    role: str
    project: str


@dataclass(frozen=True, slots=True)
class User:
    """Who may call: a person, or a program."""

    id: UUID
    name: str
    kind: PrincipalKind
    display_name: str
    disabled: bool
    create_time: datetime
    last_login_time: datetime | None = None
    bindings: list[Binding] = field(default_factory=list[Binding])


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key for a program, which acts with it for a user."""

    id: UUID
    user_id: UUID
    name: str
    prefix: str
    expire_time: datetime
    creator: Principal
    create_time: datetime
    last_used_time: datetime | None = None
    revoke_time: datetime | None = None
    bindings: list[Binding] = field(default_factory=list[Binding])


@dataclass(frozen=True, slots=True)
class Account:
    """A user as a sign-in needs it: with the password's hash."""

    user_id: UUID
    password_hash: str
    disabled: bool


@dataclass(frozen=True, slots=True)
class Session:
    """A sign-in that goes on: the number of its good refresh token, and its state now."""

    id: UUID
    user_id: UUID
    generation: int
    expire_time: datetime
    ended: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """What the database says now about who calls: alive or not, and all that is held."""

    user_id: UUID
    user_name: str
    user_kind: PrincipalKind
    ended: bool
    user_bindings: list[Binding]
    key_id: UUID | None = None
    key_bindings: list[Binding] = field(default_factory=list[Binding])
    key_digest: bytes = b""
    key_used: datetime | None = None


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key for access tokens, encrypted; it signs until `retire_time`, by the database's clock."""

    id: UUID
    number: int
    sealed: bytes
    retired: bool
