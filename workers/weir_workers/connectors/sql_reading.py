"""One reading of a table in the child process, from a position to the end. Blocks.

The fast way is connectorx, which gives columns. Where it fails, which it may do
by a panic, the driver reads the rest of that range, and rows that do not fit
are found one by one. Both ways run the same statements.
"""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.compute as pc

from weir_core.datasets.commits import Position
from weir_core.datasets.values import CursorValue
from weir_workers.connectors import sql_frames as frames
from weir_workers.connectors.errors import SourceError
from weir_workers.connectors.sql_place import Place
from weir_workers.connectors.sql_plan import (
    Asked,
    Pass,
    Selection,
    Span,
    cursor_value,
    invalid,
    key_of,
    keyed,
    named,
    pack,
    passes,
    unpack,
    within,
)
from weir_workers.connectors.sql_statements import Parts, bound, written
from weir_workers.connectors.sql_tables import Column, Database, FastWay, Table
from weir_workers.connectors.typed_rows import Misfit, as_columns, cast_rows, fit_rows

_MOST_ROWS: Final = 32_768
_TIMES: Final = (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))
_MOST_EQUAL: Final = 1_000_000
# After so many ranges in a row that the fast way failed at, it is not tried again.
_PATIENCE: Final = 2


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is read at a time."""

    first: int = 1_000
    """Rows of the first range: it shows how large rows are."""
    range: int = 500_000
    """Rows of each other range."""
    batch: int = 4 * 1024 * 1024
    """Bytes of a batch, about."""
    part: int = 131_072
    """Rows of a part at least, where parts are read side by side."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a reading is asked for."""

    schema: pa.Schema | None
    """None: as the table has it."""
    declared: bool
    asked: Asked
    key: tuple[str, ...] = ()
    span: Span = field(default_factory=Span)
    limit: int = 0
    position: Position | None = None
    fast: bool = True
    sizes: Sizes = field(default_factory=Sizes)


@dataclass(slots=True)
class _Range:
    """How far a range has come."""

    limit: int | None
    seen: int = 0


