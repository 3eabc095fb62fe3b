"""Safe repeats: a request id is unique per principal and method, stored with what it made."""

import hashlib
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Column, UniqueConstraint

from weir_core.columns import Digest
from weir_core.errors import RequestIdReused
from weir_core.principals import Principal


@dataclass(frozen=True, slots=True)
class RequestKey:
    """A request id made unique, with a hash of the content that it came with."""

    request_id: str
    key: bytes
    content: bytes

    def check(self, stored_content: bytes) -> None:
        """Refuse a repeat with other content."""
        if stored_content != self.content:
            raise RequestIdReused(self.request_id)


def request_key(principal: Principal, method: str, request_id: str, content: Any) -> RequestKey | None:
    """The key of a request; None where the caller gave no request id."""
    if not request_id:
        return None
    owner = f"{principal.id}\0{method}\0{request_id}".encode()
    canonical = orjson.dumps(content, option=orjson.OPT_SORT_KEYS, default=str)
    return RequestKey(request_id, hashlib.sha256(owner).digest(), hashlib.sha256(canonical).digest())


def request_columns() -> list[Any]:
    """The columns that keep a row's request key."""
    return [Column("request_key", Digest), Column("request_content", Digest), UniqueConstraint("request_key")]


def request_values(key: RequestKey | None) -> dict[str, Any]:
    """The values of those columns."""
    return {"request_key": key and key.key, "request_content": key and key.content}
