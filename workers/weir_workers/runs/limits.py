"""Limits on memory and computing time of a run, over all its processes together.

Memory has two guards. The kernel refuses a process more than its limit of writable private memory
(RLIMIT_DATA), at which Python raises MemoryError just where it happens. RLIMIT_AS would count address
space that is only reserved, which allocators and threads do by the gigabyte. What several processes take
together, or share, no rlimit counts, and a cgroup needs rights that a worker seldom has: so the keeper
adds up what they hold (shared pages in shares) and kills the run above its limit. Both guards leave a run
what it was forked with, so that the keeper never comes before the kernel where one process is alone.
Computing time is added up the same way; RLIMIT_CPU, which counts each process for itself, stands behind it.
"""

import contextlib
import os
import resource
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from weir_workers.wards import processes

_LEAST_PAUSE: Final = 0.2
_KIB: Final = 1024
_NICER: Final = 10
_TICK: Final = 1 / os.sysconf("SC_CLK_TCK")
# user and system time, of the process and of the children that it has collected
_TIMES: Final = slice(11, 15)


@dataclass(slots=True)
class Meter:
    """Adds up what is below this process, and says when it is too much."""

    memory: int = 0
    """Bytes; 0 for no limit."""
    cpu_time: float = 0
    """Seconds; 0 for no limit."""
    memory_peak: int = 0
    pause: float = _LEAST_PAUSE
    """Seconds to wait before the next look: looking must cost little."""
    _forked_with: int = field(default_factory=lambda: _status("VmData"))

    def look(self) -> str:
        """`memory` or `cpu` where that limit is passed."""
        began = time.perf_counter()
        below = processes.descendants(os.getpid())
        if self.memory:
            self.memory_peak = max(self.memory_peak, sum(map(_held, below)))
        passed = "memory" if self.memory and self.memory_peak > self._forked_with + self.memory else ""
        if self.cpu_time and _computed(below) > self.cpu_time:
            passed = passed or "cpu"
        self.pause = max(_LEAST_PAUSE, 20 * (time.perf_counter() - began))
        return passed


def limit_memory(limit: int) -> None:
    """Refuse this process more writable memory than it has now and `limit` bytes on top."""
    _lower(resource.RLIMIT_DATA, _status("VmData") + limit)


def lift_memory_limit() -> None:
    """Let what describes a MemoryError have the memory that it needs."""
    _lower(resource.RLIMIT_DATA, resource.RLIM_INFINITY)


def limit_cpu_time(limit: float) -> None:
    """Have the kernel end a single process a second after its limit, whatever becomes of the keeper."""
    _lower(resource.RLIMIT_CPU, int(limit) + 2)


def prefer_as_victim() -> None:
    """When the machine's memory runs out, let the kernel take a run before a worker or a database."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


def give_way() -> None:
    """A run that takes all processors must not hold up those that are to stop it, or renew a lease.

    Where Linux shares out time by sessions first, niceness counts within one only, and a run begins its own:
    the session gives way too.
    """
    os.nice(_NICER)
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(os.nice(0)))


def _lower(which: int, value: int) -> None:
    """Set the limit that can be lifted again, as far as the one that can't be allows."""
    _, most = resource.getrlimit(which)
    unlimited = most == resource.RLIM_INFINITY
    bounded = most if value == resource.RLIM_INFINITY or (not unlimited and value > most) else value
    resource.setrlimit(which, (bounded, most))


def _held(pid: int) -> int:
    """Bytes of memory that a process holds, its share of what it shares."""
    try:
        told = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except PermissionError:
        return _status("RssAnon", pid)
    except OSError:
        return 0
    return sum(_sizes(told.splitlines(), {"Pss_Anon", "Pss_Shmem", "SwapPss"}))


def _status(name: str, pid: int | str = "self") -> int:
    with contextlib.suppress(OSError):
        return sum(_sizes(Path(f"/proc/{pid}/status").read_text().splitlines(), {name}))
    return 0


def _sizes(lines: Iterable[str], names: set[str]) -> list[int]:
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    return [int(size.split()[0]) * _KIB for name, size in pairs if name in names]


def _computed(below: list[int]) -> float:
    """Seconds of computing: of who lives, and of who was collected."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime + sum(map(_times, below))


def _times(pid: int) -> float:
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return sum(map(int, fields[_TIMES])) * _TICK
    return 0.0
