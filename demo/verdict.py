"""What had to be true, and whether it was."""

from collections.abc import Iterator
from dataclasses import dataclass

from demo.fingerprint import Fingerprint
from demo.following import Followed
from demo.source import Record
from weir.types import Run

# One that is killed, and one that goes on.
_ATTEMPTS = 2


@dataclass(frozen=True)
class Check:
    """One sentence, and whether it holds; `found` says what was seen in its place."""

    sentence: str
    holds: bool
    found: str


@dataclass(frozen=True)
class Evidence:
    """All that the demo saw."""

    expected: Fingerprint
    read: Fingerprint
    wrong_columns: list[str]
    run: Run
    followed: Followed
    history: list[int]
    record: Record
    planned: dict[str, int]
    page_size: int

    @property
    def pages(self) -> int:
        """Pages that the source has."""
        return -(-self.expected.records // self.page_size)

    @property
    def committed_pages(self) -> int:
        """Pages whose records were all committed when the worker was killed."""
        kill = self.followed.kill
        return kill.committed.records_read // self.page_size if kill else 0

    @property
    def asked_again(self) -> tuple[int, int]:
        """Pages asked for again after the kill: committed ones, and others."""
        if self.followed.kill is None:
            return 0, 0
        again = self.record.again_after(self.followed.kill.record)
        committed = sum(1 for page in again if page <= self.committed_pages)
        return committed, len(again) - committed


def checks(seen: Evidence) -> list[Check]:
    """Each of them must hold."""
    return [*_of_records(seen), *_of_the_kill(seen), *_of_the_stream(seen), *_of_the_source(seen)]


def _of_records(seen: Evidence) -> Iterator[Check]:
    expected, read, counters = seen.expected, seen.read, seen.run.counters
    yield Check(
        "as many records came back as the CSV has",
        read.records == expected.records,
        f"{read.records:,} in place of {expected.records:,}",
    )
    yield Check(
        "the checksum over all 19 columns is that of the CSV",
        read == expected,
        f"{read.checksum} in place of {expected.checksum}",
    )
    yield Check(
        "the columns have the types that were declared", not seen.wrong_columns, "; ".join(seen.wrong_columns)
    )
    yield Check(
        "no record is in quarantine",
        counters.records_quarantined == 0,
        f"{counters.records_quarantined:,} are",
    )


def _of_the_kill(seen: Evidence) -> Iterator[Check]:
    kill, attempts = seen.followed.kill, seen.followed.attempts
    yield Check(
        "the worker was killed in the middle", kill is not None, "the run had ended before there was a chance"
    )
    yield Check(
        "nothing of the killed worker lived on",
        kill is None or kill.all_gone,
        "a process below it still runs",
    )
    yield Check("a second attempt ended the run", attempts == _ATTEMPTS, f"it took {attempts}")
    committed, _ = seen.asked_again
    yield Check("no page of a committed segment was asked for again", committed == 0, f"{committed} were")


def _of_the_stream(seen: Evidence) -> Iterator[Check]:
    numbers = seen.followed.numbers
    whole = list(range(1, len(numbers) + 1))
    yield Check(
        "the watcher saw each event once, in order, with no hole",
        numbers == whole and not seen.followed.gaps,
        f"{_first_difference(numbers, whole)}{'; '.join(seen.followed.gaps)}",
    )
    yield Check(
        "it is the stream that the history keeps",
        numbers == seen.history,
        f"{len(numbers)} seen, {len(seen.history)} kept",
    )
    last = seen.followed.last_state
    yield Check("its last event said SUCCEEDED", last == "SUCCEEDED", last or "there was none")


def _of_the_source(seen: Evidence) -> Iterator[Check]:
    missing = set(range(1, seen.pages + 1)) - seen.record.pages_given()
    yield Check("every page was given", not missing, f"not given: {sorted(missing)[:10]}")
    answers = seen.record.answers()
    quiet = [fault for fault in seen.planned if not answers[fault]]
    yield Check("the source misbehaved in every way it can", not quiet, f"no {', '.join(quiet)}")


def _first_difference(numbers: list[int], whole: list[int]) -> str:
    different = next((pair for pair in zip(numbers, whole, strict=True) if pair[0] != pair[1]), None)
    return f"{different[0]} came where {different[1]} was due; " if different else ""
