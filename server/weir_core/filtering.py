"""Filters: the subset of AIP-160 that `common.proto` states, read into a small tree, then into SQL.

    state = FAILED AND (queue = "gpu" OR type != "monitor.source")

No pattern of a caller's is ever run by `re`; the length and the number of terms
are bounded.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_

from weir_core.errors import FilterInvalid, Violation

_MAX_LENGTH: Final = 2000
_MAX_TERMS: Final = 20
_MAX_DEPTH: Final = 20
_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<op><=|>=|!=|=|<|>)|(?P<bracket>[()])|"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<word>[^\s()=!<>"]+))"""
)


@dataclass(frozen=True, slots=True)
class Compare:
    """One term: a field's path, an operator, a value as text."""

    path: str
    op: str
    value: str


@dataclass(frozen=True, slots=True)
class And:
    """All of them."""

    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Any of them."""

    items: tuple["Node", ...]


Node = Compare | And | Or


@dataclass(frozen=True, slots=True)
class Filterable:
    """A column that a filter may name, how its values are written, and which operators an index serves."""

    column: ColumnElement[Any]
    convert: Callable[[str], Any] = str
    ops: tuple[str, ...] = ("=", "!=")
    bound: Callable[[str, Any], ColumnElement[bool]] | None = None
    """A wider condition besides, which the list's own index serves."""


@dataclass(frozen=True, slots=True)
class FieldOf:
    """A map whose entries a filter may name, as `labels.KEY`; `condition` makes SQL of name and value."""

    condition: Callable[[str, str], ColumnElement[bool]]


Fields = Mapping[str, Filterable | FieldOf]


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    column: int


def parse(text: str) -> Node | None:
    """The tree of a filter; None for an empty one."""
    if len(text) > _MAX_LENGTH:
        raise _invalid(f"is longer than {_MAX_LENGTH} characters", _MAX_LENGTH)
    tokens = _tokens(text)
    if not tokens:
        return None
    reader = _Reader(tokens, len(text) + 1)
    node = reader.either(0)
    if rest := reader.peek():
        raise _invalid(f"expected AND or OR, found {rest.text!r}", rest.column)
    return node


def to_sql(node: Node | None, fields: Fields) -> list[ColumnElement[bool]]:
    """The conditions of a filter; FilterInvalid for a field or a value that can't be."""
    return [] if node is None else [_condition(node, fields)]


def matches(node: Node | None, values: Mapping[str, str]) -> bool:
    """True where a filter holds of something that is in no table; its fields are texts."""
    match node:
        case None:
            return True
        case And(items):
            return False not in [matches(item, values) for item in items]
        case Or(items):
            return True in [matches(item, values) for item in items]
        case Compare(path, op, value):
            if path not in values or op not in {"=", "!="}:
                known = ", ".join(values)
                raise FilterInvalid(
                    Violation("filter", f"can only compare {known} with = or !=, not {path!r}")
                )
            return (values[path] == value) is (op == "=")


def enum_value(kind: type[IntEnum]) -> Callable[[str], int]:
    """Reads a name of an enum, without the contract's prefix."""

    def convert(text: str) -> int:
        names = [member.name for member in kind if member.value]
        if text not in names:
            raise ValueError(f"must be one of {', '.join(names)}")
        return int(kind[text])

    return convert


def name_value(kind: type[StrEnum]) -> Callable[[str], str]:
    """Reads a name of an enum that is stored by its name."""

    def convert(text: str) -> str:
        if text not in kind.__members__:
            raise ValueError(f"must be one of {', '.join(kind.__members__)}")
        return text

    return convert


