"""Break Weir on purpose: `python -m tests.faults [NAME…] [--seed N]`; exit status 1 where a promise broke."""

import argparse
import asyncio
import logging
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.scenarios import SCENARIOS, Asked
from tests.tools.guard import ROOT
from tests.tools.processes import MARK


def main() -> int:
    """Run scenarios, and print the reports of each."""
    given = _arguments()
    if MARK not in os.environ:
        # Under the guard nothing outlives this command, whatever is killed.
        guard = [sys.executable, str(ROOT / "tests/tools/guard.py"), str(os.getppid())]
        os.execv(sys.executable, [*guard, sys.executable, "-m", "tests.faults", *sys.argv[1:]])  # noqa: S606
    logging.basicConfig(level=logging.ERROR)
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    chosen = [name for name in SCENARIOS if not given.names or name in given.names]
    try:
        broken = [name for name in chosen if not _run(name, folder, given)]
    finally:
        if given.keep:
            shutil.copytree(folder, given.keep, ignore=shutil.ignore_patterns("mariadb", "redis"))
    if len(chosen) > 1:
        told = f"BROKEN: {', '.join(broken)}" if broken else "all hold"
        print(f"{len(chosen)} scenarios: {told}")
    return 1 if broken else 0


def _run(name: str, folder: Path, given: argparse.Namespace) -> bool:
    seed = random.randrange(2**32) if given.seed is None else given.seed
    print(f"{name}: seed {seed}", flush=True)
    began = time.monotonic()
    asked = Asked(folder / name, seed, given.tasks)
    asked.folder.mkdir()
    reports = asyncio.run(SCENARIOS[name](asked))
    for report in reports:
        print(report.json() if given.json else report.text(), flush=True)
    held = all(report.holds for report in reports)
    print(f"{name}: {'holds' if held else 'BROKEN'} after {time.monotonic() - began:.0f} s", flush=True)
    return held


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    known = ", ".join(SCENARIOS)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {known}; none: all")
    parser.add_argument("--seed", type=int, help="what chance decides, it decides alike again")
    parser.add_argument("--tasks", type=int, default=2000, help="tasks of crowd and repeats")
    parser.add_argument("--keep", type=Path, help="folder to keep logs and history in")
    parser.add_argument("--json", action="store_true", help="one JSON object a report")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(SCENARIOS):
        parser.error(f"there is no scenario {', '.join(sorted(unknown))}; known are {known}")
    return asked


if __name__ == "__main__":
    sys.exit(main())
