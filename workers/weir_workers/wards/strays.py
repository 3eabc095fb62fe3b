"""What wardens that were killed have left: processes and folders. Any Weir process on the machine clears it.

Each warden's folder is locked for as long as the warden lives, in whatever container that is; the lock
also keeps those away who tidy up /tmp.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import tempfile
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Final

from weir_workers.wards import processes

_log = logging.getLogger(__name__)

_PREFIX: Final = "weir-ward-"
_EVERY: Final = 10.0
_KILL_SECONDS: Final = 5.0


@contextlib.contextmanager
def hold_folder() -> Generator[tuple[Path, int]]:
    """A fresh folder and the descriptor of its lock, which stays held by whom that is given to."""
    made = Path(tempfile.mkdtemp(prefix=f"new-{_PREFIX}"))
    lock = os.open(made, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Under its name it is locked from the first moment on.
        folder = made.rename(made.with_name(made.name.removeprefix("new-")))
        try:
            yield folder, lock
        except BaseException:
            processes.remove(folder)
            raise
    finally:
        os.close(lock)


@contextlib.asynccontextmanager
async def kept_clear() -> AsyncGenerator[None]:
    """Look every 10 s, in the meantime."""
    looking = asyncio.create_task(_keep_clearing())
    yield
    looking.cancel()


async def _keep_clearing() -> None:
    while True:
        await asyncio.to_thread(sweep)
        await asyncio.sleep(_EVERY)


def sweep() -> None:
    """Clear what dead wardens of this user have left in this machine's folder for temporary files."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.lstat().st_uid == os.geteuid() and _is_abandoned(folder):
                _log.warning("clearing what a killed process has left: %s", folder)
                clear(folder)
    for pid, folder in processes.marks(processes.WARD).items():
        if not Path(folder).exists() and _sees_the_same_files(pid) and not processes.is_held(pid):
            _log.warning("killing what a killed process has left: %s", processes.describe(pid))
            processes.kill([pid])


def clear(folder: Path) -> bool:
    """Kill what bears a dead warden's mark or works in its folder, and remove that; False if some is left."""

    def left() -> list[int]:
        return [*processes.marked(processes.WARD, str(folder)), *processes.within(folder)]

    gone = processes.kill_until_gone(left, _KILL_SECONDS)
    if gone:
        processes.remove(folder)
    return gone


def _is_abandoned(folder: Path) -> bool:
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True


def _sees_the_same_files(pid: int) -> bool:
    """True where a folder that isn't there for us isn't there for that process: not in another container."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/ns/mnt").readlink() == Path("/proc/self/ns/mnt").readlink()
    return False
