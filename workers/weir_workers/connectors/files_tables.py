"""Parquet and Excel files: their values have types already."""

import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from weir_core.datasets.arrow_types import UnknownType, parse_type, type_text
from weir_workers.connectors.files_formats import FileJob, Part, seekable, unreadable, whole
from weir_workers.connectors.typed_rows import Misfit, cast_rows, fit_rows

_ROWS: Final = 32_768
_UNZIPPED: Final = 512 * 1024 * 1024


def read_parquet(job: FileJob) -> Iterator[Part]:
    """Row groups in order, each in batches; a place is a number of rows."""
    try:
        with pq.ParquetFile(seekable(job)) as file:
            schema = _schema(job, file.schema_arrow)
            unknown = frozenset(name for name in file.schema_arrow.names if name not in schema.names)
            wanted = [name for name in file.schema_arrow.names if name in schema.names]
            done, row = job.at.get("row", 0), 0
            for group in range(file.num_row_groups):
                size = file.metadata.row_group(group).num_rows
                if row + size <= done:
                    row += size
                    continue
                for batch in file.iter_batches(_ROWS, row_groups=[group], columns=wanted, use_threads=False):
                    if row + batch.num_rows > done:
                        fresh = batch.slice(max(0, done - row))
                        yield _typed(job, fresh, schema, row + batch.num_rows, unknown)
                    row += batch.num_rows
    except pa.ArrowException as error:
        raise unreadable(job.name, f"can't be read as Parquet: {str(error)[:300]}") from None


def read_xlsx(job: FileJob) -> Iterator[Part]:
    """The rows of a sheet below the line of names."""
    from python_calamine import CalamineError, CalamineWorkbook

    body = whole(job)
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as packed:
            unzipped = sum(one.file_size for one in packed.infolist())
        if unzipped > _UNZIPPED:
            raise unreadable(job.name, f"unpacks to {unzipped >> 20} MiB, at most {_UNZIPPED >> 20} are read")
        with CalamineWorkbook.from_filelike(io.BytesIO(body)) as book:
            name = job.settings.sheet or book.sheet_names[0]
            if name not in book.sheet_names:
                raise unreadable(job.name, f"has no sheet {name!r}; there are {', '.join(book.sheet_names)}")
            rows = iter(book.get_sheet_by_name(name).to_python())
    except (zipfile.BadZipFile, CalamineError, IndexError) as error:
        raise unreadable(job.name, f"can't be read as an Excel file: {type(error).__name__}") from None
    names = [str(cell).strip() for cell in next(rows, list[Any]())]
    if not any(names) or len(set(filter(None, names))) != len(list(filter(None, names))):
        raise unreadable(job.name, "the first row must name each column, and no two alike")
    records: list[dict[str, Any]] = [
        {column: _cell(cell) for column, cell in zip(names, row, strict=False) if column} for row in rows
    ]
    schema = job.columns.settled(
        lambda: pa.schema([(one, _kind([row.get(one) for row in records])) for one in names if one])
    )
    unknown = frozenset(name for name in names if name and name not in schema.names)
    for start in range(job.at.get("row", 0), len(records), _ROWS):
        some = records[start : start + _ROWS]
        fitted, rejects = fit_rows(some, schema, start + 1, page=job.number)
        yield Part({"row": start + len(some)}, fitted, tuple(rejects), len(some), fitted.nbytes, unknown)


def _typed(job: FileJob, raw: pa.RecordBatch, schema: pa.Schema, end: int, unknown: frozenset[str]) -> Part:
    at = {"row": end}
    try:
        rows, rejects = cast_rows(raw, schema), []
    except Misfit as misfit:
        nested = [field.name for field in schema if pa.types.is_nested(field.type)]
        if nested:
            raise unreadable(job.name, f"its columns are not those of the dataset: {misfit}") from None
        rows, rejects = fit_rows(raw.to_pylist(), schema, end - raw.num_rows + 1, page=job.number)
    return Part(at, rows, tuple(rejects), raw.num_rows, raw.nbytes, unknown)


def _schema(job: FileJob, own: pa.Schema) -> pa.Schema:
    schema = job.columns.settled(lambda: pa.schema([pa.field(one.name, _plain(job, one)) for one in own]))
    required = [one.name for one in schema if not one.nullable and one.name not in own.names]
    if required or not set(own.names) & set(schema.names):
        missing = ", ".join(required or schema.names)
        raise unreadable(job.name, f"has no column {missing}; it has {', '.join(own.names)}")
    return schema


def _plain(job: FileJob, field: pa.Field) -> pa.DataType:
    """The type in which a dataset can hold the column."""
    kind = field.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    for test, plain in _PLAIN:
        if test(kind):
            kind = plain(kind)
    try:
        return parse_type(type_text(kind))
    except UnknownType:
        raise unreadable(
            job.name,
            f"a dataset can't hold the type {kind} of the column {field.name!r}; name other `columns`",
        ) from None


_Types = Callable[[Any], Any]
_PLAIN: Final[Sequence[tuple[_Types, _Types]]] = (
    (pa.types.is_large_string, lambda _: pa.string()),
    (pa.types.is_large_binary, lambda _: pa.binary()),
    (pa.types.is_fixed_size_binary, lambda _: pa.binary()),
    (pa.types.is_date64, lambda _: pa.date32()),
    (pa.types.is_time32, lambda _: pa.time64("us")),
    (pa.types.is_timestamp, lambda kind: pa.timestamp(kind.unit, "UTC" if kind.tz else None)),
)


def _cell(value: Any) -> Any:
    return None if value == "" else value


def _kind(values: Sequence[Any]) -> pa.DataType:
    """What all values of a column are."""
    kinds: set[Any] = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return pa.bool_()
    if kinds and kinds <= {int, float}:
        whole_numbers = all(value is None or float(value).is_integer() for value in values)
        return pa.int64() if whole_numbers else pa.float64()
    if kinds and kinds <= {date, datetime}:
        return pa.date32() if kinds == {date} else pa.timestamp("us")
    return pa.string()
