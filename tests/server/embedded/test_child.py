"""One child of `weir up`: known to be ready, started again with growing pauses, its output kept in bounds."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.fixtures.up import SECONDS, runs
from weir_server.embedded import log_pipe
from weir_server.embedded.child import Child, Program
from weir_server.embedded.failures import UpFailed
from weir_server.embedded.log_pipe import LogPipe

SAYS_READY = """
import os, socket, time
told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
told.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
time.sleep(600)
"""
IGNORES_TERM = (
    "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
)


@dataclass
class Nursery:
    """Makes children, and hears what is told of them."""

    folder: Path
    told: list[str] = field(default_factory=list[str])
    alive: set[int] = field(default_factory=set[int])
    made: list[Child] = field(default_factory=list[Child])

    def add(self, pid: int) -> None:
        self.alive.add(pid)

    def remove(self, pid: int) -> None:
        self.alive.discard(pid)

    def child(self, code: str) -> Child:
        program = Program("toy", [sys.executable, "-S", "-c", code], dict(os.environ))
        made = Child(program, self.folder / "toy.log", self.folder, self, self.told.append)
        self.made.append(made)
        return made


@pytest.fixture
async def nursery(tmp_path: Path) -> AsyncGenerator[Nursery]:
    made = Nursery(tmp_path)
    yield made
    for child in made.made:
        await child.stop(0)
        child.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


class TestFirstReady:
    async def test_is_when_the_child_says_so(self, nursery: Nursery):
        child = nursery.child(SAYS_READY)
        await child.start()
        await child.first_ready()
        assert nursery.alive == {child.pid}

    async def test_tells_the_last_words_of_one_that_ends(self, nursery: Nursery):
        child = nursery.child("print('no luck'); raise SystemExit(3)")
        await child.start()
        with pytest.raises(
            UpFailed, match=r"toy ended with status 3; its last words, from .*toy\.log:\n  no luck"
        ):
            await child.first_ready()
        assert nursery.alive == set()


class TestKeep:
    async def test_starts_again_after_pauses_that_grow(self, nursery: Nursery):
        child = nursery.child("raise SystemExit(3)")
        started: list[int] = []
        await child.start()
        keeping = asyncio.create_task(child.keep(lambda: started.append(child.pid)))
        await until(lambda: len(started) == 3)
        keeping.cancel()
        pauses = [
            re.search(r"toy ended with status 3; it starts again in ([0-9.]+) s", said)
            for said in nursery.told
        ]
        assert [found and found[1] for found in pauses][:3] == ["0.2", "0.4", "0.8"]
        assert len(set(started)) == 3

    async def test_starts_again_what_was_killed(self, nursery: Nursery):
        child = nursery.child(SAYS_READY)
        await child.start()
        await child.first_ready()
        first = child.pid
        keeping = asyncio.create_task(child.keep(lambda: None))
        os.kill(first, signal.SIGKILL)
        await until(lambda: child.pid not in {0, first})
        keeping.cancel()
        assert "toy was killed by signal 9" in nursery.told[0]
        assert nursery.alive == {child.pid}


class TestStop:
    async def test_kills_what_does_not_end_when_asked(self, nursery: Nursery):
        child = nursery.child(IGNORES_TERM)
        await child.start()
        pid = child.pid
        await until(lambda: "deaf" in (nursery.folder / "toy.log").read_text())
        await child.stop(0.2)
        assert not runs(pid)
        assert nursery.told == ["toy did not end within 0.2 s and is killed"]


class TestLogPipe:
    async def test_keeps_the_newest_files_and_no_more(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(log_pipe, "_FILE_BYTES", 1000)
        log = LogPipe(tmp_path / "toy.log")
        for number in range(60):
            os.write(log.write_end, f"{number:0>99}\n".encode())
            log.last_lines(1)
        assert log.last_lines(2) == [f"{58:0>99}", f"{59:0>99}"]
        log.close()
        kept = {path.name: path.read_text() for path in tmp_path.glob("*")}  # noqa: ASYNC240 - all is closed
        assert sorted(kept) == ["toy.log", "toy.log.1", "toy.log.2", "toy.log.3"]
        assert all(len(text) <= 1100 for text in kept.values())
        assert f"{59:0>99}" in kept["toy.log"] + kept["toy.log.1"]
