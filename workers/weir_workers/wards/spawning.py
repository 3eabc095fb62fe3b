"""Marks the processes that a coroutine starts, so that they end with it.

Coroutines share one process, whose children could be anyone's. So each child started by `subprocess`
(which asyncio's subprocesses are too) gets the mark of the attempt in whose context it was started, and
hands it on to its own children.
"""

import os
import subprocess
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from weir_workers.wards.processes import RUN, describe, kill, marked, pauses


@dataclass(slots=True)
class Spawning:
    """What one attempt has started."""

    mark: str
    any: bool = False

    def end_all(self) -> list[str]:
        """Kill what is left of it, and return when it is gone; what it was, for people."""
        found: dict[int, str] = {}
        for pause in pauses():
            left = marked(RUN, self.mark)
            if not left:
                break
            found |= {pid: describe(pid) for pid in left if pid not in found}
            kill(left)
            time.sleep(pause)
        return list(found.values())


_current: Final[ContextVar[Spawning | None]] = ContextVar("spawning", default=None)


def enter(mark: str) -> Spawning:
    """From now on, in this context, started processes bear the mark."""
    spawning = Spawning(mark)
    _current.set(spawning)
    return spawning


def install() -> None:
    """Have `subprocess` mark what it starts; once a process."""
    subprocess.Popen.__init__ = _marking(subprocess.Popen.__init__)


def _marking(start: Callable[..., None]) -> Callable[..., None]:
    def marked_start(self: Any, args: Any, *others: Any, **named: Any) -> None:
        spawning = _current.get()
        # Given by position it would be the tenth; nobody does.
        if spawning is not None and len(others) <= _BEFORE_ENV:
            spawning.any = True
            given = named.get("env")
            named["env"] = dict(os.environ if given is None else given) | {RUN: spawning.mark}
        start(self, args, *others, **named)

    return marked_start


_BEFORE_ENV: Final = 9
