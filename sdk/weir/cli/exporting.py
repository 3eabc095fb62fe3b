"""Datasets as files: one format a writer, the file there only once it is whole."""

import base64
import json
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any

from weir import Client
from weir.cli.following import counting

FORMATS = ("csv", "ndjson", "parquet", "arrow")


def export(client: Client, chosen: dict[str, Any], file: Path, kind: str) -> int:
    """Stream the records that are chosen into a file; their number."""
    batches = client.collections.read_batches(**chosen)
    first = next(batches, None)
    # An empty dataset has no batch to take the schema from.
    schema = client.collections.read_arrow(**chosen).schema if first is None else first.schema
    partial = file.with_name(f"{file.name}.partial")
    count = 0
    try:
        with (
            counting("records", chosen["limit"]) as show_count,
            _WRITERS[kind](partial, schema) as write,
        ):
            for batch in chain(() if first is None else (first,), batches):
                write(batch)
                count += batch.num_rows
                show_count(count)
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
    return count


Writer = Callable[[Any], None]


@contextmanager
def _arrow(file: Path, schema: Any) -> Generator[Writer]:
    import pyarrow as pa

    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        yield writer.write_batch


@contextmanager
def _parquet(file: Path, schema: Any) -> Generator[Writer]:
    import pyarrow.parquet as pq

    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        yield writer.write_batch


@contextmanager
def _csv(file: Path, schema: Any) -> Generator[Writer]:
    """Objects and lists, which CSV has no cells for, are JSON in theirs."""
    import pyarrow as pa
    from pyarrow import csv

    nested = [at for at, field in enumerate(schema) if pa.types.is_nested(field.type)]
    flat = schema
    for at in nested:
        flat = flat.set(at, schema.field(at).with_type(pa.string()))

    with csv.CSVWriter(str(file), flat) as writer:

        def write(batch: Any) -> None:
            columns = [
                pa.array([None if one is None else _json(one) for one in column.to_pylist()], pa.string())
                if at in nested
                else column
                for at, column in enumerate(batch.columns)
            ]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=flat))

        yield write


@contextmanager
def _ndjson(file: Path, _schema: Any) -> Generator[Writer]:
    with file.open("w", encoding="utf-8") as sink:

        def write(batch: Any) -> None:
            sink.writelines(f"{_json(row)}\n" for row in batch.to_pylist())

        yield write


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=_plain, separators=(",", ":"))


def _plain(value: Any) -> Any:
    match value:
        case datetime() | date() | time():
            return value.isoformat().replace("+00:00", "Z")
        case bytes():
            return base64.b64encode(value).decode()
        case Decimal() | timedelta():
            return str(value)
        case _:
            raise TypeError(f"{type(value).__name__} has no form in JSON")


_WRITERS: dict[str, Callable[[Path, Any], AbstractContextManager[Writer]]] = {
    "csv": _csv,
    "ndjson": _ndjson,
    "parquet": _parquet,
    "arrow": _arrow,
}
