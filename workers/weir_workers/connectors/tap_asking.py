"""A question that a tap answers, and ends."""

import asyncio
from dataclasses import dataclass
from typing import Final

from weir_workers.connectors.errors import SourceError
from weir_workers.connectors.tap_failures import invalid
from weir_workers.connectors.tap_process import Program, running

_LARGEST: Final = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """All that it has written and said, secrets taken out of the latter."""

    code: int
    written: bytes
    said: list[str]
    last_words: str


async def ask(program: Program, seconds: float) -> Answer:
    """Runs a tap to its end; SourceError where that takes longer, or it writes too much."""
    written = bytearray()
    async with running(program) as tap:
        try:
            async with asyncio.timeout(seconds):
                while chunk := await tap.read():
                    written += chunk
                    if len(written) > _LARGEST:
                        raise invalid(f"the tap's catalog has more than {_LARGEST:,} bytes", "tap.catalog")
                code = await tap.ended()
        except TimeoutError:
            raise SourceError(
                "DEPENDENCY", "the tap did not list its streams in time", code="tap.timeout"
            ) from None
        return Answer(code, bytes(written), tap.said(), tap.last_words)
