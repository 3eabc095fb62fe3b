"""Arrow types as text, such as `timestamp[us, tz=UTC]`, and back.

The text is what the contract shows of a column and what the database keeps, so
it must come back as the same type: a field name that could be misread is
written as a JSON string.
"""

import json
import re
from collections.abc import Callable

import pyarrow as pa

_SIMPLE: dict[str, pa.DataType] = {
    "bool": pa.bool_(),
    "boolean": pa.bool_(),
    "int8": pa.int8(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "uint8": pa.uint8(),
    "uint16": pa.uint16(),
    "uint32": pa.uint32(),
    "uint64": pa.uint64(),
    "float": pa.float32(),
    "float32": pa.float32(),
    "double": pa.float64(),
    "float64": pa.float64(),
    "string": pa.string(),
    "utf8": pa.string(),
    "binary": pa.binary(),
    "date32": pa.date32(),
    "date32[day]": pa.date32(),
    "time64[us]": pa.time64("us"),
    "time64[ns]": pa.time64("ns"),
}
_TIMESTAMP = re.compile(r"timestamp\[(s|ms|us|ns)(?:, ?tz=UTC)?\]")
_DECIMAL = re.compile(r"decimal128\((\d{1,2}), ?(\d{1,2})\)")
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_MAX_DEPTH = 32

KNOWN_TYPES = (
    "bool, int8 to int64, uint8 to uint64, float, double, string, binary, date32[day], time64[us], "
    "timestamp[us], timestamp[us, tz=UTC], decimal128(18, 2), list<TYPE>, struct<NAME: TYPE, …>"
)


class UnknownType(ValueError):
    """A text that names no type a dataset can hold."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text!r} is no column type; known are {KNOWN_TYPES}")


def type_text(kind: pa.DataType) -> str:
    """The text of a type; `parse_type` gives the type back."""
    if pa.types.is_struct(kind):
        return f"struct<{', '.join(_member_text(kind.field(i)) for i in range(kind.num_fields))}>"
    if pa.types.is_list(kind):
        return f"list<{type_text(kind.value_type)}>"
    return str(kind)


def parse_type(text: str) -> pa.DataType:
    """The type that a text names; UnknownType if there is none."""
    parser = _Parser(text)
    kind = parser.kind(0)
    if not parser.at_end():
        raise UnknownType(text)
    return kind


def _member_text(field: pa.Field) -> str:
    name = field.name if _PLAIN_NAME.fullmatch(field.name) else json.dumps(field.name)
    return f"{name}: {type_text(field.type)}{'' if field.nullable else ' not null'}"


class _Parser:
    """Reads a type from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def at_end(self) -> bool:
        return not self._text[self._at :].strip()

    def kind(self, depth: int) -> pa.DataType:
        if depth > _MAX_DEPTH:
            raise UnknownType(self._text)
        if self._take("struct<"):
            return pa.struct(self._members(depth))
        if self._take("list<"):
            self._take("item: ")
            inner = self.kind(depth + 1)
            self._need(">")
            return pa.list_(inner)
        return self._scalar()

    def _members(self, depth: int) -> list[pa.Field]:
        members: list[pa.Field] = []
        while not self._take(">"):
            if members:
                self._need(",")
            name = self._name()
            self._need(":")
            kind = self.kind(depth + 1)
            members.append(pa.field(name, kind, nullable=not self._take("not null")))
        return members

    def _name(self) -> str:
        self._skip()
        if self._text[self._at : self._at + 1] != '"':
            return self._match(_PLAIN_NAME).group()
        try:
            name, self._at = json.JSONDecoder().raw_decode(self._text, self._at)
        except ValueError:
            raise UnknownType(self._text) from None
        return str(name)

    def _scalar(self) -> pa.DataType:
        self._skip()
        for pattern, build in _SCALARS:
            found = pattern.match(self._text, self._at)
            if found is not None:
                self._at = found.end()
                return self._built(build, found)
        raise UnknownType(self._text)

    def _built(self, build: "Callable[[re.Match[str]], pa.DataType]", found: re.Match[str]) -> pa.DataType:
        try:
            return build(found)
        except (ValueError, pa.ArrowException):
            raise UnknownType(self._text) from None

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str]:
        found = pattern.match(self._text, self._at)
        if found is None:
            raise UnknownType(self._text)
        self._at = found.end()
        return found

    def _take(self, token: str) -> bool:
        self._skip()
        if not self._text.startswith(token, self._at):
            return False
        self._at += len(token)
        return True

    def _need(self, token: str) -> None:
        if not self._take(token):
            raise UnknownType(self._text)

    def _skip(self) -> None:
        while self._text[self._at : self._at + 1] == " ":
            self._at += 1


def _timestamp(found: re.Match[str]) -> pa.DataType:
    return pa.timestamp(found[1], "UTC" if "tz=" in found[0] else None)


def _decimal(found: re.Match[str]) -> pa.DataType:
    return pa.decimal128(int(found[1]), int(found[2]))


# Longer names stand first, so that `date32[day]` is not read as `date32` and a rest.
_SCALARS: list[tuple[re.Pattern[str], Callable[[re.Match[str]], pa.DataType]]] = [
    (_TIMESTAMP, _timestamp),
    (_DECIMAL, _decimal),
    (
        re.compile("|".join(re.escape(name) for name in sorted(_SIMPLE, key=len, reverse=True))),
        lambda found: _SIMPLE[found.group()],
    ),
]
