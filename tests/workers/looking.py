"""What tests see of processes and folders, by /proc alone."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from tests.fixtures.workers import SECONDS


def lives(pid: int) -> bool:
    """True for a process that has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return False


def there(path: Path) -> bool:
    """True for a file or folder that exists."""
    return path.exists()


def parent(pid: int) -> int:
    """The parent of a process."""
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def below(root: int) -> dict[int, str]:
    """Every process below another, with its name."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            children.setdefault(parent(int(path.name)), []).append(int(path.name))
        except OSError:
            continue
    found: dict[int, str] = {}
    todo = [root]
    while todo:
        for pid in children.get(todo.pop(), []):
            found[pid] = Path(f"/proc/{pid}/comm").read_text().strip()
            todo.append(pid)
    return found


def shown(pid: int) -> bytes:
    """What anyone on the machine can see of a process's start."""
    return b"".join(Path(f"/proc/{pid}/{name}").read_bytes() for name in ("environ", "cmdline"))


def marked(text: str) -> list[int]:
    """The processes that have a text in the environment that they show."""
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if text.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def running(*tasks: UUID) -> list[int]:
    """The processes that bear the mark of one of the tasks."""
    return [pid for task_id in tasks for pid in marked(f"WEIR_RUN={task_id}.")]


async def until(true: Callable[[], object], what: str) -> None:
    """Wait for a condition."""
    try:
        async with asyncio.timeout(SECONDS):
            while not true():
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"it never came about that {what}") from None


async def gone(pid: int) -> None:
    """Wait for the end of a process."""
    await until(lambda: not lives(pid), f"process {pid} ends")
