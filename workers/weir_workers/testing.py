"""Read with a connector in a test, without a server or a worker.

    from weir_workers import testing
    from weir_workers.connector import Source, Wanted

    def test_all_books_come():
        read = testing.read(ShelfConnector(), Source({"url": shelf}, allow_private=True))
        assert [row["title"] for row in read.rows] == ["Dune", "Emma"]

Settings are checked by the connector's JSON schemas, as the server does, and positions pass through JSON.
Then it is read again from each position: a run that breaks off there gets exactly the rest, or the test
fails.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final

from weir_core.collections.settings import check_collection, check_connection
from weir_core.datasets.commits import Counts, Position, Reject
from weir_workers.connectors.contract import (
    Batch,
    Checkpoint,
    Connector,
    Drift,
    Partition,
    Said,
    Source,
    Unchanged,
    Wanted,
)
from weir_workers.connectors.registry import collection_schema, connection_schema

_POSITIONS: Final = 20
_EVERYTHING: Final = Wanted({})


@dataclass(slots=True)
class Read:
    """What a reading gave, in its order."""

    rows: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    rejects: list[Reject] = field(default_factory=list[Reject])
    drift: list[str] = field(default_factory=list[str])
    log: list[str] = field(default_factory=list[str])
    schema: Any = None
    """The columns of the last batch, a `pyarrow.Schema`; None where there was none."""
    counts: Counts = field(default_factory=Counts)
    positions: list[Position] = field(default_factory=list[Position])
    places: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    """How many rows and rejects had come at each position."""
    known: Mapping[str, Any] | None = None
    """What the source said of its version; give it back in `wanted.known`."""
    unchanged: bool = False

    def column(self, name: str) -> list[Any]:
        """The values of one column."""
        return [row[name] for row in self.rows]


def read(connector: Connector, source: Source, wanted: Wanted = _EVERYTHING) -> Read:
    """All that the connector reads; AssertionError where a position leads to anything but the rest.

    Raises what the connector raises, and SchemaMismatch for settings that the server would refuse.
    """
    return asyncio.run(read_async(connector, source, wanted))


async def read_async(connector: Connector, source: Source, wanted: Wanted = _EVERYTHING) -> Read:
    """As `read`, in a test that is an `async def`."""
    check_connection(
        connector.name, connection_schema(connector), dict(source.settings), dict(source.secrets)
    )
    check_collection(connector.name, collection_schema(connector), dict(wanted.settings))
    whole = Read()
    for partition in await connector.partitions(source, wanted):
        part = await read_part(connector, source, wanted, partition)
        for at in _spread(len(part.positions)):
            rest = await read_part(connector, source, wanted, partition, part.positions[at])
            _check_rest(part, at, rest)
        _append(whole, part)
    return whole


async def read_part(
    connector: Connector,
    source: Source,
    wanted: Wanted,
    partition: Partition,
    position: Position | None = None,
) -> Read:
    """One partition, from a position on; nothing is checked."""
    got = Read()
    async with aclosing(connector.read(source, wanted, partition, position)) as items:
        async for item in items:
            match item:
                case Reject():
                    got.rejects.append(item)
                    continue
                case Drift():
                    got.drift += item.fields
                    continue
                case Said():
                    got.log.append(item.text)
                    continue
                case Unchanged():
                    got.unchanged = True
                    got.counts += item.counts
                    continue
                case Checkpoint():
                    got.known = item.known or got.known
                case Batch():
                    got.rows += item.records.to_pylist()
                    got.schema = item.records.schema
            got.positions.append(json.loads(json.dumps(item.position)))
            got.places.append((len(got.rows), len(got.rejects)))
            got.counts += item.counts
    return got


def _spread(count: int) -> Sequence[int]:
    """At most twenty of so many places, the last among them."""
    return (
        sorted({(count - 1) * step // max(1, _POSITIONS - 1) for step in range(_POSITIONS)}) if count else []
    )


def _check_rest(whole: Read, at: int, rest: Read) -> None:
    rows, rejects = whole.places[at]
    told = f"after the position {whole.positions[at]}"
    if rest.rows != whole.rows[rows:]:
        raise AssertionError(
            f"{told} come {len(rest.rows)} rows, not the {len(whole.rows) - rows} that are left"
        )
    if [one.raw for one in rest.rejects] != [one.raw for one in whole.rejects[rejects:]]:
        raise AssertionError(f"{told} come other rejects than those that are left")


def _append(whole: Read, part: Read) -> None:
    rows, rejects = len(whole.rows), len(whole.rejects)
    whole.places += [(rows + more, rejects + others) for more, others in part.places]
    whole.rows += part.rows
    whole.rejects += part.rejects
    whole.drift += part.drift
    whole.log += part.log
    whole.positions += part.positions
    whole.schema = part.schema or whole.schema
    whole.counts += part.counts
