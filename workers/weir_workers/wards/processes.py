"""Holds on to processes: who adopts orphans, who dies with whom, who bears which mark.

On Linux nothing escapes: a subreaper is the parent of every descendant whose own parent has died,
whatever sessions it began, so that "no child left" means that nothing of it runs. A mark in the
environment, which every child inherits, finds those whose subreaper was killed. Elsewhere only
children and their process groups are known.

Standard library only, and nothing of Weir: it is loaded by processes that must start in no time.
"""

import contextlib
import ctypes
import os
import resource
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LINUX: Final = sys.platform == "linux"
WARDEN: Final = "weir-warden"
"""How `ps` calls a warden."""
WARD: Final = "WEIR_WARD"
"""Marks all that a warden holds, by the warden's folder."""
RUN: Final = "WEIR_RUN"
"""Marks all that belongs to one attempt at a task."""

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15
_PR_SET_CHILD_SUBREAPER: Final = 36
_FIRST_PAUSE: Final = 0.002
_LONGEST_PAUSE: Final = 0.2


@dataclass(frozen=True, slots=True)
class Ended:
    """A child that has ended and was collected."""

    pid: int
    status: int
    usage: resource.struct_rusage

    def words(self) -> str:
        """How it ended, in words."""
        code = os.waitstatus_to_exitcode(self.status)
        return f"killed by signal {-code}" if code < 0 else f"exit code {code}"


def run_mark(task_id: str, attempt: int) -> str:
    """The mark of one attempt; always of the same length, so that it fits in another's place."""
    return f"{task_id}.{attempt:08d}"


def adopt_orphans() -> None:
    """Be the parent of every descendant whose own parent dies."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with(parent: int) -> None:
    """End when the parent does; at once where it has."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def name_process(name: str) -> None:
    """How `ps` and `top` call this process; at most 15 characters."""
    if LINUX:
        ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)


def reap() -> tuple[list[Ended], bool]:
    """Collect the children that have ended; and True where there is no child at all any more."""
    ended: list[Ended] = []
    try:
        while True:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if pid == 0:
                return ended, False
            ended.append(Ended(pid, status, usage))
    except ChildProcessError:
        return ended, True


def children() -> list[int]:
    """The direct children of this process, ended ones that are not collected included."""
    try:
        listed = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text()
    except OSError:
        me = os.getpid()
        return [pid for pid, parent in _parents() if parent == me]
    return [int(pid) for pid in listed.split()]


def descendants(root: int) -> list[int]:
    """Every process below `root`."""
    below: dict[int, list[int]] = {}
    for pid, parent in _parents():
        below.setdefault(parent, []).append(pid)
    found: list[int] = []
    todo = [root]
    while todo:
        nearest = below.pop(todo.pop(), [])
        found += nearest
        todo += nearest
    return found


def alive(pids: list[int]) -> list[int]:
    """Those of them that have not ended."""
    return [pid for pid in pids if _state(pid) not in {"", "Z", "X"}]


def kill(pids: list[int]) -> None:
    """Kill processes; those that are gone or another user's are passed over."""
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def marked(name: str, value: str) -> list[int]:
    """The processes with a mark in the environment that they were started with."""
    wanted = f"{name}={value}".encode()
    return [pid for pid, content in _proc("environ") if wanted in content.split(b"\0")]


def marks(name: str) -> dict[int, str]:
    """All processes that bear some mark of that name, and which."""
    start = f"{name}=".encode()
    return {
        pid: os.fsdecode(entry.removeprefix(start))
        for pid, content in _proc("environ")
        for entry in content.split(b"\0")
        if entry.startswith(start)
    }


def within(folder: Path) -> list[int]:
    """The processes whose working folder is this one or below it."""
    found: list[int] = []
    for pid in _pids():
        with contextlib.suppress(OSError):
            # Of a folder that was removed the path is still told, with a word behind it.
            place = Path(str(Path(f"/proc/{pid}/cwd").readlink()).removesuffix(" (deleted)"))
            if place.is_relative_to(folder):
                found.append(pid)
    return found


def kill_until_gone(find: Callable[[], list[int]], seconds: float) -> bool:
    """Kill all found but this process; True once none is left, False where the time is over."""
    deadline = time.monotonic() + seconds
    for pause in pauses():
        left = [pid for pid in find() if pid != os.getpid()]
        if not left or time.monotonic() > deadline:
            return not left
        kill(left)
        time.sleep(pause)
    return True


def pauses() -> Iterator[float]:
    """Seconds to wait between looks, growing, without end."""
    pause = _FIRST_PAUSE
    while True:
        yield pause
        pause = min(_LONGEST_PAUSE, pause * 2)


def bear_mark(name: str, value: str) -> None:
    """Change a mark that this process was started with, where others read it; for forks, which start nothing.

    It is written over the old one, and must be as long.
    """
    if LINUX and len(os.environ.get(name, "")) == len(value):
        getenv = ctypes.CDLL(None).getenv
        getenv.restype = ctypes.c_void_p
        ctypes.memmove(getenv(name.encode()), value.encode(), len(value))
    os.environ[name] = value


def describe(pid: int) -> str:
    """A process for people: its name and id."""
    with contextlib.suppress(OSError):
        return f"{Path(f'/proc/{pid}/comm').read_text().strip()} ({pid})"
    return f"process {pid}"


def remove(folder: Path) -> None:
    """Remove a folder with all in it, also what its owner locked up."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        for place, names, _ in os.walk(folder):
            _unlock([Path(place), *(Path(place, name) for name in names)])
        shutil.rmtree(folder, ignore_errors=True)


def _unlock(folders: list[Path]) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):
            if not folder.is_symlink():
                folder.chmod(0o700)


def _state(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    return ""


def is_held(pid: int) -> bool:
    """True where one of those above a process is a warden."""
    parents = dict(_parents())
    while pid in parents:
        if describe(pid).startswith(f"{WARDEN} ("):
            return True
        pid = parents[pid]
    return False


def _prctl(option: int, value: int) -> None:
    if LINUX:
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _parents() -> Iterator[tuple[int, int]]:
    for pid, content in _proc("stat"):
        yield pid, int(content.rpartition(b")")[2].split()[1])


def _proc(name: str) -> Iterator[tuple[int, bytes]]:
    """A file of each process; those that end meanwhile or are another user's are passed over."""
    for pid in _pids():
        with contextlib.suppress(OSError):
            yield pid, Path(f"/proc/{pid}/{name}").read_bytes()


def _pids() -> Iterator[int]:
    yield from (int(path.name) for path in Path("/proc").glob("[0-9]*")) if LINUX else ()
