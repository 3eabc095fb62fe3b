"""Which rows lie between a run's cursor and the end that it was told."""

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from weir_core.datasets.cursors import as_scalar
from weir_core.datasets.values import CursorValue

Compare = Callable[[pa.Array, pa.Scalar], pa.Array]


class OutOfRange(ValueError):
    """The cursor field or a cursor does not fit the columns."""


@dataclass(frozen=True, slots=True)
class CursorRange:
    """What a run wants by its cursor field; rows without a value are always wanted."""

    field: str
    """Empty: there is none, all rows are wanted."""
    since: CursorValue | None
    until: CursorValue | None
    keep_equal: bool
    """True: rows equal to `since` are wanted."""
    drop_below: bool
    """True: rows below `since` are not wanted; else only what is equal to it is looked for."""

    def inside(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The rows that are wanted; OutOfRange if that can't be told."""
        if not self.field:
            return rows
        if self.field not in rows.schema.names:
            names = ", ".join(rows.schema.names)
            raise OutOfRange(f"the cursor field {self.field!r} is none of the columns: {names}")
        for bound, unwanted in ((self.since, self._before()), (self.until, pc.greater_equal)):
            if bound is not None and unwanted is not None:
                rows = self._without(rows, bound, unwanted)
        return rows

    def _before(self) -> Compare | None:
        if self.drop_below:
            return pc.less if self.keep_equal else pc.less_equal
        return None if self.keep_equal else pc.equal

    def _without(self, rows: pa.RecordBatch, bound: CursorValue, unwanted: Compare) -> pa.RecordBatch:
        column = rows.column(self.field)
        try:
            found = pc.fill_null(unwanted(column, as_scalar(bound, column.type)), False)
        except ValueError as error:
            raise OutOfRange(str(error)) from None
        return rows.filter(pc.invert(found)) if pc.any(found).as_py() else rows
