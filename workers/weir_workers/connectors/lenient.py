"""Reads JSON that is not proper: NaN, lone surrogates, bytes that are no UTF-8. Slow."""

import json
from collections.abc import Iterator
from typing import Any

from weir_workers.connectors.errors import BodyCut
from weir_workers.connectors.paths import Cutter

_SPACE = " \t\r\n"


def check(body: bytes) -> None:
    """BodyCut if it is no whole document."""
    try:
        parsed(body)
    except ValueError:
        raise BodyCut("the body is no whole JSON document") from None


def parsed(raw: bytes) -> Any:
    """The value as Python objects."""
    return json.loads(_text(raw), strict=False)


def _member(raw: bytes, name: str) -> bytes:
    text = _text(raw)
    start = _skip(text, 0)
    if text[start] != "{":
        return b""
    begin, end = dict(_members(text, start)).get(name, (0, 0))
    return _bytes(text[begin:end])


def _elements(raw: bytes) -> list[bytes]:
    text = _text(raw)
    return [_bytes(text[start:end]) for start, end in _spans(text)]


def _members(text: str, start: int) -> Iterator[tuple[str, tuple[int, int]]]:
    """Names of an object's members and where their values stand."""
    decoder = json.JSONDecoder(strict=False)
    at = _skip(text, start + 1)
    while text[at] != "}":
        name, at = decoder.raw_decode(text, at)
        span = _span(decoder, text, _skip(text, at) + 1)
        yield name, span
        at = _skip(text, span[1])
        at = _skip(text, at + 1) if text[at] == "," else at


def _spans(text: str) -> Iterator[tuple[int, int]]:
    """Where each element of a list begins and ends."""
    decoder = json.JSONDecoder(strict=False)
    at = _skip(text, _skip(text, 0) + 1)
    while text[at] != "]":
        span = _span(decoder, text, at)
        yield span
        at = _skip(text, span[1])
        at = _skip(text, at + 1) if text[at] == "," else at


def _span(decoder: json.JSONDecoder, text: str, at: int) -> tuple[int, int]:
    start = _skip(text, at)
    return start, decoder.raw_decode(text, start)[1]


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


def _text(raw: bytes) -> str:
    # Odd bytes must come out as they came in.
    return raw.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


CUTTER = Cutter(_member, _elements)
"""For what is not proper; takes what is, too."""
