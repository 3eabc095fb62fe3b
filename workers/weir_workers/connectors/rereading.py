"""Rejected records that are JSON, read once more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from weir_workers.connectors.strict import Unfit, read_record


@dataclass(frozen=True, slots=True)
class Reread:
    """Rejected records, read once more."""

    rows: pa.RecordBatch
    """Those that fit now."""
    misfits: Mapping[int, str]
    """Why the others still don't, by their place among all."""


def reread_json(raws: Sequence[bytes], schema: pa.Schema) -> Reread:
    """Each record by the rules of the columns, value by value."""
    rows: list[dict[str, object]] = []
    misfits: dict[int, str] = {}
    for place, raw in enumerate(raws):
        try:
            rows.append(read_record(raw, schema))
        except Unfit as unfit:
            misfits[place] = unfit.reason
    return Reread(pa.RecordBatch.from_pylist(rows, schema), misfits)
