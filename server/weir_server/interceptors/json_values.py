"""Checks the JSON values (Struct, Value, ListValue) of a request before anything converts them.

What is nested too deep could be stored and never be read back; NaN has no place
in JSON; and a message of a few kilobytes may hold so many values that turning
them into objects would stop the server for a second.
"""

from collections.abc import Iterator
from functools import cache
from math import isfinite
from typing import Any, Final

from google.protobuf.message import Message

from weir_core.errors import InvalidArgument

DEPTH: Final = 32
VALUES: Final = 50_000

_JSON: Final = {"google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.ListValue"}

# A place in a request: the place that it lies in, and its name there.
_Place = tuple["_Place", str] | None


def check_json(request: Message) -> None:
    """Raises InvalidArgument with the path of the first value that is not allowed."""
    if not _holds_json(request.DESCRIPTOR):
        return
    # Own stack: Python's would be the first to end.
    waiting = [(value, place, 0) for value, place in _roots(request, None)]
    count = 0
    while waiting:
        value, place, depth = waiting.pop()
        count += 1
        if depth > DEPTH:
            raise InvalidArgument.at(_text(place), f"is nested deeper than {DEPTH} levels")
        if count > VALUES:
            raise InvalidArgument.at(_text(place), f"has, with its neighbours, more than {VALUES} values")
        waiting.extend((inner, inner_place, depth + 1) for inner, inner_place in _inside(value, place))


def _inside(value: Any, place: _Place) -> Iterator[tuple[Any, _Place]]:
    """The values right inside of one."""
    content = value
    if value.DESCRIPTOR.name == "Value":
        kind = value.WhichOneof("kind")
        if kind is None:
            raise InvalidArgument.at(_text(place), "has no value; null is written as null_value")
        content = getattr(value, kind)
    if isinstance(content, float) and not isfinite(content):
        raise InvalidArgument.at(_text(place), f"must be a finite number, not {content}")
    if isinstance(content, Message) and content.DESCRIPTOR.name == "Struct":
        fields: Any = content
        yield from ((fields.fields[key], (place, f".{key}")) for key in fields.fields)
    elif isinstance(content, Message):
        items: Any = content
        yield from ((item, (place, f"[{index}]")) for index, item in enumerate(items.values))


@cache
def _holds_json(kind: Any) -> bool:
    """True for a message type that is JSON, or is made of types that are."""
    found = {kind.full_name: kind}
    waiting = [kind]
    while waiting:
        for field in waiting.pop().fields:
            inner = field.message_type
            if inner is not None and inner.full_name not in found:
                found[inner.full_name] = inner
                waiting.append(inner)
    return not _JSON.isdisjoint(found)


def _roots(message: Message, place: _Place) -> Iterator[tuple[Any, _Place]]:
    for field, value in message.ListFields():
        kind: Any = field.message_type
        if kind is None or not _holds_json(kind):
            continue
        for inner, inner_place in _items(field, value, (place, f".{field.name}")):
            if inner.DESCRIPTOR.full_name in _JSON:
                yield inner, inner_place
            else:
                yield from _roots(inner, inner_place)


def _items(field: Any, value: Any, place: _Place) -> Iterator[tuple[Message, _Place]]:
    if not field.is_repeated:
        yield value, place
    elif field.message_type.GetOptions().map_entry:
        yield from ((value[key], (place, f"[{key!r}]")) for key in value)
    else:
        yield from ((item, (place, f"[{index}]")) for index, item in enumerate(value))


def _text(place: _Place) -> str:
    parts: list[str] = []
    while place is not None:
        place, name = place
        parts.append(name)
    return "".join(reversed(parts)).lstrip(".")
