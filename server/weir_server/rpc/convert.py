"""What all services convert: times, durations, JSON, principals."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast
from urllib.parse import unquote

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from weir.v1 import common_pb2
from weir_core.columns import MICROSECOND, micros
from weir_core.errors import InvalidArgument
from weir_core.principals import Principal

_WHOLE: Final = 2**53
_MILLION: Final = 1_000_000
_ZERO: Final = timedelta(0)


def timestamp(value: datetime | None) -> Timestamp | None:
    """An instant; None stays unset."""
    if value is None:
        return None
    whole = micros(value)
    return Timestamp(seconds=whole // _MILLION, nanos=whole % _MILLION * 1000)


def instant(message: Message, field: str) -> datetime | None:
    """The instant in a field; None where it is unset."""
    return getattr(message, field).ToDatetime(tzinfo=UTC) if message.HasField(field) else None


def duration(value: timedelta | None) -> Duration | None:
    """A length of time; None stays unset."""
    if value is None:
        return None
    seconds, rest = divmod(abs(value) // MICROSECOND, _MILLION)
    sign = -1 if value < _ZERO else 1
    return Duration(seconds=sign * seconds, nanos=sign * rest * 1000)


def span(message: Message, field: str) -> timedelta | None:
    """The length of time in a field; None where it is unset."""
    return getattr(message, field).ToTimedelta() if message.HasField(field) else None


def struct(value: dict[str, Any] | None) -> Struct | None:
    """A JSON object; integers that a double can't hold are written as strings."""
    return None if value is None else ParseDict(_safe(value), Struct())


def json_object(message: Struct) -> dict[str, Any]:
    """The object in a Struct; whole numbers come back as integers."""
    return _whole(MessageToDict(message))


def masked(mask: FieldMask, known: Collection[str]) -> frozenset[str]:
    """The fields that an update names; `*` stands for all that can be changed."""
    for place, path in enumerate(mask.paths):
        if path != "*" and path not in known:
            raise InvalidArgument.at(
                f"update_mask.paths[{place}]", f"must be one of {', '.join(known)} or *, not {path!r}"
            )
    return frozenset(known) if "*" in mask.paths else frozenset(mask.paths)


def principal(value: Principal) -> common_pb2.Principal:
    """Who did something."""
    return common_pb2.Principal(
        kind=common_pb2.PrincipalKind.ValueType(value.kind),
        id="" if value.id is None else str(value.id),
        name=value.name,
        api_key_id="" if value.api_key_id is None else str(value.api_key_id),
    )


def address(context: Any) -> str:
    """The address that a call comes from, without its port."""
    kind, _, rest = unquote(context.peer()).partition(":")
    return rest.rpartition(":")[0].strip("[]") if kind in {"ipv4", "ipv6"} else kind


def _safe(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _safe(each) for key, each in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_safe(each) for each in cast("list[Any]", value)]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _WHOLE:
        return str(value)
    return value


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _whole(each) for key, each in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_whole(each) for each in cast("list[Any]", value)]
    if isinstance(value, float) and value.is_integer() and abs(value) <= _WHOLE:
        return int(value)
    return value
