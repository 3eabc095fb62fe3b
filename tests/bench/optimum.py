"""The shortest ways by hand: a web API to Parquet, a database to Parquet, a filter over Parquet files.

Each gives seconds, and seconds of processor time, without the start of the process.
"""

import http.client
import os
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.json as pj
import pyarrow.parquet as pq

from tests.bench.rows import SCHEMA, TABLE

_SEGMENT: Final = 131_072
_THREADS: Final = 3
_BATCH: Final = 32_768
_ENVELOPE: Final = pa.schema(
    [("total", pa.int64()), ("next", pa.string()), ("results", pa.list_(pa.struct(list(SCHEMA))))]
)


def collect(url: str, pages: int, folder: Path) -> tuple[float, float]:
    """All pages by number: threads with a connection each fetch and parse, this one writes in order."""
    began, cpu = time.perf_counter(), time.process_time()
    _write(_pages(url, pages), folder)
    return time.perf_counter() - began, time.process_time() - cpu


def copy_table(url: str, folder: Path) -> tuple[float, float]:
    """A table through connectorx, as it streams."""
    import connectorx

    began, cpu = time.perf_counter(), time.process_time()
    read: Any = connectorx.read_sql
    reader = read(url, f"SELECT * FROM {TABLE}", return_type="arrow_stream", batch_size=_BATCH)
    _write((pa.Table.from_batches([batch]) for batch in reader), folder)
    return time.perf_counter() - began, time.process_time() - cpu


def look_up(files: list[str], condition: ds.Expression) -> tuple[float, int]:
    """Seconds to the rows that pass, and their number."""
    began = time.perf_counter()
    found = ds.dataset(files).to_table(filter=condition)
    return time.perf_counter() - began, found.num_rows


def _pages(url: str, pages: int) -> Iterator[pa.Table]:
    parts, here = urlsplit(url), threading.local()

    def load(number: int) -> pa.Table:
        if not hasattr(here, "connection"):
            here.connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
        here.connection.request("GET", f"{parts.path}?page={number}")
        return _parsed(here.connection.getresponse().read())

    with ThreadPoolExecutor(_THREADS) as threads:
        coming = [threads.submit(load, number) for number in range(1, min(2 * _THREADS, pages) + 1)]
        for number in range(len(coming) + 1, pages + len(coming) + 1):
            table = coming.pop(0).result()
            if number <= pages:
                coming.append(threads.submit(load, number))
            yield table


def _parsed(body: bytes) -> pa.Table:
    options = pj.ParseOptions(explicit_schema=_ENVELOPE, unexpected_field_behavior="ignore")
    reading = pj.ReadOptions(use_threads=False, block_size=len(body) + 1)
    found: Any = pj.read_json(pa.BufferReader(body), reading, options)
    records: Any = found["results"].combine_chunks().flatten()
    return pa.Table.from_batches([pa.RecordBatch.from_struct_array(records)])


def _write(tables: Iterable[pa.Table], folder: Path) -> None:
    """A file for each segment's worth of rows, on the disk before the next begins."""
    gathered: list[pa.Table] = []
    for table in tables:
        gathered.append(table)
        if sum(each.num_rows for each in gathered) >= _SEGMENT:
            _write_file(gathered, folder)
            gathered = []
    if gathered:
        _write_file(gathered, folder)


def _write_file(gathered: list[pa.Table], folder: Path) -> None:
    path = folder / f"{len(list(folder.iterdir())):06d}.parquet"
    draft = path.with_suffix(".draft")
    with draft.open("wb") as file:
        pq.write_table(pa.concat_tables(gathered), file, compression="zstd", compression_level=1)
        os.fsync(file.fileno())
    draft.rename(path)
