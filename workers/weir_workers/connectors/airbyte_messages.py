"""Messages of the Airbyte protocol, a line each, and its catalogs. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import msgspec
import orjson

from weir_workers.connectors import lenient
from weir_workers.connectors.tap_messages import Failed, Hear, Message, Other, Record, State, Told

_QUIET: Final = frozenset({"DEBUG", "TRACE"})
_SHOWN: Final = 1000


class _Record(msgspec.Struct):
    stream: str
    data: msgspec.Raw


class _Name(msgspec.Struct):
    name: str


class _StreamState(msgspec.Struct):
    stream_descriptor: _Name
    stream_state: msgspec.Raw = msgspec.Raw(b"null")


class _State(msgspec.Struct):
    type: str = "LEGACY"
    stream: _StreamState | None = None
    data: dict[str, msgspec.Raw] | None = None


class _Log(msgspec.Struct):
    level: str = "INFO"
    message: str = ""


class _Error(msgspec.Struct):
    message: str = ""
    internal_message: str | None = None
    failure_type: str | None = None


class _Trace(msgspec.Struct):
    type: str
    error: _Error | None = None


class _Status(msgspec.Struct):
    status: str
    message: str | None = None


class _Line(msgspec.Struct):
    type: str
    record: _Record | None = None
    state: _State | None = None
    log: _Log | None = None
    trace: _Trace | None = None
    catalog: msgspec.Raw = msgspec.Raw(b"")
    status: _Status | None = msgspec.field(default=None, name="connectionStatus")


_decoder: Final = msgspec.json.Decoder(_Line)


class Answers(msgspec.Struct):
    """What a source has answered to a question."""

    catalog: dict[str, Any] | None = None
    status: str = ""
    failed: Failed | None = None
    told: list[str] = []

    @property
    def works(self) -> bool:
        """True where it says that its config is right."""
        return self.status == "SUCCEEDED"


def hearing(stream: str, *, by_state: bool) -> Hear:
    """How to read the lines of a source that was asked for a stream.

    Without `by_state` its STATEs are nothing: a source that is asked for all gives all again, whatever
    STATE it is given.
    """

    def hear(line: bytes) -> Message | None:
        told = _line(line)
        if not isinstance(told, _Line):
            return told
        if told.type == "STATE" and told.state is not None:
            return _state(told.state, stream) if by_state else Other()
        return _message(told)

    return hear


def answers(written: bytes) -> Answers:
    """What stands in all that a source has written."""
    found = Answers()
    for line in written.splitlines():
        told = _line(line)
        if not isinstance(told, _Line):
            found.told += [line.decode(errors="replace")[:_SHOWN]] if told is None and line.strip() else []
            continue
        if catalog := bytes(told.catalog):
            found.catalog = orjson.loads(catalog)
        if told.status is not None:
            found.status = told.status.status
            found.failed = None if found.works else Failed(told.status.message or "", lasting=True)
        match _message(told):
            case Failed() as failed:
                found.failed = failed
            case Told(text):
                found.told.append(text)
            case _:
                pass
    return found


def _line(line: bytes) -> "_Line | Record | None":
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _odd(line)


def _odd(line: bytes) -> Record | None:
    """A record that is no proper JSON: NaN in it, or half a character."""
    try:
        found = lenient.parsed(line)
        record = cast("dict[str, Any]", found)["record"]
        raw = lenient.CUTTER.member(lenient.CUTTER.member(line, "record"), "data")
        return Record(str(record["stream"]), raw, "the record is no proper JSON")
    except (ValueError, RecursionError, KeyError, TypeError):
        return None


def _message(told: _Line) -> Message:
    match told:
        case _Line(type="RECORD", record=_Record(stream=stream, data=data)):
            return Record(stream, bytes(data))
        case _Line(type="LOG", log=_Log(level=level, message=message)) if level not in _QUIET:
            # Behind its first line stands where in its code it was.
            return Told(f"{level}: {message.partition(chr(10))[0][:_SHOWN]}")
        case _Line(type="TRACE", trace=_Trace(type="ERROR", error=_Error() as error)):
            inner = f": {error.internal_message}" if error.internal_message else ""
            text = f"{error.message}{inner}"[:_SHOWN]
            return Failed(text, lasting=error.failure_type == "config_error")
        case _:
            return Other()


def _state(state: _State, stream: str) -> Message:
    if state.type == "GLOBAL":
        return Failed("it keeps one STATE for all streams, which can't be a collection's", lasting=True)
    raw = msgspec.Raw(b"null")
    if state.stream is not None and state.stream.stream_descriptor.name == stream:
        raw = state.stream.stream_state
    elif state.stream is None and state.data:
        raw = state.data.get(stream, raw)
    found = msgspec.json.decode(raw)
    return State(found, len(bytes(raw))) if isinstance(found, dict) else Other()


def streams_of(catalog: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    """The entries of a catalog."""
    return cast("list[dict[str, Any]]", catalog.get("streams") or [])


def by_state(entry: Mapping[str, Any]) -> bool:
    """True where a stream can be read incrementally."""
    return "incremental" in (entry.get("supported_sync_modes") or ())


def configured(entry: Mapping[str, Any], cursor_field: str) -> str:
    """A catalog as text with that stream alone chosen."""
    chosen = {
        "stream": entry,
        "sync_mode": "incremental" if cursor_field else "full_refresh",
        "destination_sync_mode": "append",
        "cursor_field": [cursor_field] if cursor_field else [],
        "primary_key": entry.get("source_defined_primary_key") or [],
    }
    return orjson.dumps({"streams": [chosen]}).decode()


def state_of(stream: str, state: Any) -> str:
    """What a source is given to go on, as text."""
    told = {"stream_descriptor": {"name": stream}, "stream_state": state}
    return orjson.dumps([{"type": "STREAM", "stream": told}]).decode()
