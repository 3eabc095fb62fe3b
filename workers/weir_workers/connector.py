"""Write a connector of your own: what a package outside Weir may import, and what stays as it is.

    from weir_workers.connector import Batch, Connector, Source, Wanted, fit_rows, open_fetcher

    class ShelfConnector(Connector):
        name = "shelf"
        ...

A worker finds it by an entry point of the group `weir.connectors`. `weir_workers.testing` reads with it
in a test. docs/add-a-connector.md shows a whole package.
"""

from weir_core.datasets.commits import Counts, Position, Reject
from weir_core.datasets.values import CursorValue
from weir_workers.connectors.contract import (
    Batch,
    Checkpoint,
    Connector,
    Drift,
    Item,
    Partition,
    Said,
    Source,
    SourceStream,
    Unchanged,
    Wanted,
)
from weir_workers.connectors.errors import BodyCut, SourceError
from weir_workers.connectors.fetch import Answer, Fetcher
from weir_workers.connectors.fetching import open_fetcher
from weir_workers.connectors.rereading import Reread, reread_json
from weir_workers.connectors.typed_rows import fit_rows

__all__ = [
    "Answer",
    "Batch",
    "BodyCut",
    "Checkpoint",
    "Connector",
    "Counts",
    "CursorValue",
    "Drift",
    "Fetcher",
    "Item",
    "Partition",
    "Position",
    "Reject",
    "Reread",
    "Said",
    "Source",
    "SourceError",
    "SourceStream",
    "Unchanged",
    "Wanted",
    "fit_rows",
    "open_fetcher",
    "reread_json",
]
