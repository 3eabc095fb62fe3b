"""Makes the blocking client out of the asynchronous one, token by token.

`await` and `async` go, `AsyncClient` becomes `Client`, `weir.aio` becomes `weir.blocking`. What really
differs stands in each package's own `io`, so there is nothing else to tell apart.
"""

import io
import re
import tokenize
from pathlib import Path

HAND_WRITTEN = frozenset({"io.py", "__init__.py"})

_NAMES = {
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "StopAsyncIteration": "StopIteration",
    "aio": "blocking",
}
_GONE = frozenset({"async", "await"})


def make_blocking(aio: Path, blocking: Path) -> None:
    """Writes the twin of each module of `aio` that has none of its own."""
    blocking.mkdir(parents=True, exist_ok=True)
    for source in sorted(aio.glob("*.py")):
        if source.name not in HAND_WRITTEN:
            (blocking / source.name).write_text(to_blocking(source.read_text()))


def to_blocking(source: str) -> str:
    """The module without waiting."""
    lines = source.splitlines(keepends=True)
    for token in reversed(list(tokenize.generate_tokens(io.StringIO(source).readline))):
        (row, start), (end_row, end) = token.start, token.end
        if token.type == tokenize.NAME and token.string in _GONE:
            lines[row - 1] = lines[row - 1][:start] + lines[row - 1][end:].lstrip(" ")
        elif token.type == tokenize.NAME:
            lines[row - 1] = lines[row - 1][:start] + _name(token.string) + lines[row - 1][end:]
        elif token.type in {tokenize.STRING, tokenize.COMMENT} and row == end_row:
            lines[row - 1] = lines[row - 1][:start] + _text(token.string) + lines[row - 1][end:]
        elif token.type == tokenize.STRING:
            for index in range(row - 1, end_row):
                lines[index] = _text(lines[index])
    return "".join(lines)


def _name(name: str) -> str:
    return _NAMES.get(name) or re.sub(r"^(_?)Async(?=[A-Z])", r"\1", name)


def _text(text: str) -> str:
    without = re.sub(r"\b(async|await) ", "", text)
    asynchronous = without.replace("asynchronous", "blocking").replace("weir.aio", "weir.blocking")
    return re.sub(r"\bAsync(?=[A-Z])", "", asynchronous)
