"""What `async def` handlers print goes to the worker's own log: without the secrets of what just runs."""

import sys
from collections.abc import Callable, Iterable
from typing import Any, TextIO, cast


class CleanStream:
    """A text stream that cleans what is written to it, write by write; all else is the stream's own."""

    def __init__(self, stream: TextIO, clean: Callable[[str], str]) -> None:
        self._stream = stream
        self._clean = clean

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        self._stream.write(self._clean(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)


def clean_printed(clean: Callable[[str], str]) -> None:
    """Clean what this process prints from now on."""
    sys.stdout = cast("TextIO", CleanStream(sys.stdout, clean))
    sys.stderr = cast("TextIO", CleanStream(sys.stderr, clean))
