"""How a request is made from settings: its address, its query, its body. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, cast

import orjson
from yarl import URL

from weir_workers.connectors.setting_types import Scalar

Query: TypeAlias = Mapping[str, Scalar | list[Scalar]]


class BodyConflict(ValueError):
    """A dotted path that leads through something that is no object."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked: a GET, or a POST of a JSON body."""

    url: URL
    body: bytes | None = None
    unless: Mapping[str, str] = field(default_factory=dict[str, str])
    """Headers by which the source answers only if it has changed."""

    @property
    def method(self) -> str:
        """GET or POST."""
        return "GET" if self.body is None else "POST"


@dataclass(frozen=True, slots=True)
class Question:
    """What all pages' requests have in common."""

    url: URL
    body: Mapping[str, Any] | None = None
    in_body: bool = False
    unless: Mapping[str, str] = field(default_factory=dict[str, str])

    def with_params(self, params: Mapping[str, Any]) -> "Question":
        """The same with more parameters, in the query or at dotted paths in the body."""
        if self.in_body:
            return replace(self, body=placed(self.body or {}, params))
        return replace(self, url=self.url.update_query({name: text(each) for name, each in params.items()}))

    def request(self, url: URL | None = None) -> Request:
        """The request as it is sent, elsewhere if told so."""
        body = None if self.body is None else orjson.dumps(dict(self.body))
        return Request(url or self.url, body, self.unless)


def question(base: str, path: str, query: Query, body: Mapping[str, Any] | None, send_in: str) -> Question:
    """The request for all that is there, from its settings; `body` None is a GET."""
    below = path.lstrip("/")
    url = URL(base.rstrip("/") + (f"/{below}" if below else ""))
    sent = {
        name: [text(one) for one in value] if isinstance(value, list) else text(value)
        for name, value in query.items()
    }
    return Question(url.update_query(sent), body, send_in == "body")


def text(value: Scalar) -> str:
    """A value as it stands in a query."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(whole_numbers(value))


def whole_numbers(value: Any) -> Any:
    """The value with whole numbers that have become doubles on their way through JSON."""
    match value:
        case float():
            return int(value) if value.is_integer() else value
        case list():
            return [whole_numbers(one) for one in cast("list[Any]", value)]
        case dict():
            return {name: whole_numbers(one) for name, one in cast("dict[str, Any]", value).items()}
        case _:
            return value


def placed(body: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """The body with values at dotted paths; objects on the way are made, the given one is not changed."""
    found = dict(body)
    for path, value in params.items():
        at = found
        *parents, name = path.split(".")
        for parent in parents:
            inner: Any = at.get(parent, {})
            if not isinstance(inner, dict):
                raise BodyConflict(f"`body`: {parent!r} is no object, so that {path!r} can't be set in it")
            at[parent] = dict(cast("dict[str, Any]", inner))
            at = at[parent]
        at[name] = whole_numbers(value)
    return found
