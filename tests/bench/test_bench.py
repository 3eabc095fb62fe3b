"""Benchmarks run, each at its smallest size; what they measure there says nothing.

`make bench ARGS=--tiny` runs those too that take ten seconds and more even so: start, collect, sql.
"""

import re
import subprocess
import sys

import pytest

from tests.bench.__main__ import BENCHMARKS
from tests.bench.site import ROOT

_LINES = {
    "watch": ["event to watcher, 5 at 1/s, p99", "CPU an event"],
    "memory": ["memory a watcher, of 10"],
    "calls": ["GetTask, 32 in flight", "SubmitTask, 32 in flight"],
    "drain": ["drain of 20 tasks"],
    "leftovers": ["Redis after 20 finished tasks"],
    "progress": ["run of 2,000 records, first page to first event", "progress of a run, watched"],
    "read": ["ReadArrow, 2,000 rows", "ReadArrow, first rows", "ReadArrow, one record of 2,000"],
    "lists": ["first page, all projects", "page 99, one project", "creator, rare, one project"],
}


@pytest.mark.timeout(300)
def test_benchmarks_print_their_lines():
    ran = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--tiny", *_LINES],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=280,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
    ran_ones = [name for name in BENCHMARKS if name in _LINES]
    parts = dict(zip(ran_ones, re.split(r"\n\n\w+\n", ran.stdout)[1:], strict=True))
    for name, lines in _LINES.items():
        for line in lines:
            assert re.search(rf"^  {re.escape(line)}.* .*\d.* \| ", parts[name], re.MULTILINE), parts[name]


def test_a_name_that_is_none_is_refused_with_those_there_are():
    ran = subprocess.run(
        [sys.executable, "-m", "tests.bench", "speed"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2
    assert "no benchmark speed" in ran.stderr
    assert all(name in ran.stderr for name in BENCHMARKS)
