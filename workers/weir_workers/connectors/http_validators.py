"""How a source of one page is asked whether it has changed since it was read whole (RFC 9110, 8.8 and 13)."""

import hashlib
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final

import orjson
from yarl import URL

from weir_workers.connectors.http_collection import HttpCollection
from weir_workers.connectors.http_connection import HttpConnection
from weir_workers.connectors.http_pagination import OnePage

# What is longer is no validator that anybody meant.
_LONGEST: Final = 1000


def can_tell(collection: HttpCollection) -> bool:
    """True where one answer is all that is read: that of a first page says nothing of the others."""
    return (
        collection.conditional and collection.method == "GET" and isinstance(collection.pagination, OnePage)
    )


def fingerprint(connection: HttpConnection, collection: HttpCollection, url: URL) -> str:
    """What was asked, and what is made of the answer, in short: another of it needs the page again."""
    asked = [str(url), connection.model_dump(mode="json"), collection.model_dump(mode="json")]
    return hashlib.sha256(orjson.dumps(asked)).hexdigest()


def validators(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers to send the next time, by those of an answer; none where it tells no version."""
    etag, modified = headers.get("ETag", ""), headers.get("Last-Modified", "")
    if etag and len(etag) <= _LONGEST:
        return {"If-None-Match": etag}
    if modified and len(modified) <= _LONGEST and _is_settled(modified, headers.get("Date", "")):
        return {"If-Modified-Since": modified}
    return {}


def unless(known: Mapping[str, Any] | None, asked: str) -> dict[str, str]:
    """The headers by what is known; none where it is of another question."""
    return dict(known["unless"]) if known is not None and known.get("asked") == asked else {}


def _is_settled(modified: str, date: str) -> bool:
    # A change within the same second would have the same time.
    try:
        return (parsedate_to_datetime(date) - parsedate_to_datetime(modified)).total_seconds() >= 1
    except (ValueError, TypeError):
        return False
