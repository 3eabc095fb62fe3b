"""`def` handlers that tests run: they print, compute, spawn, fail, and refuse to stop."""

import ctypes
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path

from pydantic import BaseModel

from weir.task import BlockingContext, Cancelled, Retry, TaskFailure, task

ONCE = Retry(max_attempts=1)
# Each begins a session of its own and ignores SIGTERM; one of them has such a child.
_SLEEP_ON = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(3600)"
_WITH_CHILD = f"""
import subprocess, sys
subprocess.Popen([sys.executable, "-c", {_SLEEP_ON!r}], start_new_session=True)
{_SLEEP_ON}
"""
# Its parent ends at once, and it does not even bear a mark.
_HIDDEN = "env -i sh -c \"trap '' TERM HUP; sleep 3600 & wait\" & exit 0"


class Nothing(BaseModel):
    """No input, or no output."""


class Where(BaseModel):
    """A file that is touched, or waited for."""

    path: str = ""


class How(BaseModel):
    """Which of several ways."""

    way: str


class Seen(BaseModel):
    """What a handler saw of its process."""

    pid: int
    attempt: int
    folder: str = ""
    values: list[str] = []


@task("command.look")
def look(given: How, ctx: BlockingContext) -> Seen:
    """Tell what surrounds it."""
    ctx.progress(1, 2, unit="looks", message="half")
    ctx.log.info("looking", way=given.way)
    Path("left.txt").write_text("left", encoding="utf-8")
    with tempfile.NamedTemporaryFile(delete=False) as file:
        file.write(b"x" * 1000)
    session = Path("/proc/self/autogroup")
    surrounding = os.environ | {
        "niceness": str(os.nice(0)),
        "session_niceness": session.read_text().split()[-1] if session.exists() else str(os.nice(0)),
    }
    values = [Path(file.name).parent.name, *(f"{key}={value}" for key, value in surrounding.items())]
    return Seen(pid=os.getpid(), attempt=ctx.attempt, folder=str(Path.cwd()), values=values)


@task("command.print")
def prints(given: Nothing, ctx: BlockingContext) -> Nothing:
    """Print in all the ways there are."""
    ctx.mask("hunter2")
    print("first line")
    print("the password is hunter2")
    print("to the other", file=sys.stderr)
    logging.getLogger("somewhere").warning("logged")
    subprocess.run(["sh", "-c", "echo from a child; echo its error >&2"], check=True)
    sys.stdout.write("bar 10%\rbar 50%\rbar 100%\n")
    print("x" * 40_000)
    sys.stdout.buffer.write(b"not \xff utf-8\n")
    sys.stdout.write("no end of line")
    return Nothing()


@task("command.flood")
def flood(given: Nothing, ctx: BlockingContext) -> Nothing:
    """Print more than anyone reads."""
    for _ in range(40):
        sys.stdout.write("a line\n" * 5000)
    return Nothing()


@task("command.until")
def until(given: Where, ctx: BlockingContext) -> Seen:
    """Run until a file is there, or it is told to stop."""
    ctx.log.info("running", pid=os.getpid())
    try:
        while not Path(given.path).exists():
            time.sleep(0.02)
    finally:
        print("put away")
    return Seen(pid=os.getpid(), attempt=ctx.attempt)


@task("command.stubborn")
def stubborn(given: How, ctx: BlockingContext) -> Nothing:
    """Refuse to stop in one of several ways."""
    ctx.log.info("running", pid=os.getpid())
    match given.way:
        case "loop":
            sum(range(10**14))
        case "deaf":
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            time.sleep(3600)
        case "swallow":
            while True:
                try:
                    time.sleep(3600)
                except Cancelled:
                    ctx.log.warning("cancelled, and going on")
        case "stopped":
            os.kill(os.getpid(), signal.SIGSTOP)
        case _:
            raise ValueError(given.way)
    return Nothing()


@task("command.family")
def family(given: How, ctx: BlockingContext) -> Nothing:
    """Have descendants that want to live on, then do what the way says."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    subprocess.Popen([sys.executable, "-c", _WITH_CHILD], start_new_session=True)
    subprocess.run(["sh", "-c", _HIDDEN], check=True)
    get_context("fork").Process(target=time.sleep, args=(3600,)).start()
    keeper = os.getppid()
    while len(_below(keeper)) < 6:
        time.sleep(0.02)
    ctx.log.info("family", pids=" ".join(map(str, _below(keeper))), run=os.getpid())
    if given.way == "wait":
        try:
            time.sleep(3600)
        except Cancelled:
            time.sleep(3600)
    elif given.way == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif given.way == "orphan":
        # What it said goes through the keeper: only who has read it can tell that this may go.
        signal.sigwait({signal.SIGUSR1})
        os.kill(keeper, signal.SIGKILL)
        time.sleep(3600)
    return Nothing()


def _fork() -> None:
    if os.fork():
        os.wait()


_ENDS: dict[str, Callable[[], object]] = {
    "exit": lambda: sys.exit(3),
    "_exit": lambda: os._exit(41),
    "zero": lambda: os._exit(0),
    "segv": lambda: ctypes.string_at(0),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "fork": _fork,
    "thread": threading.Thread(target=time.sleep, args=(3600,)).start,
}


@task("command.end", retry=ONCE)
def end(given: How, ctx: BlockingContext) -> Nothing:
    """End in a way of its own."""
    ctx.mask("hunter2")
    print("last words with hunter2")
    if given.way == "raise":
        raise RuntimeError("no luck with hunter2")
    if given.way == "rate":
        raise TaskFailure("RATE_LIMITED", "slower", code="http.429")
    if given.way == "nothing":
        return None  # pyright: ignore[reportReturnType]
    _ENDS[given.way]()
    return Nothing()


@task("command.hungry", memory="64MiB", retry=ONCE)
def hungry(given: How, ctx: BlockingContext) -> Nothing:
    """Take more memory than it may."""
    if given.way == "alone":
        kept = [bytearray(1 << 20) for _ in range(200)]
        ctx.log.info(f"got {len(kept)}")
    elif given.way == "little":
        ctx.log.info(f"got {len(bytearray(32 << 20))}")
    elif given.way == "near":
        kept = bytearray(b"x") * (56 << 20)
        # Long enough for the keeper to look twice.
        time.sleep(0.5)
        ctx.log.info(f"got {len(kept)}")
    else:
        eat = "kept = bytearray(b'x' * (40 << 20)); import time; time.sleep(3600)"
        children = [subprocess.Popen([sys.executable, "-c", eat]) for _ in range(3)]
        for child in children:
            child.wait()
    return Nothing()


@task("command.busy", cpu_time=timedelta(seconds=1), retry=ONCE)
def busy(given: How, ctx: BlockingContext) -> Nothing:
    """Compute for longer than it may."""
    if given.way == "alone":
        sum(range(10**14))
    else:
        script = "while True: pass"
        for child in [subprocess.Popen([sys.executable, "-c", script]) for _ in range(4)]:
            child.wait()
    return Nothing()


def _below(root: int) -> list[int]:
    below: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        below.setdefault(parent, []).append(int(path.parent.name))
    found, todo = [], [root]
    while todo:
        nearest = below.get(todo.pop(), [])
        found += nearest
        todo += nearest
    return found
