"""What wardens that were killed have left: processes and folders. Any Weir process on the machine clears it.

Each warden's folder holds a file that is locked for as long as the warden lives, in whatever container.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Final

from weir_workers import processes

_log = logging.getLogger(__name__)

_PREFIX: Final = "weir-ward-"
_LOCK: Final = ".lock"
_EVERY: Final = 10.0
_UNLOCKED_SECONDS: Final = 60.0


@contextlib.contextmanager
def hold_folder() -> Generator[tuple[Path, int]]:
    """A fresh folder and the descriptor of its lock, which stays held by whom it is given to."""
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    lock = os.open(folder / f"{_LOCK}.new", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Under its name it is locked from the first moment on.
        (folder / f"{_LOCK}.new").rename(folder / _LOCK)
        yield folder, lock
    finally:
        os.close(lock)


async def keep_clearing() -> None:
    """Look every 10 s; until cancelled."""
    while True:
        await asyncio.to_thread(sweep)
        await asyncio.sleep(_EVERY)


def sweep() -> None:
    """Clear what dead wardens of this user have left in this machine's folder for temporary files."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.lstat().st_uid == os.geteuid() and folder.is_dir() and _is_abandoned(folder):
                _log.warning("clearing what a killed process has left: %s", folder)
                clear(folder)
    for pid, folder in processes.marks(processes.WARD).items():
        if not Path(folder).exists() and _sees_the_same_files(pid):
            _log.warning("killing what a killed process has left: %s", processes.describe(pid))
            processes.kill([pid])


def clear(folder: Path) -> None:
    """Kill what bears a dead warden's mark, and remove its folder."""
    if processes.kill_marked(processes.WARD, str(folder)):
        processes.remove(folder)


def _is_abandoned(folder: Path) -> bool:
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return time.time() - folder.lstat().st_mtime > _UNLOCKED_SECONDS
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
