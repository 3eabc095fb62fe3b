"""What must be true at the end, each with what was found instead."""

from dataclasses import dataclass

from demo.fingerprint import Fingerprint
from demo.following import Followed
from demo.source import Record

_ATTEMPTS = 2
"""One that is killed, one that goes on."""


@dataclass(frozen=True)
class Accounts:
    """All that was seen, to be compared."""

    expected: Fingerprint
    received: Fingerprint
    quarantined: int
    wrong_types: list[str]
    seen: Followed
    record: Record
    page_size: int

    @property
    def pages(self) -> int:
        """Pages that the source has."""
        return -(-self.expected.records // self.page_size)

    @property
    def asked_again(self) -> list[int]:
        """Pages that were asked for before the kill and again after it."""
        return sorted(self.record.again_after(self.seen.kill.record)) if self.seen.kill else []

    @property
    def committed_pages(self) -> int:
        """Pages whose records were committed when the worker was killed."""
        return self.seen.kill.committed.records_read // self.page_size if self.seen.kill else 0

    @property
    def committed_asked_again(self) -> list[int]:
        """Of those asked again, the ones that were committed already."""
        return [page for page in self.asked_again if page <= self.committed_pages]

    def untrue(self) -> list[str]:
        """Every statement that does not hold; empty where all is well."""
        kill, numbers = self.seen.kill, self.seen.numbers
        statements = [
            (self.seen.last_state == "SUCCEEDED", f"the run ended {self.seen.last_state}, not SUCCEEDED"),
            (kill is not None, "the worker was not killed: the run had ended before"),
            (kill is None or kill.all_gone, "something of the killed worker went on running"),
            (self.seen.attempts == _ATTEMPTS, f"{self.seen.attempts} attempts were made, not {_ATTEMPTS}"),
            (numbers == list(range(1, len(numbers) + 1)), "the watcher's stream has a hole or a double"),
            (not self.seen.gaps, f"events are missing: {'; '.join(self.seen.gaps)}"),
            (
                not self.committed_asked_again,
                f"pages of committed segments were asked again: {self.committed_asked_again}",
            ),
            (
                self.received.records == self.expected.records,
                f"{self.received.records:,} records came back, not {self.expected.records:,}",
            ),
            (self.received == self.expected, "the checksum over all columns is another one"),
            (not self.quarantined, f"{self.quarantined:,} records were put into quarantine"),
            (not self.wrong_types, "; ".join(self.wrong_types)),
        ]
        return [text for holds, text in statements if not holds]
