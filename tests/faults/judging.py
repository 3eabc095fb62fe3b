"""From the end of a run to its report."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from tests.faults import books
from tests.faults.books import Books
from tests.faults.report import Report, hits_enough, numbers
from tests.faults.site import Site
from tests.faults.validator import validate

QUIET = 300.0
"""Seconds of quiet in which every task must end."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says."""

    folder: Path
    seed: int
    tasks: int


async def judge(site: Site, report: Report, since: float, *, settle: bool = True) -> Books:
    """Wait as long as a loss could hide, read the books, and add the validator's judgement to the report."""
    quiet = await site.quiet(QUIET)
    report.demand(f"every task ends within {QUIET:g} s of quiet", kept=quiet)
    if settle:
        await asyncio.sleep(site.pace.lease + 3 * site.pace.sweep)
    found = await books.read(site.runtime, since, site.ledger, await site.left())
    report.numbers |= numbers(site.history, found)
    report.violations += validate(site.history, found)
    report.demand("a third of the kills hit a running task", kept=hits_enough(site.history, found))
    # The report shows the first ones.
    (site.folder / "violations").write_text("".join(f"{each}\n" for each in report.violations))
    return found
