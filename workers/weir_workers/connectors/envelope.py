"""Takes a page apart: the list of records and what stands around it.

The body is split without making an object of any value: the list stays bytes.
What msgspec refuses (NaN, a lone surrogate) gets a second chance by the
standard library, which is slow and tells a cut body from an odd one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from weir_workers.connectors import lenient
from weir_workers.connectors.errors import BodyCut
from weir_workers.connectors.paths import STRICT, Cutter, find, gathered, members

_BOM = b"\xef\xbb\xbf"


class WrongShape(ValueError):
    """The body is JSON, but not of the shape that the settings say."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A page taken apart."""

    records: bytes
    """The JSON list of records as it came; where they came as lines, those that are JSON."""
    strict: bool
    """True: the list is proper JSON; False: only a lenient reader takes it."""
    extras: tuple[Any, ...]
    """Values at the paths that were asked for; None where there is none."""
    lines: tuple[bytes, ...] | None = None
    """Each record, where they came as lines and not all are proper JSON."""


def split(
    body: bytes, records_path: str, extra_paths: Sequence[str] = (), *, one_record: bool = False
) -> Envelope:
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
    return Envelope(_checked_list(raw, records_path, one_record=one_record), strict, extras)


def split_lines(body: bytes) -> Envelope:
    """Takes a body apart that is a record a line; BodyCut if its last line is cut."""
    body = body.removeprefix(_BOM)
    lines = tuple(line for part in body.split(b"\n") if (line := part.strip()))
    proper = [line for line in lines if _proper(line)]
    if lines and not body.endswith(b"\n") and not _proper(lines[-1]):
        raise BodyCut("the last line is no whole JSON document")
    records = b"[" + b",".join(proper) + b"]"
    return Envelope(records, len(proper) == len(lines), (), None if len(proper) == len(lines) else lines)


def slices(envelope: Envelope) -> list[bytes]:
    """Each record of a page as the bytes that came."""
    if envelope.lines is not None:
        return list(envelope.lines)
    return (STRICT if envelope.strict else lenient.CUTTER).elements(envelope.records)


def documents(envelope: Envelope) -> list[Any]:
    """The records of a page as Python objects: for a look at their fields."""
    try:
        return msgspec.json.decode(envelope.records, type=list[Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return lenient.parsed(envelope.records)


def last_value(envelope: Envelope, path: str) -> Any:
    """The value at a path in the last record; None if there is none."""
    raws = slices(envelope)
    if not raws:
        return None
    cutter = STRICT if _proper(raws[-1]) else lenient.CUTTER
    return _value(find(raws[-1], path.split("."), cutter))


def _split_strictly(
    body: bytes, records_path: str, extra_paths: Sequence[str]
) -> tuple[bytes, tuple[Any, ...]]:
    if not records_path:
        msgspec.json.decode(body, type=msgspec.Raw)
    paths = [path.split(".") for path in (records_path, *extra_paths) if path]
    # One walk over the body for all that is asked of it; the rest is looked for in the parts.
    top = members(body, tuple({names[0]: None for names in paths})) if paths else None
    if top is None:
        return _split_by(body, records_path, extra_paths, STRICT)
    records = body
    if records_path:
        first, *rest = records_path.split(".")
        records = gathered(top[first], rest, STRICT)
    found = (find(top[names[0]], names[1:], STRICT) for names in paths[bool(records_path) :])
    return records, tuple(_value(raw) for raw in found)


def _split_leniently(
    body: bytes, records_path: str, extra_paths: Sequence[str]
) -> tuple[bytes, tuple[Any, ...]]:
    try:
        lenient.check(body)
        return _split_by(body, records_path, extra_paths, lenient.CUTTER)
    except RecursionError:
        raise WrongShape("the body is nested too deep") from None


def _split_by(
    body: bytes, records_path: str, extra_paths: Sequence[str], cutter: Cutter
) -> tuple[bytes, tuple[Any, ...]]:
    records = gathered(body, records_path.split(".") if records_path else [], cutter)
    return records, tuple(_value(find(body, path.split("."), cutter)) for path in extra_paths)


def _value(raw: bytes) -> Any:
    if raw == b"":
        return None
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return lenient.parsed(raw)


def _proper(raw: bytes) -> bool:
    try:
        msgspec.json.decode(raw, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _checked_list(raw: bytes, path: str, *, one_record: bool) -> bytes:
    first = raw.lstrip()[:1]
    if first == b"[":
        return raw
    if raw.strip() == b"null":
        return b"[]"
    if first == b"{" and one_record:
        return b"[" + raw + b"]"
    where = f"at records_path {path!r}" if path else "in the body itself (records_path is empty)"
    raise WrongShape(f"there is {_KINDS.get(first, 'a number')} {where}, where the list of records should be")


_KINDS = {b"": "nothing", b"{": "an object", b'"': "a text", b"t": "true", b"f": "false"}
