"""What did come out: Arrow batches back to the text of rows, column by column."""

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from demo.fingerprint import NULL, SEPARATOR, Fingerprint, fingerprint
from demo.flights import COLUMNS, NAMES


def of_batches(batches: Iterable[pa.RecordBatch]) -> Fingerprint:
    """Of Arrow batches with the columns of the flights, in any order."""
    return fingerprint(text for batch in batches for text in _texts(batch))


def wrong_types(schema: pa.Schema) -> list[str]:
    """Columns that are not as they were declared."""
    declared = {name: kind for name, kind, _ in COLUMNS}
    found = {field.name: str(field.type) for field in schema}
    return [
        f"{name} is {found.get(name, 'missing')}, not {declared.get(name, 'expected')}"
        for name in declared | found
        if found.get(name) != declared.get(name)
    ]


def _texts(batch: pa.RecordBatch) -> Iterator[str]:
    columns = [_column(batch.column(name)) for name in NAMES]
    joined: Any = pc.binary_join_element_wise(*columns, SEPARATOR)
    yield from joined.to_pylist()


def _column(values: Any) -> Any:
    if pa.types.is_timestamp(values.type):
        # Whole seconds, as in the file; a cast that would lose a part of one fails.
        seconds = values.cast(pa.timestamp("s", "UTC"))
        values = pc.strftime(seconds, format="%Y-%m-%dT%H:%M:%SZ")
    return pc.fill_null(values.cast(pa.string()), NULL)
