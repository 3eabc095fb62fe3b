"""Outlives `weir up`, and then ends what that has left.

    python guard.py FOLDER

Reads `+PID` and `-PID` lines: process groups that live and that have ended. The end of the input means
that `weir up` is gone, whichever way: the groups that still live are killed and FOLDER, which holds the
sockets, is removed. Runs alone, without site-packages, so that it costs nothing.
"""

import os
import shutil
import signal
import sys
from contextlib import suppress


def main(folder: str) -> None:
    """Read to the end, then clean up."""
    alive: set[int] = set()
    for line in sys.stdin:
        pid = int(line[1:])
        if line.startswith("+"):
            alive.add(pid)
        else:
            alive.discard(pid)
    for pid in alive:
        with suppress(OSError):
            os.killpg(pid, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1])