def time_value(text: str) -> datetime:
    """Reads an RFC 3339 time."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise ValueError('must be a time such as "2026-11-01T12:00:00Z"')
    return instant


def id_value(text: str) -> UUID:
    """Reads a UUID."""
    try:
        return UUID(text)
    except ValueError:
        raise ValueError("must be a UUID") from None


def bool_value(text: str) -> bool:
    """Reads true or false."""
    if text not in {"true", "false"}:
        raise ValueError("must be true or false")
    return text == "true"


def _invalid(description: str, column: int) -> FilterInvalid:
    return FilterInvalid(Violation("filter", f"{description} (column {column})"), column=str(column))


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    place = 0
    while text[place:].strip():
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            raise _invalid(f"can't read {text[place:].strip()[:20]!r}", place + 1)
        value = match.group(match.lastgroup)
        if match.lastgroup == "quoted":
            value = re.sub(r"\\(.)", r"\1", value)
        tokens.append(_Token(match.lastgroup, value, match.start(match.lastgroup) + 1))
        place = match.end()
    if sum(token.kind == "op" for token in tokens) > _MAX_TERMS:
        raise _invalid(f"has more than {_MAX_TERMS} terms", tokens[-1].column)
    return tokens


class _Reader:
    """Recursive descent; OR binds looser than AND."""

    def __init__(self, tokens: list[_Token], end: int) -> None:
        self._tokens = tokens
        self._end = end
        self._next = 0

    def peek(self) -> _Token | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def either(self, depth: int) -> Node:
        items = [self._all(depth)]
        while self._take("word", "OR"):
            items.append(self._all(depth))
        return items[0] if len(items) == 1 else Or(tuple(items))

    def _all(self, depth: int) -> Node:
        items = [self._term(depth)]
        while self._take("word", "AND"):
            items.append(self._term(depth))
        return items[0] if len(items) == 1 else And(tuple(items))

    def _term(self, depth: int) -> Node:
        if self._take("bracket", "("):
            if depth == _MAX_DEPTH:
                raise _invalid(f"has more than {_MAX_DEPTH} brackets in one another", self._column())
            node = self.either(depth + 1)
            if not self._take("bracket", ")"):
                raise _invalid("lacks a closing bracket", self._column())
            return node
        path = self._want("word", "a field's name")
        op = self._want("op", f"one of = != < <= > >= after {path!r}")
        value = self._want_value(path)
        return Compare(path, op, value)

    def _take(self, kind: str, text: str) -> bool:
        token = self.peek()
        if token is None or (token.kind, token.text) != (kind, text):
            return False
        self._next += 1
        return True

    def _want(self, kind: str, what: str) -> str:
        token = self.peek()
        if token is None or token.kind != kind:
            raise _invalid(f"expected {what}", self._column())
        self._next += 1
        return token.text

    def _want_value(self, path: str) -> str:
        token = self.peek()
        if token is None or token.kind not in {"word", "quoted"}:
            raise _invalid(f"expected a value for {path!r}", self._column())
        self._next += 1
        return token.text

    def _column(self) -> int:
        token = self.peek()
        return token.column if token else self._end


def _condition(node: Node, fields: Fields) -> ColumnElement[bool]:
    match node:
        case And(items):
            return and_(*(_condition(item, fields) for item in items))
        case Or(items):
            return or_(*(_condition(item, fields) for item in items))
        case Compare(path, op, value):
            return _comparison(path, op, value, fields)


_OPERATORS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _comparison(path: str, op: str, value: str, fields: Fields) -> ColumnElement[bool]:
    entry_of = fields.get(path.partition(".")[0])
    if isinstance(entry_of, FieldOf):
        return _entry(entry_of, path, op, value)
    target = fields.get(path)
    if not isinstance(target, Filterable):
        raise FilterInvalid(
            Violation("filter", f"{path!r} can't be filtered by; known are {', '.join(fields)}")
        )
    if op not in target.ops:
        raise FilterInvalid(Violation("filter", f"{path!r} can only be compared with {' '.join(target.ops)}"))
    try:
        operand = target.convert(value)
    except ValueError as error:
        raise FilterInvalid(Violation("filter", f"{path!r} {error}, not {value!r}")) from None
    found = _OPERATORS[op](target.column, operand)
    return found if target.bound is None else and_(target.bound(op, operand), found)


def _entry(target: FieldOf, path: str, op: str, value: str) -> ColumnElement[bool]:
    _, _, name = path.partition(".")
    if not name or op not in {"=", "!="}:
        raise FilterInvalid(Violation("filter", f"{path!r} must name an entry, and be compared with = or !="))
    found = target.condition(name, value)
    return found if op == "=" else ~found