class SqlReading:
    """Reads once, and tells in frames what it reads."""

    def __init__(self, place: Place, database: Database, table: Table, job: Job, to: BinaryIO) -> None:
        self._place = place
        self._database = database
        self._job = job
        self._to = to
        table = keyed(table, job.key)
        self._schema = _schema(table, job)
        columns = tuple(column for name in self._schema.names if (column := table.column(name)) is not None)
        self._selection = Selection(place.dialect, table, columns)
        self._asked = job.asked
        position = job.position or {}
        if "since" in position:
            self._asked = Asked(
                job.asked.cursor_field, position["since"], position["inclusive"], job.asked.until
            )
        self._passes = within(passes(place.dialect, table, self._asked), job.span)
        self._number = int(position.get("pass", 0))
        after = position.get("after") if position else job.span.after
        self._after: list[Any] | None = unpack(after) if after else None
        self._rows = int(position.get("rows", 0))
        self._portion = job.sizes.first
        self._statements = self._bytes = 0
        self._failures = 0
        way = database.fast() if job.fast and _has_connectorx() else None
        self._fast: FastWay | None = way if all(column.plain for column in columns) else None
        self._left = job.limit or None

    def run(self) -> None:
        """Reads to the end, or until `limit` rows came."""
        self._tell_drift()
        for number in range(self._number, len(self._passes)):
            self._number = number
            self._read_pass(self._passes[number])
            self._after = None
            if self._left == 0:
                return
        self._send(None, {"done": True}, 0)

    def _read_pass(self, one: Pass) -> None:
        position = self._job.position or {}
        if not one.order and position.get("rows") and position.get("pass", 0) == self._number:
            raise invalid(
                f"{self._name()} has no key, so a reading that broke off can't go on; start a new run, or "
                "name columns as `key`",
                "sql.no_key",
            )
        size = self._job.sizes.first
        while self._left != 0:
            ranged = _Range(self._limit_of(size) if one.exact else None)
            self._read_range(one, ranged)
            if ranged.limit is None or ranged.seen < ranged.limit:
                return
            size = self._job.sizes.range

    def _name(self) -> str:
        return self._selection.table.name or "the query"

    def _limit_of(self, size: int) -> int:
        return size if self._left is None else min(size, self._left)

    def _read_range(self, one: Pass, ranged: _Range) -> None:
        # Where there is no order, what came before a failure could not be told from the rest.
        if self._fast is not None and one.order:
            try:
                self._read_fast(one, ranged, self._fast)
            except (SourceError, OSError, MemoryError, SystemExit, KeyboardInterrupt):
                raise
            except BaseException:  # noqa: BLE001 - a panic of connectorx is no Exception
                self._failures += 1
                if self._failures >= _PATIENCE:
                    self._fast = None
            else:
                self._failures = 0
                return
        self._read_slowly(one, ranged)

    def _statement(self, one: Pass, ranged: _Range) -> Parts:
        self._statements += 1
        limit = self._left if ranged.limit is None else ranged.limit - ranged.seen
        return self._selection.statement(one, self._after, limit)

    def _read_fast(self, one: Pass, ranged: _Range, way: FastWay) -> None:
        import connectorx

        text = written(self._place.dialect, self._statement(one, ranged))
        # Its own types know only a part of what it takes.
        read: Any = connectorx.read_sql  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        # SQLite knows no statements before.
        before = {"pre_execution_query": list(way.before)} if way.before else {}
        reader = read(way.url, text, return_type="arrow_stream", batch_size=self._portion, **before)
        held: pa.RecordBatch | None = None
        for batch in reader:
            raw = batch
            _check_times(raw)
            if not one.exact and raw.num_rows:
                raw, held = _divided(held, raw)
                _check_equal(held.num_rows, one.order)
            if raw.num_rows:
                self._give(one, ranged, raw)
        if held is not None:
            self._give(one, ranged, held)

    def _read_slowly(self, one: Pass, ranged: _Range) -> None:
        if ranged.limit is not None and ranged.limit == ranged.seen:
            return
        text, values = bound(self._place.dialect, self._statement(one, ranged))
        held: list[tuple[Any, ...]] = []
        size = len(self._selection.columns)
        for portion in self._database.rows(text, values, self._portion):
            rows = portion
            if one.order and not one.exact:
                rows = [*held, *portion]
                first = next(at for at, row in enumerate(rows) if row[size] == rows[-1][size])
                rows, held = rows[:first], rows[first:]
                _check_equal(len(held), one.order)
            if rows:
                self._give_rows(one, ranged, rows)
        if held:
            self._give_rows(one, ranged, held)

    def _give(self, one: Pass, ranged: _Range, raw: pa.RecordBatch) -> None:
        """Columns as they came, those of the order last."""
        size = len(self._selection.columns)
        last = raw.slice(raw.num_rows - 1)
        after = key_of(one, (column[0].as_py() for column in last.columns[size:]))
        self._measure(raw.num_rows, raw.nbytes)
        rows = pa.RecordBatch.from_arrays(raw.columns[:size], names=list(raw.schema.names[:size]))
        ranged.seen += raw.num_rows
        try:
            records = cast_rows(rows, self._schema)
        except Misfit:
            self._sort_out(rows.to_pylist(), after)
        else:
            self._emit(records, after, raw.num_rows)

    def _give_rows(self, one: Pass, ranged: _Range, rows: list[tuple[Any, ...]]) -> None:
        """Rows as a driver gave them."""
        columns = self._selection.columns
        size = len(columns)
        after = key_of(one, rows[-1][size:])
        ranged.seen += len(rows)
        try:
            raw = as_columns(
                [row[:size] for row in rows], pa.schema([(one.name, one.kind) for one in columns])
            )
            self._measure(raw.num_rows, raw.nbytes)
            records = cast_rows(raw, self._schema)
        except Misfit:
            names = [column.name for column in columns]
            self._sort_out([dict(zip(names, row, strict=False)) for row in rows], after)
        else:
            self._emit(records, after, len(rows))

    def _sort_out(self, rows: Sequence[dict[str, Any]], after: list[Any]) -> None:
        records, rejects = fit_rows(rows, self._schema, self._rows + 1)
        for reject in rejects:
            frames.send(self._to, frames.REJECT, frames.reject_frame(reject))
        self._emit(records, after, len(rows))

    def _emit(self, records: pa.RecordBatch, after: list[Any], seen: int) -> None:
        self._after = after or None
        self._rows += seen
        if self._left is not None:
            self._left -= seen
        position: dict[str, Any] = {"pass": self._number, "rows": self._rows}
        if after:
            position["after"] = pack(after)
        if self._asked.cursor is not None:
            position |= {"since": self._asked.cursor, "inclusive": self._asked.inclusive}
        self._send(self._exactly(records), position, seen)

    def _send(self, records: pa.RecordBatch | None, position: Position, seen: int) -> None:
        size = 0 if records is None else records.nbytes
        about = {"position": position, "records": seen, "bytes": size, "requests": self._statements}
        self._statements = 0
        frames.send(
            self._to,
            frames.ROWS,
            *frames.rows_frame(about, records if records is not None and records.num_rows else None),
        )

    def _exactly(self, records: pa.RecordBatch) -> pa.RecordBatch:
        """Without what a loose comparison of times has let through."""
        column = self._selection.table.column(self._asked.cursor_field)
        if column is None or not column.loose:
            return records
        at = records.schema.get_field_index(column.name)
        if at < 0:
            return records
        values = records.column(at)
        for edge, near in (
            (self._asked.cursor, pc.greater_equal if self._asked.inclusive else pc.greater),
            (self._asked.until, pc.less),
        ):
            if edge is not None:
                mask = pc.fill_null(near(values, _edge(column, edge, values.type)), False)
                records, values = records.filter(mask), values.filter(mask)
        return records

    def _measure(self, rows: int, size: int) -> None:
        """Makes batches of about the size that is wanted, by what the rows so far took."""
        self._portion = max(16, min(_MOST_ROWS, self._job.sizes.batch * rows // max(size, 1)))

    def _tell_drift(self) -> None:
        known = set(self._schema.names)
        unknown = [column.name for column in self._selection.table.columns if column.name not in known]
        if unknown and not self._job.declared:
            frames.send(self._to, frames.DRIFT, frames.names_frame(unknown[:100]))


def _edge(column: Column, edge: CursorValue, kind: pa.DataType) -> pa.Scalar:
    return pa.scalar(str(edge) if pa.types.is_string(kind) else cursor_value(column, edge), kind)


def _check_times(raw: pa.RecordBatch) -> None:
    """What stands for infinity is no time that anybody meant: the slow way refuses it by name."""
    for column in raw.columns:
        kind = column.type
        if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            zone = UTC if pa.types.is_timestamp(kind) and kind.tz else None
            span = pc.min_max(column)
            low, high = (pa.scalar(one.replace(tzinfo=zone), kind) for one in _TIMES)
            if span["min"].is_valid and (
                pc.less(span["min"], low).as_py() or pc.greater(span["max"], high).as_py()
            ):
                raise Misfit("a time out of range")


def _has_connectorx() -> bool:
    return importlib.util.find_spec("connectorx") is not None


def _schema(table: Table, job: Job) -> pa.Schema:
    if job.schema is None:
        typeless = [column.name for column in table.columns if pa.types.is_null(column.kind)]
        if typeless:
            raise invalid(f"the database knows no type of {', '.join(typeless)}; name it in `columns`")
        return pa.schema([pa.field(column.name, column.kind) for column in table.columns])
    if job.declared:
        for name in job.schema.names:
            named(table, name, "`columns`")
    missing = [one.name for one in job.schema if not one.nullable and table.column(one.name) is None]
    if missing:
        raise invalid(
            f"{table.name or 'the query'} has no column {', '.join(missing)}, which allows no nulls"
        )
    return job.schema


def _divided(held: pa.RecordBatch | None, raw: pa.RecordBatch) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """The rows before the last value of the order, and those that have it: more of them may come."""
    whole = pa.concat_batches([held, raw]) if held is not None else raw
    last = whole.column(whole.num_columns - 1)
    first = pc.index(pc.equal(last, last[len(last) - 1]), True).as_py()
    return whole.slice(0, first), whole.slice(first)


def _check_equal(rows: int, order: tuple[Column, ...]) -> None:
    if rows > _MOST_EQUAL:
        raise invalid(
            f"more than {_MOST_EQUAL:,} rows have the same {order[0].name!r}, and there is no key; "
            "name columns as `key`",
            "sql.no_key",
        )
