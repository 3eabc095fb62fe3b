"""Cuts what a process prints into lines."""

from typing import Final

_LONGEST: Final = 16_000
_CUT: Final = " [cut]"


class Lines:
    """Text of one stream, line by line; of a line beyond 16,000 bytes the rest is dropped."""

    def __init__(self) -> None:
        self._begun = b""
        self._cut = False
        self._returned = False

    @property
    def begun(self) -> bool:
        """True where a line waits for its end."""
        return bool(self._begun)

    def feed(self, chunk: bytes) -> list[str]:
        """The lines that end in this chunk."""
        first, *others = chunk.split(b"\n")
        self._extend(first)
        ended: list[str] = []
        for piece in others:
            ended.append(self._end())
            self._extend(piece)
        return ended

    def rest(self) -> list[str]:
        """The line that has begun, as far as it is known, where there is one."""
        return [self._end()] if self._begun else []

    def _extend(self, piece: bytes) -> None:
        text = piece.rstrip(b"\r")
        returned = self._returned
        self._returned = returned or text != piece
        if not text:
            return
        # As on a terminal: what comes after a carriage return is written over what stood there.
        if returned or b"\r" in text:
            self._begun, self._cut = b"", False
            text = text.rpartition(b"\r")[2]
        self._returned = piece.endswith(b"\r")
        room = _LONGEST - len(self._begun)
        self._cut = self._cut or len(text) > room
        self._begun += text[:room]

    def _end(self) -> str:
        text = self._begun.decode(errors="replace")
        ended = text + _CUT if self._cut else text
        self._begun, self._cut, self._returned = b"", False, False
        return ended
