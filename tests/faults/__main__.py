"""Break Weir on purpose: `python -m tests.faults NAME [--seed N]`; exit status 1 where a promise broke."""

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
    """Run a scenario and print its report."""
    given = _arguments()
    if MARK not in os.environ:
        # Under the guard nothing outlives this command, whatever is killed.
        guard = [sys.executable, str(ROOT / "tests/tools/guard.py"), str(os.getppid())]
        os.execv(sys.executable, [*guard, sys.executable, "-m", "tests.faults", *sys.argv[1:]])  # noqa: S606
    seed = random.randrange(2**32) if given.seed is None else given.seed
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    print(f"{given.name}: seed {seed}", flush=True)
    logging.basicConfig(level=logging.ERROR)
    began = time.monotonic()
    asked = Asked(folder, seed, given.tasks)
    try:
        reports = asyncio.run(SCENARIOS[given.name](asked))
    finally:
        if given.keep:
            shutil.copytree(folder, given.keep, ignore=shutil.ignore_patterns("mariadb", "redis"))
    for report in reports:
        print(report.json() if given.json else report.text(), flush=True)
    held = all(report.holds for report in reports)
    print(f"{given.name}: {'holds' if held else 'BROKEN'} after {time.monotonic() - began:.0f} s", flush=True)
    return 0 if held else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("name", choices=sorted(SCENARIOS))
    parser.add_argument("--seed", type=int, help="what chance decides, it decides alike again")
    parser.add_argument("--tasks", type=int, default=2000, help="tasks of the crowd")
    parser.add_argument("--keep", type=Path, help="folder to keep logs and history in")
    parser.add_argument("--json", action="store_true", help="one JSON object a report")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
