import signal
from typing import Any

import pytest

from weir_workers.runs.exits import Exit, failure

KILLED = signal.SIGKILL.value


@pytest.mark.parametrize(
    "ended,kind,code,detail",
    [
        (Exit(3 << 8), "EXIT", "exit.3", {"code": 3, "signal": 0, "out_of_memory": False}),
        (Exit(0), "EXIT", "exit.0", {"code": 0, "signal": 0, "out_of_memory": False}),
        (Exit(11), "EXIT", "signal.11", {"code": None, "signal": 11, "out_of_memory": False}),
        # With a core written beside it.
        (Exit(11 | 0x80), "EXIT", "signal.11", {"code": None, "signal": 11, "out_of_memory": False}),
        (Exit(KILLED), "EXIT", "signal.9", {"code": None, "signal": 9, "out_of_memory": False}),
        (Exit(KILLED, oom=True), "RESOURCE", "oom", {"code": None, "signal": 9, "out_of_memory": True}),
        # The kernel took another process meanwhile: no reason for this one's own end.
        (Exit(3 << 8, oom=True), "EXIT", "exit.3", {"code": 3, "signal": 0, "out_of_memory": False}),
        (
            Exit(KILLED, limit="memory", memory_limit=64 << 20, memory_peak=70 << 20),
            "RESOURCE",
            "limit.memory",
            {"code": None, "signal": 9, "out_of_memory": True, "memory_limit_bytes": 64 << 20},
        ),
        (Exit(KILLED, limit="cpu", cpu_limit=2), "RESOURCE", "limit.cpu", {"out_of_memory": False}),
        (Exit(signal.SIGXCPU, cpu_limit=2), "RESOURCE", "limit.cpu", {"signal": signal.SIGXCPU}),
    ],
)
def test_p09_the_cause_is_told_by_how_the_process_ended(
    ended: Exit, kind: str, code: str, detail: dict[str, Any]
):
    told = failure(ended)
    assert (told["kind"], told["code"]) == (kind, code)
    assert told["detail"] | detail == told["detail"]
    assert told["detail"]["kind"] == "exit"
