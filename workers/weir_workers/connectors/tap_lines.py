"""What a tap writes, in lines of bounded length."""

from dataclasses import dataclass
from typing import Final

LONGEST: Final = 8 * 1024 * 1024


@dataclass(slots=True)
class TapLines:
    """Cuts what a tap writes into lines; of one that is too long the beginning is kept."""

    rest: bytes = b""
    skipping: bool = False

    def feed(self, chunk: bytes) -> list[tuple[bytes, bool]]:
        """The lines that end here, and whether they are whole."""
        *lines, self.rest = (self.rest + chunk).split(b"\n")
        found: list[tuple[bytes, bool]] = []
        for line in lines:
            if self.skipping:
                self.skipping = False
                continue
            found.append((line, True))
        if len(self.rest) > LONGEST:
            if not self.skipping:
                found.append((self.rest[:LONGEST], False))
            self.rest, self.skipping = b"", True
        return found
