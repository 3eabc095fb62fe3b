"""Whatever is killed, nothing of a guarded command is left."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.tools.guard import ROOT
from tests.tools.processes import descendants, mark

_WITHIN = 10.0
# One process of each kind that could get away: a plain child, one with its own session, an orphan
# of a parent that has ended, one without the mark, and one that ignores what can be ignored.
_FAMILY = r"""
import os, subprocess, sys, time
from pathlib import Path

folder = Path(os.environ["TMPDIR"])
sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
deaf = [sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"]
children = [
    subprocess.Popen(sleep),
    subprocess.Popen(sleep, start_new_session=True),
    subprocess.Popen(sleep, start_new_session=True, env={}),
    subprocess.Popen(deaf, start_new_session=True),
]
flags = "stdout=-3, start_new_session=True, env={}"
parent = f"import subprocess; print(subprocess.Popen({sleep!r}, {flags}).pid)"
orphan = subprocess.run([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True).stdout
(folder / "file").write_text("left behind")
pids = [os.getpid(), int(orphan), *(child.pid for child in children)]
report = Path(sys.argv[1])
report.with_suffix(".part").write_text(" ".join(map(str, [folder, *pids])))
report.with_suffix(".part").rename(report)
time.sleep(600)
"""


class Run:
    """A make that runs the family under the guard, as the project's Makefile does."""

    def __init__(self, folder: Path) -> None:
        (folder / "family.py").write_text(_FAMILY)
        guard = f"{sys.executable} {ROOT}/tests/tools/guard.py $$PPID"
        recipe = f"\t@exec {guard} {sys.executable} {folder}/family.py {folder}/report\n"
        (folder / "Makefile").write_text(f"all:\n{recipe}")
        self.make = subprocess.Popen(["make", "-C", str(folder)], start_new_session=True)
        try:
            within((folder / "report").exists)
        except AssertionError:
            os.killpg(self.make.pid, signal.SIGKILL)
            raise
        told = (folder / "report").read_text().split()
        self.folder, self.family = Path(told[0]), [int(pid) for pid in told[1:]]
        [self.front] = [pid for pid in descendants(self.make.pid) if _parent(pid) == self.make.pid]
        [self.keeper] = [pid for pid in descendants(self.front) if _parent(pid) == self.front]

    def is_gone(self) -> bool:
        """No process of it runs, and its folder is not there."""
        return not self.folder.exists() and not any(map(_runs, [self.front, self.keeper, *self.family]))

    def end(self) -> None:
        for pid in (self.make.pid, self.front, self.keeper, *self.family):
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self.make.wait()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    started = Run(tmp_path)
    assert all(map(_runs, started.family))
    yield started
    started.end()


class TestGuard:
    def test_kill_of_make_leaves_nothing(self, run: Run) -> None:
        run.make.kill()
        run.make.wait()
        within(run.is_gone)

    def test_kill_of_makes_process_group_leaves_nothing(self, run: Run) -> None:
        os.killpg(run.make.pid, signal.SIGKILL)
        run.make.wait()
        within(run.is_gone)

    def test_kill_of_the_front_leaves_nothing(self, run: Run) -> None:
        os.kill(run.front, signal.SIGKILL)
        within(run.is_gone)

    def test_kill_of_the_keeper_leaves_nothing(self, run: Run) -> None:
        os.kill(run.keeper, signal.SIGKILL)
        within(run.is_gone)

    def test_kill_of_the_command_leaves_nothing(self, run: Run) -> None:
        os.kill(run.family[0], signal.SIGKILL)
        within(run.is_gone)
        assert run.make.wait() != 0

    def test_an_interrupt_at_the_terminal_leaves_nothing(self, run: Run) -> None:
        os.killpg(run.make.pid, signal.SIGINT)
        within(run.is_gone)
        assert run.make.wait() != 0

    @pytest.mark.parametrize("status", [0, 3])
    def test_the_commands_status_is_the_guards(self, status: int) -> None:
        guard = [sys.executable, str(ROOT / "tests/tools/guard.py"), str(os.getpid())]
        ended = subprocess.run([*guard, "sh", "-c", f"exit {status}"], check=False, timeout=_WITHIN)
        assert ended.returncode == status


class TestServices:
    def test_end_when_their_reader_is_gone(self) -> None:
        command = [sys.executable, "-m", "tests.tools.services"]
        running = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert running.stdin
        assert running.stdout
        folder = running.stdout.readline().split(b'"folder": "')[1].split(b'"')[0].decode()
        started = descendants(running.pid)
        marked = subprocess.Popen(
            ["sleep", "600"], env=os.environ | mark(Path(folder)), start_new_session=True
        )
        assert len(started) == 2
        running.stdin.close()
        running.stdout.close()
        assert running.wait(_WITHIN) == 0
        assert marked.wait(_WITHIN) == -signal.SIGKILL
        assert not any(map(_runs, started))
        assert not Path(folder).exists()


def within(condition: Callable[[], bool], seconds: float = _WITHIN) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        time.sleep(0.05)


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False
