"""Pages by key: sizes, and the signed tokens that say where a list goes on."""

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

import orjson

from weir_core.errors import PageTokenInvalid

T = TypeVar("T")
M = TypeVar("M", bound="Measured")

DEFAULT_SIZE: Final = 50
LARGEST_SIZE: Final = 1000
# An answer has 3 MiB at most, the token and the marks between entries included.
LARGEST_BYTES: Final = 3 * 1024 * 1024 - 16 * 1024
_LIFE_SECONDS: Final = 24 * 3600
_SIGNATURE_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Page:
    """Which page of a list is wanted; `key` is the last key of the page before."""

    size: int
    key: list[Any] | None = None


class Measured(Protocol):
    """An entry as it is sent; it knows its size."""

    def ByteSize(self) -> int: ...  # noqa: N802  protobuf's name


def fitting(entries: Iterable[M]) -> list[M]:
    """As many of the entries as an answer takes; the first one always."""
    taken, size = list[M](), 0
    for entry in entries:
        size += entry.ByteSize()
        if taken and size > LARGEST_BYTES:
            break
        taken.append(entry)
    return taken


class PageTokens:
    """Makes and reads page tokens, each good for one list (its scope) only."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def page(self, size: int, token: str, scope: str) -> Page:
        """The page that a request asks for."""
        return Page(min(size or DEFAULT_SIZE, LARGEST_SIZE), self.read(token, scope) if token else None)

    def cut(
        self, rows: list[T], page: Page, scope: str, key: Callable[[T], list[Any]], made: Callable[[T], M]
    ) -> tuple[list[M], str]:
        """The entries of a page and the token of the next one, from a list read one row beyond the page."""
        entries = fitting(made(row) for row in rows[: page.size])
        more = len(rows) > len(entries)
        return entries, self.make(key(rows[len(entries) - 1]), scope) if more else ""

    def make(self, key: list[Any], scope: str) -> str:
        """The token for what comes after `key`."""
        body = orjson.dumps([int(time.time()), key])
        return base64.urlsafe_b64encode(self._sign(body, scope) + body).decode().rstrip("=")

    def read(self, token: str, scope: str) -> list[Any]:
        """The key in a token; PageTokenInvalid where it is not one of this list."""
        try:
            raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except (binascii.Error, ValueError):
            raise PageTokenInvalid from None
        signature, body = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._sign(body, scope)):
            raise PageTokenInvalid
        made, key = orjson.loads(body)
        if time.time() - made > _LIFE_SECONDS:
            raise PageTokenInvalid
        return key

    def _sign(self, body: bytes, scope: str) -> bytes:
        return hmac.new(self._key, scope.encode() + b"\0" + body, hashlib.sha256).digest()[:_SIGNATURE_BYTES]
