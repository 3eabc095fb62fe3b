"""What the end of a handler's process tells of its cause: a code, a signal, a limit, or want of memory."""

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended, and what is known beside its status."""

    status: int
    limit: str = ""
    """The limit for which it was killed: `memory` or `cpu`."""
    oom: bool = False
    """True where the kernel killed some process for memory meanwhile."""
    memory_limit: int = 0
    memory_peak: int = 0
    cpu_limit: float = 0

    @property
    def code(self) -> int:
        """Exit code; negative: the number of the signal."""
        return os.waitstatus_to_exitcode(self.status)


def failure(ended: Exit) -> dict[str, Any]:
    """The failure of a process that ended without an outcome."""
    code = ended.code
    if ended.limit == "memory":
        return memory_failure(ended, "the handler's processes")
    if ended.limit == "cpu" or code == -signal.SIGXCPU:
        message = f"the handler's processes computed for more than {ended.cpu_limit:g} s"
        return _failure("RESOURCE", "limit.cpu", message, _detail(ended))
    if code == -signal.SIGKILL and ended.oom:
        message = "killed by signal 9 (SIGKILL) while the kernel killed processes for want of memory"
        return _failure("RESOURCE", "oom", message, _detail(ended, out_of_memory=True))
    if code < 0:
        message = f"the handler's process was killed by signal {-code} ({signal_name(-code)})"
        return _failure("EXIT", f"signal.{-code}", message, _detail(ended))
    message = f"the handler's process ended with exit code {code} before the handler returned"
    return _failure("EXIT", f"exit.{code}", message, _detail(ended))


def memory_failure(ended: Exit, who: str) -> dict[str, Any]:
    """The failure of a run that went over its memory limit."""
    message = f"{who} went over the memory limit of {ended.memory_limit / _MIB:g} MiB"
    return _failure("RESOURCE", "limit.memory", message, _detail(ended, out_of_memory=True))


def oom_kills() -> int:
    """How many processes the kernel has killed for memory since it started; 0 where it doesn't tell."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return 0


def signal_name(number: int) -> str:
    """The name of a signal."""
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return "no name"


def _detail(ended: Exit, *, out_of_memory: bool = False) -> dict[str, Any]:
    code = ended.code
    by_itself = code >= 0 and not ended.limit
    return {
        "kind": "exit",
        "code": code if by_itself else None,
        "signal": max(0, -code),
        "out_of_memory": out_of_memory,
        "memory_limit_bytes": ended.memory_limit,
        "memory_peak_bytes": ended.memory_peak,
    }


def _failure(kind: str, code: str, message: str, detail: dict[str, Any]) -> dict[str, Any]:
    return {"kind": kind, "message": message, "code": code, "causes": [], "detail": detail}
