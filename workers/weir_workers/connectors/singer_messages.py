"""Messages of the Singer specification, a line each, and its catalogs. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec
import orjson

from weir_workers.connectors import lenient
from weir_workers.connectors.tap_messages import Message, Other, Record, Schema, State


class _Line(msgspec.Struct):
    type: str
    stream: str = ""
    record: msgspec.Raw = msgspec.Raw(b"")
    value: msgspec.Raw = msgspec.Raw(b"")
    schema: msgspec.Raw = msgspec.Raw(b"")


_decoder = msgspec.json.Decoder(_Line)


def message_of(line: bytes) -> Message | None:
    """The message in a line."""
    try:
        told = _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _odd(line)
    match told.type:
        case "RECORD":
            return Record(told.stream, bytes(told.record))
        case "STATE":
            return State(msgspec.json.decode(told.value), len(told.value))
        case "SCHEMA":
            return Schema(told.stream, bytes(told.schema))
        case _:
            # ACTIVATE_VERSION says that what it gave before is outdated: a FULL run swaps by itself.
            return Other()


def _odd(line: bytes) -> Message | None:
    """A record that is no proper JSON: NaN in it, or half a character."""
    try:
        found = lenient.parsed(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    told = cast("dict[str, Any]", found)
    if told.get("type") != "RECORD" or not isinstance(told.get("stream"), str):
        return None
    return Record(told["stream"], lenient.CUTTER.member(line, "record"), "the record is no proper JSON")


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
