"""Where a database is. Apart from the settings, so that the child process starts without pydantic."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Dialect: TypeAlias = Literal["mysql", "postgresql", "sqlite"]
Tls: TypeAlias = Literal["auto", "off", "required", "verified"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a database is and who asks; the password is in no text of it."""

    dialect: Dialect
    host: str = ""
    port: int = 0
    database: str = ""
    user: str = ""
    path: str = ""
    """The file of a SQLite database."""
    tls: Tls = "auto"
    timeout: float = 60.0
    password: str = field(default="", repr=False)
