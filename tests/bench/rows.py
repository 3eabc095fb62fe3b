"""Made-up records of 12 columns as JSON pages, and the shortest way from there to Parquet."""

import io
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.json as pj
import pyarrow.parquet as pq

COLUMNS: list[tuple[str, str]] = [
    ("id", "int64"),
    ("year", "int64"),
    ("month", "int64"),
    ("carrier", "string"),
    ("origin", "string"),
    ("dest", "string"),
    ("tail", "string"),
    ("delay", "float64"),
    ("distance", "float64"),
    ("speed", "float64"),
    ("late", "bool"),
    ("note", "string"),
]
_TYPES = {"int64": pa.int64(), "string": pa.string(), "float64": pa.float64(), "bool": pa.bool_()}
_SEGMENT = 131_072
_FETCHING = 3


def page(number: int, pages: int, per_page: int) -> bytes:
    """The body of a page, beginning at 1."""
    first = (number - 1) * per_page
    records = [_record(first + place) for place in range(per_page)]
    return orjson.dumps({"total": pages * per_page, "results": records})


def collect(url: str, pages: int, folder: str) -> tuple[float, float]:
    """Fetch all pages by three threads and write segments; seconds, and seconds of processor time."""
    began, cpu = time.perf_counter(), time.process_time()
    gathered: list[pa.Table] = []
    for number, table in enumerate(_tables(url, pages)):
        gathered.append(table)
        if sum(each.num_rows for each in gathered) >= _SEGMENT or number == pages - 1:
            path = Path(folder) / f"{number:06d}.parquet"
            pq.write_table(pa.concat_tables(gathered), path, compression="zstd", compression_level=1)
            gathered.clear()
    return time.perf_counter() - began, time.process_time() - cpu


def _tables(url: str, pages: int) -> Iterator[pa.Table]:
    def fetch(number: int) -> bytes:
        with urllib.request.urlopen(f"{url}?page={number}") as answer:  # noqa: S310 - an address of our own
            return answer.read()

    with ThreadPoolExecutor(_FETCHING) as threads:
        coming = [threads.submit(fetch, number) for number in range(1, min(_FETCHING, pages) + 1)]
        for number in range(_FETCHING + 1, pages + _FETCHING + 1):
            body = coming.pop(0).result()
            if number <= pages:
                coming.append(threads.submit(fetch, number))
            yield _parsed(body)


def _parsed(body: bytes) -> pa.Table:
    record = pa.struct([(name, _TYPES[kind]) for name, kind in COLUMNS])
    schema = pa.schema([("total", pa.int64()), ("results", pa.list_(record))])
    options = pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    found: Any = pj.read_json(io.BytesIO(body), pj.ReadOptions(block_size=len(body) + 1), options)
    records: Any = found["results"].combine_chunks().flatten()
    return pa.Table.from_batches([pa.RecordBatch.from_struct_array(records)])


def _record(number: int) -> dict[str, Any]:
    return {
        "id": number,
        "year": 2013 + number % 7,
        "month": 1 + number % 12,
        "carrier": ("UA", "AA", "B6", "DL")[number % 4],
        "origin": ("EWR", "LGA", "JFK")[number % 3],
        "dest": f"D{number % 97:02d}",
        "tail": f"N{number * 7919 % 99991}",
        "delay": number % 61 - 10.5,
        "distance": 100.0 + number * 31 % 4000,
        "speed": number % 500 * 1.1,
        "late": number % 5 == 0,
        "note": "" if number % 3 else f"record {number}",
    }
