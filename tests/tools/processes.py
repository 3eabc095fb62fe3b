"""Finding and ending processes by where they came from, never by their name.

Two ways together miss nobody on Linux: the tree under a process that adopts orphans (a subreaper keeps
its grandchildren even when they start a session of their own), and a mark in the environment, which every
child inherits. Elsewhere there is only the tree. Standard library only: the guard runs before the
project's environment exists.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

MARK = "WEIR_TEST_DIR"
LINUX = sys.platform == "linux"
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Make this process the parent of every descendant whose own parent dies."""
    if LINUX:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent() -> None:
    """In a child, before it starts its program: end when the parent does."""
    if LINUX:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def descendants(root: int) -> set[int]:
    """Every process below `root`."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents():
        children.setdefault(parent, []).append(pid)
    found: set[int] = set()
    todo = [root]
    while todo:
        below = children.pop(todo.pop(), [])
        found.update(below)
        todo.extend(below)
    return found


def mark(folder: Path) -> dict[str, str]:
    """What to add to a child's environment so that it is found by `folder`, and by what is marked here."""
    return {MARK: ":".join([*filter(None, [os.environ.get(MARK)]), str(folder)])}


def marked(folder: Path) -> set[int]:
    """Every process started with the mark of `folder` in its environment."""
    name, wanted = f"{MARK}=".encode(), str(folder).encode()
    return {
        pid
        for pid, content in _proc("environ")
        for entry in content.split(b"\0")
        if entry.startswith(name) and wanted in entry.removeprefix(name).split(b":")
    }


def kill_all(folder: Path, seconds: float = 5.0) -> bool:
    """Kill what is below this process or carries the mark of `folder`; tell whether nothing is left."""
    deadline = time.monotonic() + seconds
    while True:
        reap()
        left = (descendants(os.getpid()) | marked(folder)) - {os.getpid()}
        if not left or time.monotonic() > deadline:
            return not left
        for pid in left:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def reap() -> dict[int, int]:
    """Collect the children that have ended: process id and wait status."""
    ended: dict[int, int] = {}
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            ended[pid] = status
    return ended


def _parents() -> Iterator[tuple[int, int]]:
    if LINUX:
        for pid, content in _proc("stat"):
            yield pid, int(content.rpartition(b")")[2].split()[1])
        return
    listed = subprocess.run(["/bin/ps", "-A", "-o", "pid=,ppid="], stdout=subprocess.PIPE, check=True).stdout
    for line in listed.splitlines():
        pid, parent = line.split()
        yield int(pid), int(parent)


def _proc(name: str) -> Iterator[tuple[int, bytes]]:
    """A file of each process; those that end meanwhile or are another user's are passed over."""
    for path in Path("/proc").glob(f"[0-9]*/{name}") if LINUX else ():
        with suppress(OSError):
            yield int(path.parent.name), path.read_bytes()
