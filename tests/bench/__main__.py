"""`python -m tests.bench [NAME…] [--quick]`: run benchmarks and print a line for each thing measured."""

import argparse
import os
import sys
import time

import uvloop

from tests.bench import (
    calls,
    collecting,
    draining,
    leftovers,
    lists,
    memory,
    querying,
    reading,
    starting,
    telling,
    watching,
)
from tests.bench.report import Benchmark, say, show
from tests.bench.site import FULL, QUICK, TINY, Size, open_site

# Those with a worker come first; `lists` fills the table of tasks, so it comes last.
BENCHMARKS: dict[str, Benchmark] = {
    "start": starting.measure,
    "drain": draining.measure,
    "leftovers": leftovers.measure,
    "collect": collecting.measure,
    "sql": querying.measure,
    "progress": telling.measure,
    "read": reading.measure,
    "watch": watching.measure,
    "memory": memory.measure,
    "calls": calls.measure,
    "lists": lists.measure,
}


def main() -> int:
    """Run what was asked for."""
    asked = _arguments()
    size = TINY if asked.tiny else QUICK if asked.quick else FULL
    if asked.rows:
        size = size.with_rows(asked.rows)
    chosen = [name for name in BENCHMARKS if not asked.names or name in asked.names]
    uvloop.run(_run(chosen, size))
    return 0


async def _run(names: list[str], size: Size) -> None:
    async with open_site() as site:
        versions = f"{site.services['mariadb_version']}, {site.services['redis_version']}"
        python, load = sys.version.split()[0], os.getloadavg()[0]
        say(f"{versions}, Python {python}, {os.cpu_count()} cores, load {load:.1f}")
        for name in names:
            began = time.monotonic()
            say(f"\n{name}")
            async for line in BENCHMARKS[name](site, size):
                show(line)
            say(f"  ({time.monotonic() - began:.0f} s)")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure and print.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(BENCHMARKS)}; none: all")
    parser.add_argument("--quick", action="store_true", help="about a minute for all")
    parser.add_argument(
        "--tiny", action="store_true", help="only to see that they run: the numbers say nothing"
    )
    parser.add_argument(
        "--rows", type=int, help="tasks for `lists`, records for collecting and reading, up to 1,000,000"
    )
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(BENCHMARKS):
        known = ", ".join(BENCHMARKS)
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; known are {known}")
    return asked


if __name__ == "__main__":
    sys.exit(main())
