"""Cuts what is read of a table into parts of as many rows each, by its key. Blocks.

One part ends with the key at which the next one begins, so that together they
are all rows, those too that come later. Finding the ends takes one count and
one walk through the index.
"""

from typing import Any, Final

import orjson

from weir_workers.connectors.sql_place import Dialect
from weir_workers.connectors.sql_plan import Selection, key_of, keyed, pack, passes
from weir_workers.connectors.sql_reading import Job
from weir_workers.connectors.sql_statements import Parts, bound
from weir_workers.connectors.sql_tables import Database, Table

_MOST_PARTS: Final = 128
# A run keeps each end twice in its position.
_MOST_BYTES: Final = 16 * 1024


def ends_of_parts(database: Database, dialect: Dialect, table: Table, job: Job) -> list[list[Any]]:
    """The keys that all parts but the last end with, in order; none of a small table or one without key."""
    selection = Selection(dialect, keyed(table, job.key), ())
    first = passes(dialect, selection.table, job.asked)[0]
    if not first.exact:
        return []
    [(rows,)] = _asked(database, selection, selection.count(first))
    size = max(job.sizes.part, -(-rows // _MOST_PARTS))
    ends: list[list[Any]] = []
    after: list[Any] | None = None
    for _ in range(-(-rows // size) - 1):
        found = _asked(database, selection, selection.statement(first, after, 1, skip=size - 1))
        if not found:
            break
        after = key_of(first, found[0])
        ends.append(pack(after))
    while len(orjson.dumps(ends)) > _MOST_BYTES:
        ends = ends[1::2]
    return ends


def _asked(database: Database, selection: Selection, statement: Parts) -> list[tuple[Any, ...]]:
    text, values = bound(selection.dialect, statement)
    return [row for portion in database.rows(text, values, 16) for row in portion]
