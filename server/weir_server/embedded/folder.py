"""The data folder of `weir up`: who holds it, what it keeps, and its secrets."""

import base64
import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from weir_server.embedded.failures import UpFailed

# What a unix socket's path may have is about 104 characters; the longest name in the folder needs some.
_LONGEST_FOLDER: Final = 80


class DataFolder:
    """All that one installation keeps: database, datasets, keys and logs."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self.database = self.path / "weir.db"
        self.log = self.path / "log"
        self.password_file = self.path / "admin-password"
        self.processes = self.path / "processes.json"
        self._master_key = self.path / "master.key"

    def make(self) -> None:
        """Make it where it is not there, for its owner only."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.log.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise self._unusable(error) from error

    def hold(self) -> None:
        """Keep others out until this process ends; the lock goes with it."""
        try:
            descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 20).decode() or "unknown"
            os.close(descriptor)
            raise UpFailed(
                f"--data-dir {self.path} is in use by another `weir up` (process {holder}); "
                "stop that one, or choose another folder"
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())

    def socket_folder(self) -> Path:
        """A fresh folder for sockets; a short one elsewhere where this one's path is too long."""
        folder = self.path / "run"
        if len(os.fsencode(folder)) > _LONGEST_FOLDER:
            return Path(tempfile.mkdtemp(prefix="weir-up-", dir=_short_temporary_folder()))
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        return folder

    def master_key(self, environment: Mapping[str, str]) -> str:
        """The key in WEIR_MASTER_KEY, else that in the folder, made at the first start."""
        given = environment.get("WEIR_MASTER_KEY", "")
        kept = self._master_key.read_text().strip() if self._master_key.exists() else ""
        if given and kept and given != kept:
            raise UpFailed(
                f"WEIR_MASTER_KEY is another key than {self._master_key}, "
                "under which secrets are stored; unset it"
            )
        if not (given or kept):
            if self.database.exists():
                raise UpFailed(
                    f"{self._master_key} is gone, and with it what its key encrypts; put it back, "
                    "or give the key in WEIR_MASTER_KEY"
                )
            kept = base64.b64encode(secrets.token_bytes(32)).decode()
            write_private(self._master_key, kept)
        return given or kept

    def admin_password(self, environment: Mapping[str, str]) -> str:
        """The first user's password: from WEIR_ADMIN_PASSWORD, else a random one, kept in a file."""
        given = environment.get("WEIR_ADMIN_PASSWORD", "")
        if not given and not self.password_file.exists():
            write_private(self.password_file, secrets.token_urlsafe(18))
        return given or self.password_file.read_text().strip()

    def _unusable(self, error: OSError) -> UpFailed:
        return UpFailed(f"--data-dir {self.path}: {error.strerror}; choose a folder that you may write to")


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _short_temporary_folder() -> str | None:
    return None if len(tempfile.gettempdir()) <= _LONGEST_FOLDER // 2 else "/tmp"  # noqa: S108  made by mkdtemp
