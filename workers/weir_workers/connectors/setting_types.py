"""Kinds of settings that several models use."""

from typing import Annotated, TypeAlias
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$", max_length=100)]
HeaderValue = Annotated[str, Field(pattern=r"^[ -~]*$", max_length=2000)]
Parameter = Annotated[str, Field(min_length=1, max_length=200)]
DottedPath = Annotated[str, Field(max_length=500, pattern=r'^[^"\\\x00-\x1f]*$')]
WebAddress = Annotated[str, Field(max_length=2000, pattern=r"^https?://")]
Scalar: TypeAlias = str | bool | int | float


class Strict(BaseModel):
    """Settings that know all their names."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def plain_address(url: str, instead: str) -> str:
    """The address of a host and a path; ValueError if there is more in it."""
    parts = urlsplit(url)
    if not parts.hostname or parts.username is not None or parts.password is not None:
        raise ValueError("must have a host, and no user name or password; use `auth` and its secrets")
    if parts.query or parts.fragment:
        raise ValueError(f"must have no query and no fragment; {instead}")
    return url
