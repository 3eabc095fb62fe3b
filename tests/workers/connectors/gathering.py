"""Reads a source by any connector and keeps what came, for tests."""

from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from weir_core.datasets.commits import Counts, Position, Reject
from weir_workers.connectors.contract import Batch, Connector, Drift, Partition, Said, Source, Wanted
from weir_workers.connectors.errors import SourceError


@dataclass
class Gathered:
    """What a reading gave."""

    rows: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    rejects: list[Reject] = field(default_factory=list[Reject])
    drift: list[str] = field(default_factory=list[str])
    positions: list[Position] = field(default_factory=list[Position])
    places: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    """How many rows and rejects had come at each position."""
    schema: Any = None
    counts: Counts = field(default_factory=Counts)

    def column(self, name: str) -> list[Any]:
        return [row[name] for row in self.rows]


async def gather(
    connector: Connector, source: Source, wanted: Wanted, position: Position | None = None
) -> Gathered:
    """All partitions, from a position on where there is only one."""
    got = Gathered()
    for partition in await connector.partitions(source, wanted):
        await _gather(got, connector, (source, wanted, partition), position)
    return got


async def _gather(
    got: Gathered, connector: Connector, asked: tuple[Source, Wanted, Partition], position: Position | None
) -> None:
    async with aclosing(connector.read(*asked, position)) as items:
        async for item in items:
            match item:
                case Reject():
                    got.rejects.append(item)
                    continue
                case Drift():
                    got.drift += item.fields
                    continue
                case Said():
                    continue
                case Batch():
                    got.rows += item.records.to_pylist()
                    got.schema = item.records.schema
                case _:
                    pass
            got.positions.append(item.position)
            got.places.append((len(got.rows), len(got.rejects)))
            got.counts += item.counts


async def gather_with_stops(connector: Connector, source: Source, wanted: Wanted) -> list[Gathered]:
    """What came, and what comes when it is read again from some of its positions, the last among them."""
    whole = await gather(connector, source, wanted)
    kept = sorted({0, len(whole.positions) // 2, len(whole.positions) - 1})
    whole.positions, places = [whole.positions[at] for at in kept], whole.places
    whole.places = [places[at] for at in kept]
    return [whole, *[await gather(connector, source, wanted, position) for position in whole.positions]]


def assert_resumes(readings: list[Gathered]) -> None:
    """Each position leads to exactly the rest."""
    whole, *rests = readings
    for (rows, rejects), rest in zip(whole.places, rests, strict=True):
        assert whole.rows[:rows] + rest.rows == whole.rows
        assert [one.raw for one in whole.rejects[rejects:]] == [one.raw for one in rest.rejects]


async def refusal(connector: Connector, source: Source, wanted: Wanted) -> SourceError:
    """The error that a reading ends with."""
    try:
        await gather(connector, source, wanted)
    except SourceError as error:
        return error
    raise AssertionError("nothing was refused")
