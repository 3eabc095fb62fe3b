"""A folder as a store.

A file is written under a temporary name, synced, renamed and its folder synced,
so that a name never shows half a file, not even after a power cut.
"""

import os
import secrets
import shutil
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from weir_core.failpoints import reach
from weir_core.stores.contract import PORTION, Intake, Measure, Source, StoredFile, UnsafeName, checked

_UNFINISHED = ".unfinished-"


class FolderStore:
    """Files of a folder, which all machines see that share it."""

    def __init__(self, root: Path) -> None:
        self._root = Path(os.path.realpath(root))

    @property
    def place(self) -> str:
        """The folder."""
        return str(self._root)

    @property
    def remote(self) -> bool:
        """No: what it lacks is room, and that is seen without asking."""
        return False

    def put(self, name: str, content: bytes | memoryview) -> None:
        """Stores the content under the name; one that is there is replaced."""
        with self._drafted(name) as draft:
            draft.write(content)

    def put_from(self, name: str, source: Source, most: int, abandoned: threading.Event) -> Measure:
        """Stores what `source` gives, a portion at a time; TooLarge, Abandoned."""
        intake = Intake(source, most, abandoned)
        with self._drafted(name) as draft:
            for portion in intake.portions():
                draft.write(portion)
        return intake.measure()

    def open(self, name: str) -> BinaryIO:
        """The file, to read and to seek in; FileNotFoundError."""
        import pyarrow as pa

        # Read by Arrow without Python's lock.
        return pa.OSFile(str(self.path(name)))

    def read(self, name: str, offset: int, size: int) -> bytes:
        """Some bytes of a file, fewer at its end; FileNotFoundError."""
        with self.path(name).open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def copy_to(self, name: str, target: Path) -> None:
        """Writes a file's content to a file that is not there yet; OSError where it is."""
        with self.path(name).open("rb") as source, target.open("xb") as file:
            shutil.copyfileobj(source, file, PORTION)

    def path(self, name: str) -> Path:
        """Where the file with that name is; UnsafeName if it would be outside."""
        target = self._root / checked(name)
        # A link inside the folder may lead out of it.
        if not Path(os.path.realpath(target)).is_relative_to(self._root):
            raise UnsafeName(name)
        return target

    def delete(self, name: str) -> None:
        """Deletes a file; one that is not there is no error."""
        self.path(name).unlink(missing_ok=True)

    def files(self, prefix: str = "") -> Iterator[StoredFile]:
        """Files in the folder `prefix` and below, in no order."""
        for path, found in self._walk(prefix):
            if not path.name.startswith(_UNFINISHED):
                yield StoredFile(path.relative_to(self._root).as_posix(), found.st_size, found.st_mtime)

    def delete_unfinished(self, older_than_seconds: float) -> int:
        """Deletes what writers left behind when they died; gives the number."""
        limit = time.time() - older_than_seconds
        old = [
            path
            for path, found in self._walk("")
            if path.name.startswith(_UNFINISHED) and found.st_mtime < limit
        ]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)

    @contextmanager
    def _drafted(self, name: str) -> Generator[BinaryIO]:
        """A file to be written to, that gets its name once all is on the disk."""
        target = self.path(name)
        self._make_folder(target.parent)
        draft = target.parent / f"{_UNFINISHED}{secrets.token_hex(8)}"
        try:
            with draft.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            reach("file.drafted")
            draft.replace(target)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        _sync_folder(target.parent)
        reach("file.stored")

    def _walk(self, prefix: str) -> Iterator[tuple[Path, os.stat_result]]:
        top = self.path(prefix) if prefix else self._root
        for folder, _, names in os.walk(top):
            for name in names:
                path = Path(folder) / name
                try:
                    yield path, path.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue

    def _make_folder(self, folder: Path) -> None:
        missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for made in missing:
            _sync_folder(made.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
