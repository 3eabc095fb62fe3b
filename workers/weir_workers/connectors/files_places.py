"""Where files are: a folder of this machine, or a bucket. All calls block."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol
from urllib.parse import unquote, urlsplit

import pyarrow as pa
from pyarrow import fs

from weir_core.datasets.commits import Counts
from weir_workers.connectors.errors import SourceError, SourceFailureKind
from weir_workers.connectors.files_patterns import fixed_folder, is_wild, matches, may_contain
from weir_workers.connectors.files_settings import FilesConnection
from weir_workers.connectors.roots import inside_roots

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MAX_FILES: Final = 100_000
_MOST_ENTRIES: Final = 1_000_000
_CODES: Final[tuple[tuple[str, SourceFailureKind, str], ...]] = (
    ("ACCESS_DENIED", "INVALID_INPUT", "permission"),
    ("INVALID_ACCESS_KEY", "INVALID_INPUT", "auth"),
    ("SIGNATURE", "INVALID_INPUT", "auth"),
    ("HTTP status 403", "INVALID_INPUT", "permission"),
    ("NO_SUCH_BUCKET", "INVALID_INPUT", "missing"),
    ("HTTP status 404", "INVALID_INPUT", "missing"),
    ("does not exist", "INVALID_INPUT", "missing"),
    ("No such file", "INVALID_INPUT", "missing"),
)


@dataclass(frozen=True, slots=True)
class Found:
    """A file."""

    name: str
    """Its path below the connection's folder."""
    size: int
    time: datetime | None
    """When it was changed last; None where the place does not tell."""


class Place(Protocol):
    """Somewhere that has files."""

    def listed(self, patterns: Sequence[str]) -> list[Found]:
        """The files that patterns stand for, each once, in no order."""
        ...

    def opened(self, found: Found) -> tuple[BinaryIO, str]:
        """A file to read, which can seek; and a text that is another once its content is."""
        ...

    def counts(self) -> Counts:
        """What was asked of a server so far, where that is known."""
        ...


class ArrowPlace:
    """A file system of Arrow: a local folder or a bucket."""

    def __init__(
        self, system: fs.FileSystem, folder: str, *, local: bool, secrets: Sequence[str] = ()
    ) -> None:
        self._system = system
        self._folder = folder
        self._local = local
        self._secrets = [secret for secret in secrets if secret]

    def listed(self, patterns: Sequence[str]) -> list[Found]:
        """The files that patterns stand for, each once, in no order."""
        found: dict[str, Found] = {}
        seen = 0
        for pattern in patterns:
            for name, info in self._candidates(pattern):
                seen += 1
                if matches(pattern, name):
                    found[name] = Found(name, int(info.size or 0), _time(info))
                if len(found) > MAX_FILES or seen > _MOST_ENTRIES:
                    raise _fault(
                        "INVALID_INPUT",
                        "many",
                        f"{pattern!r} leads to more than {MAX_FILES:,} files; be stricter",
                    )
        return list(found.values())

    def counts(self) -> Counts:
        """Nothing is known of it."""
        return Counts()

    def opened(self, found: Found) -> tuple[BinaryIO, str]:
        """A file to read, and a text that is another once its content is."""
        path = f"{self._folder}/{found.name}"
        if self._local:
            path = str(inside_roots(path))
        try:
            return self._system.open_input_file(path), f"{found.size} {found.time}"
        except (OSError, pa.ArrowException) as error:
            raise self._failed(error) from error

    def _candidates(self, pattern: str) -> Iterator[tuple[str, Any]]:
        if not is_wild(pattern):
            info = self._asked(f"{self._folder}/{pattern}")[0]
            if info.type != fs.FileType.File:
                raise _fault("INVALID_INPUT", "missing", f"there is no file {pattern!r}")
            yield pattern, info
            return
        top = self._folder.split("/", 1)[0]
        if not self._local and self._asked(top)[0].type == fs.FileType.NotFound:
            raise _fault("INVALID_INPUT", "missing", f"there is no bucket {top!r}")
        folders = [fixed_folder(pattern)]
        while folders:
            folder = folders.pop()
            base = f"{self._folder}/{folder}".rstrip("/")
            if self._local:
                # A link that leads elsewhere ends here, and not in a file of somebody else.
                inside_roots(base)
            for info in self._asked(fs.FileSelector(base, allow_not_found=True)):
                name = f"{folder}/{info.base_name}".lstrip("/")
                if info.type == fs.FileType.Directory:
                    if may_contain(pattern, name) and not (self._local and Path(info.path).is_symlink()):
                        folders.append(name)
                elif info.type == fs.FileType.File:
                    yield name, info

    def _asked(self, what: Any) -> list[Any]:
        try:
            found = self._system.get_file_info(what)
        except (OSError, pa.ArrowException) as error:
            raise self._failed(error) from error
        return list(found) if isinstance(what, fs.FileSelector) else [found]

    def _failed(self, error: Exception) -> SourceError:
        said = " ".join(str(error).split())
        for secret in self._secrets:
            said = said.replace(secret, "[redacted]")
        for part, kind, code in _CODES:
            if part in said:
                return _fault(kind, code, said[:300])
        return _fault("DEPENDENCY", "connect", said[:300])


def local_place(connection: FilesConnection) -> ArrowPlace:
    """A folder of this machine, inside the roots."""
    folder = inside_roots(unquote(urlsplit(connection.url).path))
    if not folder.is_dir():
        raise _fault("INVALID_INPUT", "missing", f"there is no folder {folder}")
    return ArrowPlace(fs.LocalFileSystem(), str(folder), local=True)


def s3_host(connection: FilesConnection) -> tuple[str, int, bool]:
    """The server of a bucket: host, port, and whether it is reached by TLS."""
    if not connection.endpoint:
        return f"s3.{connection.region}.amazonaws.com", 443, True
    parts = urlsplit(connection.endpoint)
    tls = parts.scheme == "https"
    return parts.hostname or "", parts.port or (443 if tls else 80), tls


def s3_place(connection: FilesConnection) -> ArrowPlace:
    """A bucket, or a folder in it. Blocks for as long as it takes to resolve a region."""
    parts = urlsplit(connection.url)
    access = connection.access_key.get_secret_value() if connection.access_key else None
    secret = connection.secret_key.get_secret_value() if connection.secret_key else None
    endpoint = urlsplit(connection.endpoint)
    system = fs.S3FileSystem(
        access_key=access,
        secret_key=secret,
        # What the worker's machine may read is nothing to a user's connection.
        anonymous=access is None,
        region=connection.region,
        endpoint_override=endpoint.netloc or None,
        scheme=endpoint.scheme or "https",
        connect_timeout=connection.timeout_seconds,
        request_timeout=connection.timeout_seconds,
    )
    folder = f"{parts.netloc}{unquote(parts.path)}".rstrip("/")
    return ArrowPlace(system, folder, local=False, secrets=[access or "", secret or ""])


def _time(info: Any) -> datetime | None:
    stamp = info.mtime_ns
    return None if stamp is None else _EPOCH + timedelta(microseconds=stamp // 1000)


def _fault(kind: SourceFailureKind, code: str, message: str) -> SourceError:
    return SourceError(kind, message, code=f"files.{code}")
