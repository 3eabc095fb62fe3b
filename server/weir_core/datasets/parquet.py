"""Opens segments, and tells a damaged one from a store that does not give it."""

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from weir_core.errors import ChecksumMismatch, DependencyDown
from weir_core.stores.contract import ObjectStore, Readable


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """The open file of a segment."""

    name: str
    """For people: without the folders."""
    source: Readable
    parquet: pq.ParquetFile

    def damage_told(self) -> AbstractContextManager[None]:
        """Says what reading the file raises: ChecksumMismatch, DependencyDown, or FileNotFoundError."""
        return _told(self.name)


@contextmanager
def opened(store: ObjectStore, path: str, rows: int) -> Generator[SegmentFile]:
    """A segment that was written with so many rows; raises as `damage_told` does."""
    name = path.rpartition("/")[2]
    with _told(name):
        source = store.open(path)
    with source:
        with _told(name):
            # Over a network what is read goes in few, large portions.
            file = pq.ParquetFile(source, pre_buffer=store.remote)
        if file.metadata.num_rows != rows:
            raise ChecksumMismatch(f"segment {name} has {file.metadata.num_rows} rows, {rows} were written")
        yield SegmentFile(name, source, file)


@contextmanager
def _told(name: str) -> Generator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except pa.ArrowInvalid:
        raise ChecksumMismatch(f"segment {name} is damaged: it is no Parquet file") from None
    except OSError as error:
        # What the system or a store refuses has a number; what Arrow finds in the content has none.
        if error.errno is None:
            raise ChecksumMismatch(f"segment {name} is damaged: {error}") from None
        raise DependencyDown("storage", told=f"segment {name} can't be read: {error.strerror}") from error
