"""Reads one file as parts: some rows, what did not fit, and where to go on after them. Blocks.

A place in a file is where the next line begins in the unpacked text, or the number of rows that
came. All parts but those of JSON and Excel files are made from bounded blocks.
"""

import gzip
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final, cast

import pyarrow as pa

from weir_core.datasets.commits import Reject
from weir_workers.connectors.errors import SourceError
from weir_workers.connectors.files_settings import Compression, FilesCollection, Format
from weir_workers.connectors.records import PageParser

BLOCK: Final = 1024 * 1024
WHOLE: Final = 64 * 1024 * 1024
"""Bytes of a file at most that is read whole."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows of a file."""

    at: Mapping[str, int]
    """Where the next part begins."""
    rows: pa.RecordBatch | None = None
    rejects: tuple[Reject, ...] = ()
    records: int = 0
    bytes: int = 0
    unknown: frozenset[str] = frozenset()


@dataclass(slots=True)
class Columns:
    """The columns of a run: given, or those of its first file."""

    schema: pa.Schema | None
    parser: PageParser = field(init=False)

    def __post_init__(self) -> None:
        self.parser = PageParser(self.schema)

    def settled(self, first: Callable[[], pa.Schema]) -> pa.Schema:
        """The columns; those that the first file has where none were given."""
        if self.schema is None:
            self.schema = first()
        return self.schema


@dataclass(frozen=True, slots=True)
class FileJob:
    """One file to read."""

    name: str
    number: int
    """Its number in the run, from 1: the page of its rejects."""
    stream: BinaryIO
    settings: FilesCollection
    columns: Columns
    at: Mapping[str, int]
    """Where to begin; empty for the start."""
    block: int = BLOCK


Reader = Callable[[FileJob], Iterator[Part]]


def reader_of(kind: Format) -> Reader:
    """What reads a format."""
    from weir_workers.connectors.files_csv import read_csv
    from weir_workers.connectors.files_json import read_json, read_ndjson
    from weir_workers.connectors.files_tables import read_parquet, read_xlsx

    readers: dict[Format, Reader] = {
        "csv": read_csv,
        "ndjson": read_ndjson,
        "json": read_json,
        "parquet": read_parquet,
        "xlsx": read_xlsx,
    }
    return readers[kind]


def unpacked(stream: BinaryIO, compression: Compression) -> BinaryIO:
    """The plain bytes of a file."""
    match compression:
        case "none":
            return stream
        case "gzip":
            return cast("BinaryIO", gzip.GzipFile(fileobj=stream, mode="rb"))
        case "zstd":
            return cast("BinaryIO", pa.CompressedInputStream(stream, "zstd"))


def whole(job: FileJob) -> bytes:
    """All bytes of a file; SourceError where they are too many to be held."""
    body = job.stream.read(WHOLE + 1)
    if len(body) > WHOLE:
        raise unreadable(job.name, f"is greater than {WHOLE >> 20} MiB, which is the most that is read whole")
    return bytes(body)


def skip_to(job: FileJob, stream: BinaryIO, at: int, now: int = 0) -> None:
    """Goes on to a place of the plain bytes; what is packed is read up to there."""
    if job.settings.compression_of(job.name) == "none":
        stream.seek(at)
        return
    left = at - now
    while left > 0 and (part := stream.read(min(left, BLOCK))):
        left -= len(part)


def seekable(job: FileJob) -> Any:
    """The file for a reader that goes to and fro: as it is, or whole in memory where it is packed."""
    if job.settings.compression_of(job.name) == "none":
        return job.stream
    return io.BytesIO(whole(job))


def unreadable(name: str, why: str, code: str = "shape") -> SourceError:
    """The error for a file that can't be read as what it is said to be."""
    return SourceError("INVALID_INPUT", f"{name}: {why}", code=f"files.{code}")
