"""CSV files: blocks of lines through `pyarrow.csv`, halved until those that do not fit are alone."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Final, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv

from weir_core.datasets.commits import Reject
from weir_workers.connectors.files_formats import FileJob, Part, skip_to, unreadable
from weir_workers.connectors.files_lines import Lines, blocks_of_lines

_BOM: Final = b"\xef\xbb\xbf"
_HEAD: Final = 1024 * 1024


class _Misfit(Exception):
    """At least one line does not fit."""


class _Table:
    """How the lines of one file become columns of the run."""

    def __init__(self, job: FileJob, names: list[str], schema: pa.Schema) -> None:
        known = {field.name: field for field in schema}
        self.schema = schema
        self.unknown = frozenset(name for name in names if name not in known)
        required = [field.name for field in schema if not field.nullable and field.name not in names]
        if required:
            raise unreadable(job.name, f"has no column {', '.join(required)}, which allows no nulls")
        if all(name not in known for name in names):
            raise unreadable(
                job.name, f"has none of the columns {', '.join(schema.names)}, but {', '.join(names)}"
            )
        self._read = pcsv.ReadOptions(column_names=names, use_threads=False)
        self._parse = pcsv.ParseOptions(
            delimiter=job.settings.delimiter_of(job.name),
            newlines_in_values=job.settings.quoted_newlines,
            ignore_empty_lines=False,
        )
        self._convert = pcsv.ConvertOptions(
            column_types=schema,
            include_columns=schema.names,
            include_missing_columns=True,
            null_values=job.settings.nulls,
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )

    def rows(self, lines: Sequence[bytes]) -> pa.RecordBatch:
        """The lines as rows; _Misfit if one of them does not fit."""
        body = b"\n".join(lines) + b"\n"
        read = pcsv.ReadOptions(
            column_names=self._read.column_names, use_threads=False, block_size=len(body) + 16
        )
        try:
            table = pcsv.read_csv(
                pa.BufferReader(body),
                read_options=read,
                parse_options=self._parse,
                convert_options=self._convert,
            )
        except (pa.ArrowException, OverflowError) as error:
            raise _Misfit(str(error)) from None
        if table.num_rows != len(lines):
            raise _Misfit("a line is no row")
        for field in self.schema:
            column = table.column(field.name)
            if not field.nullable and column.null_count:
                raise _Misfit(f"{field.name} is null, the column allows no nulls")
            if pa.types.is_float32(field.type) and pc.any(pc.is_inf(column), min_count=0).as_py():
                raise _Misfit(f"{field.name} is out of the range of {field.type}")
        rows = table.combine_chunks().to_batches()
        return pa.RecordBatch.from_arrays(rows[0].columns, schema=self.schema)


def read_csv(job: FileJob) -> Iterator[Part]:
    """Blocks of lines from where it is to begin."""
    stream = cast("BinaryIO", io.BufferedReader(cast("io.RawIOBase", job.stream)))
    names, head = _names(job, stream)
    schema = job.columns.settled(lambda: pa.schema([pa.field(name, pa.string()) for name in names]))
    nested = [one.name for one in schema if pa.types.is_nested(one.type) or pa.types.is_binary(one.type)]
    if nested:
        raise unreadable(job.name, f"CSV has no values for the type of the columns {', '.join(nested)}")
    table = _Table(job, names, schema)
    start = job.at.get("byte", head)
    skip_to(job, stream, start, head)
    row = job.at.get("row", 0)
    quote = b'"' if job.settings.quoted_newlines else b""
    for block in blocks_of_lines(stream, start, job.block, quote=quote):
        yield _part(job, table, block, row, block.end - start)
        row += len(block.lines)
        start = block.end


def _part(job: FileJob, table: _Table, block: Lines, row: int, size: int) -> Part:
    numbered = [(row + at, line) for at, line in enumerate(block.lines, 1) if line.strip()]
    batches: list[pa.RecordBatch] = []
    rejects: list[Reject] = []
    if block.cut:
        _reject(job, rejects, numbered, "the line is too long")
    else:
        open_ended = [one for one in numbered if one[1].count(b'"') % 2]
        _reject(job, rejects, open_ended, "a quote in the line is not closed")
        closed = [one for one in numbered if not one[1].count(b'"') % 2] if open_ended else numbered
        _sort(job, table, closed, batches, rejects)
        rejects.sort(key=lambda one: one.position)
    rows: pa.RecordBatch | None = pa.concat_batches(batches) if batches else None
    at = {"byte": block.end, "row": row + len(block.lines)}
    return Part(at, rows, tuple(rejects), len(numbered), size, table.unknown)


def _sort(
    job: FileJob,
    table: _Table,
    numbered: list[tuple[int, bytes]],
    batches: list[pa.RecordBatch],
    rejects: list[Reject],
) -> None:
    if not numbered:
        return
    try:
        batches.append(table.rows([line for _, line in numbered]))
    except _Misfit as misfit:
        if len(numbered) == 1:
            _reject(job, rejects, numbered, str(misfit))
            return
        half = len(numbered) // 2
        _sort(job, table, numbered[:half], batches, rejects)
        _sort(job, table, numbered[half:], batches, rejects)


def _reject(job: FileJob, rejects: list[Reject], numbered: list[tuple[int, bytes]], reason: str) -> None:
    for number, line in numbered:
        rejects.append(Reject.of(line, _told(reason), page=job.number, position=number))


def _told(reason: str) -> str:
    """What Arrow says, without its numbers of rows, which count within a block."""
    text = reason.removeprefix("In CSV column ").split(": ", 1)[-1] if "In CSV column" in reason else reason
    return text.split(" Row #", 1)[0][:500]


def _names(job: FileJob, stream: BinaryIO) -> tuple[list[str], int]:
    """The columns of a file, and where its first row begins."""
    if not job.settings.header:
        return [column.name for column in job.settings.columns], 0
    line = stream.readline(_HEAD)
    try:
        text = line.removeprefix(_BOM).decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise unreadable(job.name, "its first line is no UTF-8") from None
    delimiter = job.settings.delimiter_of(job.name)
    names: list[str] = next(csv.reader([text], delimiter=delimiter), list[str]())
    if not names or "" in names or len(set(names)) != len(names):
        raise unreadable(job.name, "its first line must name each column, and no two alike")
    return names, len(line)
