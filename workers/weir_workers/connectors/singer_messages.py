"""Messages of the Singer specification, a line each, and what their JSON schemas mean as columns. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import msgspec
import orjson
import pyarrow as pa

from weir_workers.connectors import lenient

_MAX_DEPTH: Final = 16


class Message(msgspec.Struct):
    """A message; what it is made of stays bytes."""

    type: str
    stream: str = ""
    record: msgspec.Raw = msgspec.Raw(b"")
    value: msgspec.Raw = msgspec.Raw(b"")
    schema: msgspec.Raw = msgspec.Raw(b"")


_decoder: Final = msgspec.json.Decoder(Message)


class OddMessage(msgspec.Struct):
    """A record that is no proper JSON: NaN in it, or half a character."""

    stream: str
    record: bytes


def message_of(line: bytes) -> Message | OddMessage | None:
    """The message in a line; None: it is none, such as what a library has printed."""
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        found = lenient.parsed(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    told = cast("dict[str, Any]", found)
    if told.get("type") != "RECORD" or not isinstance(told.get("stream"), str):
        return None
    return OddMessage(told["stream"], lenient.CUTTER.member(line, "record"))


def columns_of(raw: bytes) -> pa.Schema:
    """The columns that a stream's JSON schema speaks of; those of mixed or open types are left out."""
    return pa.schema(_fields(orjson.loads(raw), 0))


def _fields(schema: Mapping[str, Any], depth: int) -> list[pa.Field]:
    rules = cast("dict[str, Any]", schema.get("properties") or {})
    found = ((name, _type(rule, depth)) for name, rule in rules.items())
    return [pa.field(name, kind) for name, kind in found if kind is not None]


def _type(rule: Any, depth: int) -> pa.DataType | None:
    if not isinstance(rule, dict) or depth > _MAX_DEPTH:
        return None
    told = cast("dict[str, Any]", rule)
    if branches := told.get("anyOf") or told.get("oneOf"):
        kinds = {kind for one in branches if (kind := _type(one, depth)) is not None}
        # A time or a text is a text.
        texts = all(pa.types.is_timestamp(one) or pa.types.is_string(one) for one in kinds)
        return kinds.pop() if len(kinds) == 1 else pa.string() if kinds and texts else None
    named: Any = told.get("type")
    listed = cast("list[Any]", named) if isinstance(named, list) else [named]
    names = {str(one) for one in listed if one != "null"}
    if names == {"integer", "number"}:
        names = {"number"}
    if len(names) != 1:
        return None
    return _plain(names.pop(), told, depth)


def _plain(name: str, rule: Mapping[str, Any], depth: int) -> pa.DataType | None:
    if name == "array":
        inner = _type(rule.get("items"), depth + 1)
        return None if inner is None else pa.list_(inner)
    if name == "object":
        members = _fields(rule, depth + 1)
        return pa.struct(members) if members else None
    if name == "string" and rule.get("format") == "date-time":
        return pa.timestamp("us", "UTC")
    return _SCALARS.get(name)


_SCALARS: Final[dict[str, pa.DataType]] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
}


def streams_of(catalog: Any) -> Sequence[dict[str, Any]]:
    """The entries of a catalog."""
    return cast("list[dict[str, Any]]", catalog.get("streams") or [])


def name_of(entry: Mapping[str, Any]) -> str:
    """What a collection calls it."""
    return str(entry.get("tap_stream_id") or entry.get("stream") or "")


def root_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata of the stream itself."""
    parts = cast("list[dict[str, Any]]", entry.get("metadata") or [])
    return next(
        (cast("dict[str, Any]", one["metadata"]) for one in parts if not one.get("breadcrumb")),
        dict[str, Any](),
    )


def selected(catalog: Any, stream: str, replication_key: str) -> str:
    """The catalog as text with that stream alone chosen."""
    for entry in streams_of(catalog):
        chosen = name_of(entry) == stream
        metadata = entry.setdefault("metadata", [])
        if not any(not one.get("breadcrumb") for one in metadata):
            metadata.insert(0, {"breadcrumb": [], "metadata": {}})
        root = root_of(entry)
        root["selected"] = chosen
        if isinstance(entry.get("schema"), dict):
            entry["schema"]["selected"] = chosen
        if not chosen:
            continue
        method = "INCREMENTAL" if replication_key else "FULL_TABLE"
        root["replication-method"] = root.get("forced-replication-method", method)
        entry["replication_method"] = root["replication-method"]
        if replication_key:
            root["replication-key"] = entry["replication_key"] = replication_key
        for one in metadata:
            if one.get("breadcrumb"):
                one["metadata"].setdefault("selected", True)
    return orjson.dumps(catalog).decode()
