"""The guard of `weir up`: what lives when its input ends is killed, with its process group."""

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.fixtures.up import runs, within
from tests.tools.processes import descendants
from weir_server.embedded import guard
from weir_server.embedded.guarding import Guard


@pytest.fixture
def sleeper() -> Generator[subprocess.Popen[bytes]]:
    """A process group of two."""
    process = subprocess.Popen(["sh", "-c", "sleep 600 & exec sleep 600"], start_new_session=True)
    within(lambda: len(descendants(process.pid)) == 1)
    yield process
    process.kill()
    process.wait()


def folder_in(tmp_path: Path) -> Path:
    made = tmp_path / "run"
    made.mkdir()
    (made / "redis.sock").touch()
    return made


class TestProgram:
    def start(self, folder: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-I", "-S", guard.__file__, str(folder)]
        return subprocess.Popen(command, stdin=subprocess.PIPE)

    def test_kills_what_lives_when_the_input_ends(self, sleeper: subprocess.Popen[bytes], tmp_path: Path):
        folder, family = folder_in(tmp_path), descendants(sleeper.pid) | {sleeper.pid}
        watching = self.start(folder)
        watching.communicate(f"+{sleeper.pid}\n".encode())
        assert sleeper.wait() == -signal.SIGKILL
        within(lambda: not any(map(runs, family)))
        assert not folder.exists()

    def test_spares_what_it_was_told_has_ended(self, sleeper: subprocess.Popen[bytes], tmp_path: Path):
        watching = self.start(folder_in(tmp_path))
        watching.communicate(f"+{sleeper.pid}\n-{sleeper.pid}\n".encode())
        assert watching.returncode == 0
        assert sleeper.poll() is None


class TestGuard:
    def test_close_waits_until_all_is_gone(self, sleeper: subprocess.Popen[bytes], tmp_path: Path):
        folder = folder_in(tmp_path)
        made = Guard(folder)
        made.add(sleeper.pid)
        made.close()
        assert sleeper.wait() == -signal.SIGKILL
        assert not folder.exists()

    def test_that_was_killed_is_replaced_and_told_of_all(
        self, sleeper: subprocess.Popen[bytes], tmp_path: Path
    ):
        made = Guard(folder_in(tmp_path))
        made.add(sleeper.pid)
        watcher = made._process.pid
        os.kill(watcher, signal.SIGKILL)
        within(lambda: not runs(watcher))
        made.remove(0)
        made.close()
        assert sleeper.wait() == -signal.SIGKILL
