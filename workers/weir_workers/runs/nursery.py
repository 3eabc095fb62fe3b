"""A process that has a pack loaded, to fork a keeper for each run of its `def` handlers within milliseconds.

    python -m weir_workers.runs.nursery DESCRIPTOR PARENT PACK [late]

Each message on DESCRIPTOR carries a connection to the worker, for one run. A process with threads must
not be forked, their locks would stay locked in the fork: where the pack starts some when it is imported,
the nursery begins anew without it (`late`), and each run imports the pack by itself.
"""

import contextlib
import gc
import os
import signal
import socket
import sys
import threading
import traceback
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn

from weir.task import TaskDefinition
from weir_workers import packs
from weir_workers.pipe import receive_from, send_to
from weir_workers.runs.keeper import keep
from weir_workers.runs.run import Loader
from weir_workers.wards import processes

READY: Final = b"r"
_START_SECONDS: Final = 30.0


def main() -> None:
    """Entry of the nursery."""
    descriptor, parent, pack, *late = sys.argv[1:]
    processes.die_with(int(parent))
    processes.name_process("weir-nursery")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    definitions = {} if late else packs.definitions(packs.load(pack))
    if _has_threads():
        sys.stderr.write(
            f"pack {pack!r} starts threads at import: each run of its `def` handlers imports it\n"
        )
        os.set_inheritable(int(descriptor), True)
        again = ("-m", "weir_workers.runs.nursery", descriptor, parent, pack, "late")
        os.execv(sys.executable, [sys.executable, *again])  # noqa: S606 - this program
    for stream in (sys.stdout, sys.stderr):
        # What the import has printed is not to be in the log of every run.
        stream.flush()
    load = partial(_load, pack) if late else lambda: definitions
    signal.signal(signal.SIGCHLD, lambda _number, _frame: processes.reap())
    # What is here is here for ever: the collector of a fork has no reason to touch, and copy, these pages.
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=int(descriptor)) as control:
        control.send(READY)
        _serve(control, load)


def _serve(control: socket.socket, load: Loader) -> None:
    while True:
        told, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not told:
            return
        with socket.socket(fileno=descriptors[0]) as worker:
            worker.set_inheritable(False)
            try:
                child = os.fork()
            except OSError as error:
                _refuse(worker, error)
                continue
            if child == 0:
                control.close()
                _keep(worker, load)


def _keep(worker: socket.socket, load: Loader) -> NoReturn:
    """In the fork, which ends here."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        worker.settimeout(_START_SECONDS)
        try:
            keep(worker, receive_from(worker), load)
        except OSError as error:
            _refuse(worker, error)
    except BaseException:  # noqa: BLE001 - nothing may come back into the nursery's loop
        traceback.print_exc()
        os._exit(os.EX_SOFTWARE)
    os._exit(0)


def _refuse(worker: socket.socket, error: OSError) -> None:
    failure: dict[str, Any] = {
        "kind": "RESOURCE",
        "message": f"its process could not be started: {error.strerror or error}",
        "code": "process.start",
        "causes": [],
        "detail": {},
    }
    with contextlib.suppress(OSError):
        send_to(worker, {"op": "done", "failure": failure})


def _load(pack: str) -> dict[str, TaskDefinition]:
    return packs.definitions(packs.load(pack))


def _has_threads() -> bool:
    if processes.LINUX:
        return len(list(Path("/proc/self/task").iterdir())) > 1
    return threading.active_count() > 1


if __name__ == "__main__":
    main()
