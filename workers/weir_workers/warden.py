"""A small process that outlives its worker, to leave nothing of a program behind.

    python -m weir_workers.warden CONTROL FOLDER LOCK DESCRIPTOR STRAYS MODULE ARGUMENT…

It starts the program as its child, and adopts what the program leaves orphaned. When the program
ends, or the worker does (CONTROL closes), or the worker was not heard of until the time it gave last
(so a frozen one counts as dead), it kills all that is below it, removes the folder that was everyone's
TMPDIR, and ends. With STRAYS `kill`, an orphan is killed at once.

    worker → warden   the time by the machine's steady clock until which to trust it, 8 bytes
    warden → worker   at the end: how the program ended, 4 bytes

It was given a LOCK on the folder, and the folder's path is a mark in the environment of all below: should
it be killed itself, `strays` finds what is left.

Everything else waits for the program's start, so the rest of the warden is in `watch`, and is loaded
while the program loads.
"""

import os
import sys


def main() -> None:
    """Entry of the warden."""
    control, folder, lock, descriptor, strays, module, *arguments = sys.argv[1:]
    for kept in (control, lock):
        # The program is not to hold what tells that this process lives.
        os.set_inheritable(int(kept), False)
    program = _start(folder, descriptor, module, arguments)

    from weir_workers.watch import watch

    watch(int(control), program, folder, kills_strays=strays == "kill")


def _start(folder: str, descriptor: str, module: str, arguments: list[str]) -> int:
    told = (descriptor, str(os.getpid()), *arguments)
    command = [sys.executable, "-m", module, *told]
    environment = os.environ | {"WEIR_WARD": folder, "TMPDIR": folder}
    program = os.posix_spawn(sys.executable, command, environment, setsid=True)
    os.close(int(descriptor))
    return program


if __name__ == "__main__":
    main()
