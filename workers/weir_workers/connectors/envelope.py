"""Takes a page apart: the list of records and what stands around it.

The body is split without making an object of any value: the list stays bytes.
What msgspec refuses (NaN, a lone surrogate) gets a second chance by the
standard library, which is slow and tells a cut body from an odd one.
"""

import functools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec

_BOM = b"\xef\xbb\xbf"
_SPACE = " \t\r\n"


class BodyCut(ValueError):
    """The body is no whole JSON document: cut off, or no JSON at all."""


class WrongShape(ValueError):
    """The body is JSON, but not of the shape that the settings say."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A page taken apart."""

    records: bytes
    """The JSON list of records as it came."""
    strict: bool
    """True: the list is proper JSON; False: only a lenient reader takes it."""
    extras: tuple[Any, ...]
    """Values at the paths that were asked for; None where there is none."""


def split(body: bytes, records_path: str, extra_paths: Sequence[str] = ()) -> Envelope:
    """Takes a body apart by dotted paths; an empty path is the body itself."""
    body = body.removeprefix(_BOM)
    try:
        raw, extras = _split_strictly(body, records_path, extra_paths)
        strict = True
    except (msgspec.DecodeError, UnicodeDecodeError):
        raw, extras = _split_leniently(body, records_path, extra_paths)
        strict = False
    except RecursionError:
        raise WrongShape("the body is nested too deep") from None
    return Envelope(_checked_list(raw, records_path), strict, extras)


def slices(records: bytes, *, strict: bool) -> list[bytes]:
    """Each record of a list as the bytes that came."""
    if strict:
        return [bytes(raw) for raw in msgspec.json.decode(records, type=list[msgspec.Raw])]
    text = _text(records)
    return [_bytes(text[start:end]) for start, end in _elements(text)]


def documents(records: bytes) -> list[Any]:
    """The records of a list as Python objects: for a look at their fields."""
    try:
        return msgspec.json.decode(records, type=list[Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return json.loads(_text(records), strict=False)


def _split_strictly(
    body: bytes, records_path: str, extra_paths: Sequence[str]
) -> tuple[bytes, tuple[Any, ...]]:
    if not records_path:
        msgspec.json.decode(body, type=msgspec.Raw)
    raw = _raw_at(body, records_path)
    extras = (_raw_at(body, path) for path in extra_paths)
    return raw, tuple(None if extra == b"" else msgspec.json.decode(extra) for extra in extras)


def _raw_at(body: bytes, path: str) -> bytes:
    """The bytes at a path; empty if there is nothing."""
    found = body
    for name in path.split(".") if path else ():
        try:
            member: Any = msgspec.json.decode(found, type=_member(name))
            found = bytes(member.value)
        except msgspec.ValidationError:
            return b""
    return found


@functools.lru_cache(maxsize=256)
def _member(name: str) -> type[msgspec.Struct]:
    return msgspec.defstruct("Member", [("value", msgspec.Raw, msgspec.Raw(b""))], rename={"value": name})


def _split_leniently(
    body: bytes, records_path: str, extra_paths: Sequence[str]
) -> tuple[bytes, tuple[Any, ...]]:
    text = _text(body)
    try:
        start, end = _find(text, records_path)
        whole = json.loads(text, strict=False)
    except (ValueError, IndexError):
        raise BodyCut("the body is no whole JSON document") from None
    except RecursionError:
        raise WrongShape("the body is nested too deep") from None
    return _bytes(text[start:end]), tuple(_value_at(whole, path) for path in extra_paths)


def _find(text: str, path: str) -> tuple[int, int]:
    """Where the value at a path begins and ends; an empty span if there is none."""
    decoder = json.JSONDecoder(strict=False)
    start, end = _span(decoder, text, 0)
    if text[end:].strip(_SPACE):
        raise ValueError("something follows the document")
    for name in path.split(".") if path else ():
        members = dict(_members(decoder, text, start)) if text[start] == "{" else {}
        if name not in members:
            return end, end
        start, end = members[name]
    return start, end


def _members(decoder: json.JSONDecoder, text: str, start: int) -> Iterator[tuple[str, tuple[int, int]]]:
    """Names of an object's members and where their values stand."""
    at = _skip(text, start + 1)
    while text[at] != "}":
        name, at = decoder.raw_decode(text, at)
        span = _span(decoder, text, _skip(text, at) + 1)
        yield name, span
        at = _skip(text, span[1])
        at = _skip(text, at + 1) if text[at] == "," else at


def _elements(text: str) -> Iterator[tuple[int, int]]:
    """Where each element of a list begins and ends."""
    decoder = json.JSONDecoder(strict=False)
    at = _skip(text, _skip(text, 0) + 1)
    while text[at] != "]":
        span = _span(decoder, text, at)
        yield span
        at = _skip(text, span[1])
        at = _skip(text, at + 1) if text[at] == "," else at


def _span(decoder: json.JSONDecoder, text: str, at: int) -> tuple[int, int]:
    start = _skip(text, at)
    return start, decoder.raw_decode(text, start)[1]


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


def _value_at(document: Any, path: str) -> Any:
    for name in path.split("."):
        document = cast("dict[str, Any]", document).get(name) if isinstance(document, dict) else None
    return document


def _checked_list(raw: bytes, path: str) -> bytes:
    first = raw.lstrip()[:1]
    if first == b"[":
        return raw
    if raw.strip() == b"null":
        return b"[]"
    where = f"at records_path {path!r}" if path else "in the body itself (records_path is empty)"
    raise WrongShape(f"there is {_KINDS.get(first, 'a number')} {where}, where the list of records should be")


_KINDS = {b"": "nothing", b"{": "an object", b'"': "a text", b"t": "true", b"f": "false"}


def _text(raw: bytes) -> str:
    # Odd bytes must come out as they came in.
    return raw.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
