"""The second half of the story: what is new, what was corrected, what did not fit."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import weir
from demo.screen import Screen
from demo.source import Source
from demo.weather import COLUMNS, CORRECTED, CORRECTION, KEY, PATH, corrected, newest, read_hours
from weir.types import Collection, QuarantineAction, Run, SyncMode

_DECEMBER = "2013-12-01T00:00:00Z"
_END = "2014-01-01T00:00:00Z"


@dataclass(frozen=True)
class Hourly:
    """What was found."""

    records: int
    untrue: list[str]


def collect_weather(client: weir.Client, source: Source, screen: Screen, connection_id: str) -> Hourly:
    """Collect the weather by the hour, fill back a month, and replay what did not fit."""
    hours = read_hours()
    told = _Told()
    screen.step("The weather, hour by hour: a run reads only what is new")
    source.set_clock(_DECEMBER)
    collection = _describe(client, connection_id)
    first = _run(client, collection)
    source.set_clock(_END)
    second = _run(client, collection)
    new = sum(hour["time_hour"] >= _DECEMBER for hour in hours)
    screen.tell(
        f"until November {first.counters.records_read:,} records; a month later {new:,} more are there"
    )
    screen.tell(
        f"the second run read {second.counters.records_read:,}: these, and the last hour once more, for in "
        f"mode MERGE a record takes the place of the one with the same {' and '.join(KEY)}"
    )
    told.demand(
        0 <= second.counters.records_read - new <= _LAST_HOUR, "the second run read more than what is new"
    )

    screen.step("A month is read again: the source has corrected its January")
    source.set_clock(_END, is_corrected=True)
    filled = _run(client, collection, backfill=CORRECTED)
    screen.tell(
        f"a backfill read {filled.counters.records_read:,} records, and showed them all at once; "
        f"January's pressure is {CORRECTION} higher now"
    )

    screen.step("What did not fit is kept, and put in once the mistake is mended")
    waiting = client.collections.get_dataset(first.dataset_id).dataset.quarantine_count
    sample = next(iter(client.collections.list_quarantine(filter=f'dataset_id = "{first.dataset_id}"')))
    screen.tell("somebody had declared `precip`, the rain, a whole number:")
    screen.tell(f"{waiting:,} records are in quarantine, such as one of page {sample.page}: {sample.reason}")
    put_in = _replay(client, collection, first.dataset_id)
    screen.tell(f"the column is a double now, and a replay has put {put_in:,} of them into the dataset")
    told.demand(waiting > 0 and put_in == waiting, f"{put_in:,} of {waiting:,} records were put in")
    return Hourly(*_compared(client, first.dataset_id, hours, told, screen))


# Records that one hour has at most: a run reads the hour of its cursor again.
_LAST_HOUR = 3


class _Told:
    def __init__(self) -> None:
        self.untrue: list[str] = []

    def demand(self, holds: bool, text: str) -> None:  # noqa: FBT001  a statement and its text
        if not holds:
            self.untrue.append(f"weather: {text}")


def _describe(client: weir.Client, connection_id: str) -> Collection:
    return client.collections.create_collection(
        name="weather",
        connection_id=connection_id,
        mode=SyncMode.SYNC_MODE_MERGE,
        cursor_field="time_hour",
        key_fields=KEY,
        settings=_settings(precip="int64"),
    ).collection


def _settings(precip: str) -> dict[str, Any]:
    return {
        "path": PATH,
        "records_path": "weather",
        "pagination": {"kind": "page", "page_size": 2_000, "total_path": "total"},
        "cursor_param": "since",
        "until_param": "until",
        "columns": [{"name": name, "type": precip if name == "precip" else kind} for name, kind in COLUMNS],
    }


def _run(client: weir.Client, collection: Collection, backfill: tuple[str, str] | None = None) -> Run:
    run = client.collections.run(collection.id, backfill=backfill)
    for _ in run.watch():
        pass
    run.task.result()
    return run.get()


def _replay(client: weir.Client, collection: Collection, dataset_id: str) -> int:
    mended = Collection(id=collection.id)
    mended.settings.update(_settings(precip="double"))
    client.collections.update_collection(collection=mended, update_mask=["settings"])
    answer = client.collections.resolve_quarantine(
        dataset_id,
        filter=f'dataset_id = "{dataset_id}"',
        action=QuarantineAction.QUARANTINE_ACTION_REPLAY,
    )
    return int(client.tasks.handle(answer.task_id).result()["replayed"])


def _compared(
    client: weir.Client, dataset_id: str, hours: list[dict[str, Any]], told: _Told, screen: Screen
) -> tuple[int, list[str]]:
    wanted = {key: _comparable(record) for key, record in newest([corrected(hour) for hour in hours]).items()}
    rows = client.collections.read_arrow(dataset_id).to_pylist()
    found = {(row["origin"], _text(row["time_hour"])): _comparable(row) for row in rows}
    told.demand(len(found) == len(rows), "a key is there twice")
    told.demand(found == wanted, "the dataset is not what the source shows")
    screen.tell(
        f"the dataset has {len(rows):,} records, each hour and airport once, as the source shows them"
    )
    return len(rows), told.untrue


def _comparable(record: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(
        float(value) if isinstance(value, int | float) else value
        for name, value in record.items()
        if name not in KEY
    )


def _text(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
