"""Named places where a test makes this process die or stall; else nothing happens there.

`WEIR_FAILPOINTS` arms them, joined by commas: `finish.committed:kill` dies there by
signal 9, `:stop` freezes by SIGSTOP, `:sleep:2` stalls the whole process for 2 s,
and with `@3` at the end only the third time counts. Where `WEIR_FAILPOINTS_ONCE`
names a folder, each acts once among all processes that share it, and leaves a
file there.
"""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SIGNALS: Final = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


@dataclass(slots=True)
class _Armed:
    action: str
    seconds: float
    countdown: int

    @classmethod
    def read(cls, text: str) -> "_Armed":
        what, _, count = text.partition("@")
        action, _, seconds = what.partition(":")
        if action not in {*_SIGNALS, "sleep"}:
            raise ValueError(f"WEIR_FAILPOINTS: a failpoint can kill, stop or sleep:SECONDS, not {text!r}")
        return cls(action, float(seconds or 0), int(count or 1))


def _read(text: str) -> dict[str, _Armed]:
    entries = [entry.partition(":") for entry in text.split(",") if entry]
    return {name: _Armed.read(what) for name, _, what in entries}


_armed = _read(os.environ.get("WEIR_FAILPOINTS", ""))
_once = os.environ.get("WEIR_FAILPOINTS_ONCE", "")


def reach(name: str) -> None:
    """This process is at the place of that name."""
    if _armed and (armed := _armed.get(name)) is not None:
        _act(name, armed)


def _act(name: str, armed: _Armed) -> None:
    armed.countdown -= 1
    if armed.countdown or not _first(name):
        return
    if armed.action in _SIGNALS:
        os.kill(os.getpid(), _SIGNALS[armed.action])
    time.sleep(armed.seconds)


def _first(name: str) -> bool:
    if not _once:
        return True
    try:
        (Path(_once) / name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
