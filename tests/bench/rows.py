"""Made-up records of 12 columns: as JSON pages, and as a table of a database by one statement."""

from datetime import datetime, timedelta
from typing import Any, Final

import orjson
import pyarrow as pa

from weir_core.datasets.arrow_types import parse_type

COLUMNS: Final[list[tuple[str, str]]] = [
    ("id", "int64"),
    ("ref", "string"),
    ("created_at", "timestamp[us, tz=UTC]"),
    ("updated_at", "timestamp[us, tz=UTC]"),
    ("status", "string"),
    ("qty", "int64"),
    ("price", "double"),
    ("paid", "bool"),
    ("note", "string"),
    ("score", "double"),
    ("customer", "struct<id: int64, address: struct<city: string, zip: string>>"),
    ("tags", "list<string>"),
]
SCHEMA: Final = pa.schema([(name, parse_type(kind)) for name, kind in COLUMNS])
SECONDS: Final = 37
"""Between two records, by `created_at`."""
TABLE: Final = "sale"
_FIRST: Final = datetime(2024, 1, 1)  # noqa: DTZ001 - in UTC, as its text says
_STATES: Final = ("new", "paid", "packed", "sent", "returned")
_TAGS: Final = (["new"], ["new", "gift"], [], ["returning", "newsletter", "gift"])
# Each tenth page, each hundredth record of it.
_BAD_PAGES, _BAD_RECORDS = 10, 100


def records(number: int, per_page: int, *, bad: bool = False) -> bytes:
    """The list of records of a page, beginning at 1, as JSON; `bad`: some do not fit their columns."""
    first = (number - 1) * per_page
    made = [_record(first + place) for place in range(per_page)]
    if bad and number % _BAD_PAGES == 1:
        for record in made[::_BAD_RECORDS]:
            record["qty"] = "many"
    return orjson.dumps(made)


def bad_among(pages: int, per_page: int) -> int:
    """How many bad records so many pages have."""
    return -(-pages // _BAD_PAGES) * -(-per_page // _BAD_RECORDS)


def moment(number: int) -> str:
    """When the record with that id was made."""
    return f"{_FIRST + timedelta(seconds=number * SECONDS):%Y-%m-%dT%H:%M:%SZ}"


def _record(number: int) -> dict[str, Any]:
    at = moment(number)
    return {
        "id": number,
        "ref": f"{number * 2654435761 % 2**32:08x}-{number:012x}",
        "created_at": at,
        "updated_at": at,
        "status": _STATES[number % 5],
        "qty": number % 97,
        "price": number % 10_007 + 0.25,
        "paid": number % 3 == 0,
        "note": None if number % 4 else f"the customer asks for record {number}",
        "score": number % 1009 * 1.1,
        "customer": {
            "id": number % 50_021,
            "address": {"city": f"City {number % 211}", "zip": f"{number * 7 % 99_991:05d}"},
        },
        "tags": _TAGS[number % 4],
    }


def table_statements(dialect: str, count: int) -> list[str]:
    """What makes the table and fills it with so many rows; MySQL must take `||` as SQL does."""
    if dialect == "mysql":
        text, numbers = "varchar(64)", f"SELECT seq AS n FROM seq_1_to_{count}"
        at = f"TIMESTAMPADD(SECOND, n * {SECONDS}, '2024-01-01')"
    else:
        text, at = "text", f"datetime('2024-01-01', (n * {SECONDS}) || ' seconds')"
        counted = f"SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < {count}"
        numbers = f"WITH RECURSIVE counted(n) AS ({counted}) SELECT n FROM counted"
    columns = (
        f"id bigint PRIMARY KEY, ref {text}, created_at datetime, updated_at datetime, status {text}, "
        f"qty int, price double, paid bool, note {text}, score double, city {text}, zip {text}"
    )
    values = (
        f"n, 'ref-' || n * 7919, {at}, {at}, 'state ' || n % 5, n % 97, n % 10007 + 0.25, n % 3 = 0, "
        "CASE WHEN n % 4 = 0 THEN 'the customer asks for record ' || n END, n % 1009 * 1.1, "
        "'City ' || n % 211, '1' || n * 7 % 9991"
    )
    return [
        f"CREATE TABLE {TABLE} ({columns})",
        f"INSERT INTO {TABLE} SELECT {values} FROM ({numbers}) AS numbers",
    ]
