"""Run a command so that nothing of it outlives the one who asked for it.

    python tests/tools/guard.py PARENT COMMAND…

Two processes watch each other. The front stays where make started it: it hears the terminal, and sees by
the change of its own parent that make (process PARENT) has died. The keeper, in a session of its own so
that no kill of make's process group reaches it, holds the command and one end of a pipe that tells it when
the front has died. Whichever is left ends every process of the command, also those that began sessions
of their own, and removes the temporary folder that the command was given as $WEIR_TEST_DIR and $TMPDIR.
So a kill -9 of make, of its process group, of front, keeper or command leaves nothing.
"""

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.tools.processes import adopt_orphans, kill_all, mark, reap  # noqa: E402  found by the line above

_TICK = 0.2
_GRACE = 8.0
_ORPHANED = 129
_ASKED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def guard(parent: int, command: list[str]) -> int:
    """Run `command` while process `parent` lives; its exit status."""
    folder = Path(tempfile.mkdtemp(prefix="weir-"))
    adopt_orphans()
    pulse, beating = os.pipe()
    keeper = os.fork()
    if keeper == 0:
        os.close(beating)
        os.setsid()
        _exit(_keep(command, folder, pulse))
    os.close(pulse)
    try:
        return _stand_in_front(parent, keeper)
    finally:
        clean(folder)


def clean(folder: Path) -> None:
    """End what runs on behalf of `folder`, and remove it."""
    if not kill_all(folder):
        sys.stderr.write(f"guard: some processes of {folder} could not be ended\n")
    with suppress(OSError, subprocess.TimeoutExpired):
        engine, name = (folder / "container").read_text().split()
        subprocess.run([engine, "rm", "-f", name], timeout=_GRACE, stdout=subprocess.DEVNULL, check=False)
    beside = folder.parent.glob(f"{folder.name}-pg-*")
    for left in (folder, ROOT / ".cache" / f"partial-{folder.name}", *beside):
        shutil.rmtree(left, ignore_errors=True)


def _stand_in_front(parent: int, keeper: int) -> int:
    for number in _ASKED:
        signal.signal(number, lambda asked, _frame: _send(keeper, asked))
    while os.getppid() == parent:
        ended = reap()
        if keeper in ended:
            return os.waitstatus_to_exitcode(ended[keeper])
        time.sleep(_TICK)
    return _ORPHANED


def _keep(command: list[str], folder: Path, pulse: int) -> int:
    adopt_orphans()
    asked: list[int] = []
    for number in _ASKED:
        signal.signal(number, lambda caught, _frame: asked.append(caught))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    environment |= mark(folder) | {"TMPDIR": str(folder)}
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment, start_new_session=True)
    give_up = float("inf")
    while time.monotonic() < give_up:
        ended = reap()
        if child.pid in ended:
            child.returncode = os.waitstatus_to_exitcode(ended[child.pid])
            return child.returncode
        if asked:
            with suppress(OSError):
                os.killpg(child.pid, asked.pop())
            give_up = min(give_up, time.monotonic() + _GRACE)
        if select.select([pulse], [], [], _TICK)[0]:
            clean(folder)
            return _ORPHANED
    return 128 + signal.SIGKILL


def _send(pid: int, number: int) -> None:
    with suppress(OSError):
        os.kill(pid, number)


def _exit(status: int) -> None:
    """End this half at once: what Python would do at exit is the other half's."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status if status >= 0 else 128 - status)


if __name__ == "__main__":
    outcome = guard(int(sys.argv[1]), sys.argv[2:])
    sys.exit(outcome if outcome >= 0 else 128 - outcome)
