"""Secrets: those that a task's input refers to, and what keeps secrets out of what a task tells.

In an input `{"$secret": "CONNECTION/KEY"}` stands in place of a string. The input is stored and shown so; the
handler gets the value, and nothing that Weir keeps of the task has it.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, cast

MARK: Final = "$secret"
# A shorter one would be found in words that have nothing to do with it.
_SHORTEST: Final = 4
_SHORTEST_LINE: Final = 8


class Masks:
    """Secrets that are kept out of what a task reports."""

    def __init__(self) -> None:
        self._secrets: list[str] = []

    def add(self, secret: str) -> None:
        """Replace this one too, also as `repr` and JSON write it, and of several lines each long one."""
        lines = [line for line in secret.splitlines() if len(line) >= _SHORTEST_LINE]
        written = repr(secret)[1:-1], json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]
        found = {text for text in (*self._secrets, secret, *written, *lines) if text}
        # The longest first: one that is part of another would leave the rest of it to be read.
        self._secrets = sorted(found, key=len, reverse=True)

    def clean(self, text: str) -> str:
        """The text with `[redacted]` in place of secrets."""
        for secret in self._secrets:
            text = text.replace(secret, "[redacted]")
        return text

    def clean_line(self, line: dict[str, Any]) -> dict[str, Any]:
        """A log line without secrets in its text and fields."""
        fields = {self.clean(key): self.clean(value) for key, value in line["fields"].items()}
        return line | {"text": self.clean(line["text"]), "fields": fields}

    def clean_progress(self, progress: dict[str, Any]) -> dict[str, Any]:
        """Progress without secrets in its texts."""
        return progress | {key: self.clean(progress[key]) for key in ("unit", "message")}


class InputSecrets:
    """The secrets that one task's input refers to: references such as `shop/token`, with their values."""

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = dict(values or {})
        self._references = {
            value: reference for reference, value in self._values.items() if len(value) >= _SHORTEST
        }
        self._masks = Masks()
        for value in self.masked:
            self._masks.add(value)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    @property
    def masked(self) -> list[str]:
        """The values that can be kept out of what is told: those of 4 characters and more."""
        return list(self._references)

    def fill(self, given: Any) -> Any:
        """The input with values in place of references; KeyError for one whose value is not known."""
        if isinstance(given, list):
            return [self.fill(each) for each in cast("list[Any]", given)]
        if not isinstance(given, dict):
            return given
        held = cast("dict[str, Any]", given)
        if (reference := _reference(held)) is not None:
            return self._values[reference]
        return {key: self.fill(each) for key, each in held.items()}

    def refer(self, given: Any) -> Any:
        """The reverse, for who is to get such a value too."""
        return _mapped(given, lambda text: {MARK: found} if (found := self._references.get(text)) else text)

    def clean(self, told: Any) -> Any:
        """JSON without the values in its texts."""
        return _mapped(told, self._masks.clean, self._masks.clean) if self._references else told

    def demand_none(self, told: Any, what: str) -> None:
        """Refuse with ValueError what would be kept with a value in it; `what` names it."""
        for value, reference in self._references.items():
            if any(value in text for text in _texts(told)):
                raise ValueError(
                    f"{what} would keep the secret {reference!r} in clear: leave it out; in an input "
                    f'give it alone, or as {{"{MARK}": "{reference}"}}'
                )


def references(given: Any) -> Iterator[str]:
    """The references in an input."""
    if isinstance(given, list):
        for each in cast("list[Any]", given):
            yield from references(each)
    elif isinstance(given, dict):
        held = cast("dict[str, Any]", given)
        if (reference := _reference(held)) is not None:
            yield reference
        else:
            for each in held.values():
                yield from references(each)


def _reference(held: dict[str, Any]) -> str | None:
    named = held.get(MARK) if len(held) == 1 else None
    return named if isinstance(named, str) else None


def _mapped(value: Any, of: Callable[[str], Any], of_key: Callable[[str], str] = str) -> Any:
    if isinstance(value, str):
        return of(value)
    if isinstance(value, list):
        return [_mapped(each, of, of_key) for each in cast("list[Any]", value)]
    if isinstance(value, dict):
        held = cast("dict[str, Any]", value)
        return {of_key(key): _mapped(each, of, of_key) for key, each in held.items()}
    return value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in cast("list[Any]", value):
            yield from _texts(each)
    elif isinstance(value, dict) and _reference(held := cast("dict[str, Any]", value)) is None:
        for key, each in held.items():
            yield key
            yield from _texts(each)
