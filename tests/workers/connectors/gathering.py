"""Reads a source by a connector that makes one partition, for tests."""

from weir_core.datasets.commits import Position
from weir_workers.connectors.contract import Connector, Source, Wanted
from weir_workers.connectors.errors import SourceError
from weir_workers.testing import Read, read_part


async def gather(
    connector: Connector, source: Source, wanted: Wanted, position: Position | None = None
) -> Read:
    """All that comes, from a position on."""
    [partition] = await connector.partitions(source, wanted)
    return await read_part(connector, source, wanted, partition, position)


async def gather_with_stops(connector: Connector, source: Source, wanted: Wanted) -> list[Read]:
    """What came, and what comes when it is read again from some of its positions, the last among them."""
    whole = await gather(connector, source, wanted)
    kept = sorted({0, len(whole.positions) // 2, len(whole.positions) - 1})
    whole.positions, places = [whole.positions[at] for at in kept], whole.places
    whole.places = [places[at] for at in kept]
    return [whole, *[await gather(connector, source, wanted, position) for position in whole.positions]]


def assert_resumes(readings: list[Read]) -> None:
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
