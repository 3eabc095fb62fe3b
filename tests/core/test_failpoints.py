"""Failpoints: they act where they are armed, and nowhere else."""

import os
import signal
import subprocess
import sys
from pathlib import Path

_PROGRAM = """
from weir_core.failpoints import reach
for number in range(5):
    print(number, flush=True)
    reach("here.done")
"""


def run(armed: str, once: str = "") -> tuple[int, int]:
    """Exit status, and how many times the place was come to."""
    variables = {"WEIR_FAILPOINTS": armed, "WEIR_FAILPOINTS_ONCE": once}
    ran = subprocess.run(
        [sys.executable, "-c", _PROGRAM], env=os.environ | variables, stdout=subprocess.PIPE, check=False
    )
    return ran.returncode, len(ran.stdout.splitlines())


def test_nothing_happens_unarmed_or_armed_elsewhere():
    assert run("") == run("there.done:kill") == (0, 5)


def test_kills_at_once_or_at_the_nth_time():
    assert run("there.done:stop,here.done:kill") == (-signal.SIGKILL, 1)
    assert run("here.done:kill@3") == (-signal.SIGKILL, 3)


def test_acts_once_among_all_who_share_a_folder(tmp_path: Path):
    assert run("here.done:kill", str(tmp_path)) == (-signal.SIGKILL, 1)
    assert run("here.done:kill", str(tmp_path)) == (0, 5)
    assert [file.name for file in tmp_path.iterdir()] == ["here.done"]


def test_goes_on_after_a_sleep():
    assert run("here.done:sleep:0.01@2") == (0, 5)


def test_a_word_that_it_does_not_know_ends_the_start():
    assert run("here.done:explode") == (1, 0)
