"""The process that runs handlers, with a test for its worker."""

import os
import socket
import subprocess
import sys
from typing import Any

from weir_workers.pipe import receive_from, send_to

_COUNT = 8
SIZES = {"file_bytes": 1 << 30, "result_bytes": 1 << 20}


def started(number: int) -> dict[str, Any]:
    given = {"count": 1_000_000, "pause": 0.001}
    named = {"op": "start", "id": f"task-{number}", "attempt": 1, "project": "default"}
    return named | {"type": "probe.steps", "input": given, "checkpoint": None} | SIZES


def test_it_ends_without_a_word_when_its_worker_is_gone():
    ours, its = socket.socketpair()
    with its:
        command = [str(its.fileno()), str(os.getpid()), "tests.packs.probes"]
        process = subprocess.Popen(
            [sys.executable, "-m", "weir_workers.handlers.runner", *command],
            pass_fds=[its.fileno()],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    with ours:
        ours.settimeout(30)
        assert receive_from(ours)["op"] == "hello"
        for number in range(_COUNT):
            send_to(ours, started(number))
        talking: set[str] = set()
        while len(talking) < _COUNT:
            talking.add(receive_from(ours)["id"])
    said, _ = process.communicate(timeout=30)
    assert (process.returncode, said) == (0, b"")
