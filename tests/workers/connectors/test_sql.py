"""The connector `sql` on SQLite, MariaDB and PostgreSQL."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from tests.fixtures.sql_sources import SqlSource
from tests.workers.connectors.gathering import assert_resumes, gather, gather_with_stops, refusal
from weir_workers.connectors import sql_process
from weir_workers.connectors.contract import Wanted
from weir_workers.connectors.errors import SourceError
from weir_workers.connectors.sql import SqlConnector
from weir_workers.testing import Read, read_async, read_part

SMALL = SqlConnector(first=10, range=25, batch=2_000)
PARTED = SqlConnector(first=10, range=25, batch=2_000, part=30)
ORDERS = {
    "sqlite": "CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT, qty INTEGER, changed DATETIME)",
    "mariadb": "CREATE TABLE orders (id BIGINT PRIMARY KEY, item TEXT, qty INT, changed DATETIME(6))",
    "postgresql": "CREATE TABLE orders (id BIGINT PRIMARY KEY, item TEXT, qty INT, changed TIMESTAMP)",
}
DAY = datetime(2024, 1, 1)  # noqa: DTZ001 - the column has no zone


def at(minute: int | None) -> str | None:
    return None if minute is None else f"2024-01-01 {minute // 60:02}:{minute % 60:02}:00.000000"


def fill_orders(source: SqlSource, number: int = 100, *, minutes: list[int | None] | None = None) -> None:
    source.run(ORDERS[source.kind])
    times = minutes or list(range(number))
    source.fill("orders", [(one, f"item {one}", one % 7, at(times[one])) for one in range(number)])


def orders(source: SqlSource, **wanted: Any) -> Wanted:
    return Wanted(wanted.pop("settings", {}), stream=source.name("orders"), **wanted)


class TestReading:
    async def test_all_rows_come_once(self, sql_source: SqlSource):
        fill_orders(sql_source)
        got = await gather(SMALL, sql_source.source, orders(sql_source))
        assert got.column("id") == list(range(100))
        assert got.rows[61]["changed"].replace(tzinfo=None) == datetime(2024, 1, 1, 1, 1)  # noqa: DTZ001
        assert got.counts.records == 100
        assert got.counts.requests >= 4
        assert got.positions[-1] == {"done": True}

    async def test_every_position_leads_to_exactly_the_rest(self, sql_source: SqlSource):
        fill_orders(sql_source)
        readings = await gather_with_stops(SMALL, sql_source.source, orders(sql_source))
        assert len(readings) == 4
        assert_resumes(readings)

    async def test_rows_that_were_added_and_deleted_meanwhile_double_nothing(self, sql_source: SqlSource):
        fill_orders(sql_source)
        whole = await gather(SMALL, sql_source.source, orders(sql_source))
        sql_source.run("DELETE FROM orders WHERE id < 20")
        sql_source.fill("orders", [(100, "new", 1, at(5))])
        rest = await gather(SMALL, sql_source.source, orders(sql_source), whole.positions[2])
        done = whole.rows[: whole.places[2][0]]
        assert [row["id"] for row in done] + rest.column("id") == list(range(101))

    async def test_the_end_is_no_place_to_read_on(self, sql_source: SqlSource):
        fill_orders(sql_source, 5)
        got = await gather(SMALL, sql_source.source, orders(sql_source), {"done": True})
        assert got.rows == []

    async def test_an_empty_table_has_no_rows(self, sql_source: SqlSource):
        sql_source.run(ORDERS[sql_source.kind])
        got = await gather(SMALL, sql_source.source, orders(sql_source))
        assert (got.rows, got.positions) == ([], [{"done": True}])

    async def test_a_limit_is_the_most_that_is_asked_for(self, sql_source: SqlSource):
        fill_orders(sql_source)
        got = await gather(SMALL, sql_source.source, orders(sql_source, limit=13))
        assert got.column("id") == list(range(13))

    async def test_a_key_of_several_columns_orders_as_a_whole(self, sql_source: SqlSource):
        text = "VARCHAR(20)"
        sql_source.run(f"CREATE TABLE pairs (a {text} NOT NULL, b INTEGER NOT NULL, PRIMARY KEY (a, b))")
        sql_source.fill(
            "pairs", [(name, number) for name in ("a", "b'", "c\\", "d%s") for number in range(9)]
        )
        wanted = Wanted({}, stream=sql_source.name("pairs"))
        readings = await gather_with_stops(SqlConnector(first=5, range=7), sql_source.source, wanted)
        assert len({(row["a"], row["b"]) for row in readings[0].rows}) == 36
        assert_resumes(readings)

    async def test_without_connectorx_the_driver_reads_the_same(
        self, sql_source: SqlSource, monkeypatch: pytest.MonkeyPatch
    ):
        fill_orders(sql_source)
        fast = await gather(SMALL, sql_source.source, orders(sql_source))
        slowly(monkeypatch)
        slow = await gather(SMALL, sql_source.source, orders(sql_source))
        assert slow.rows == fast.rows
        assert slow.schema == fast.schema

    async def test_odd_names_are_quoted(self, sql_source: SqlSource):
        mark = "`" if sql_source.kind == "mariadb" else '"'
        name = f"or{mark}{mark}der's; DROP TABLE x --"
        column = f"a{mark}{mark} %s'b"
        sql_source.run(
            f"CREATE TABLE {mark}{name}{mark} (id INTEGER PRIMARY KEY, {mark}{column}{mark} INTEGER)"
        )
        sql_source.run(f"INSERT INTO {mark}{name}{mark} VALUES (1, 2), (2, 3)")
        plain = name.replace(mark * 2, mark)
        got = await gather(SMALL, sql_source.source, Wanted({}, stream=sql_source.name(plain)))
        assert got.column(column.replace(mark * 2, mark)) == [2, 3]

    async def test_a_stream_that_is_not_there_is_named(self, sql_source: SqlSource):
        error = await refusal(SMALL, sql_source.source, Wanted({}, stream="nothing"))
        assert (error.kind, error.code) == ("INVALID_INPUT", "sql.missing")
        assert "'nothing'" in error.message

    async def test_either_a_stream_or_a_query_is_needed(self, sqlite_source: SqlSource):
        for wanted in (Wanted({}), Wanted({"query": "SELECT 1"}, stream="orders")):
            assert "either a stream" in (await refusal(SMALL, sqlite_source.source, wanted)).message


class TestParts:
    """What is read over several connections."""

    async def test_the_parts_together_are_all_rows_in_order(self, sql_source: SqlSource):
        fill_orders(sql_source)
        parts = await parts_read(sql_source, orders(sql_source, settings={"connections": 3}))
        assert [len(part.rows) for part in parts] == [30, 30, 30, 10]
        assert [row["id"] for part in parts for row in part.rows] == list(range(100))
        for part in parts:
            assert part.positions[-1] == {"done": True}

    async def test_each_position_leads_to_the_rest_of_its_part(self, sql_source: SqlSource):
        fill_orders(sql_source)
        wanted = orders(sql_source, settings={"connections": 2})
        got = await read_async(PARTED, sql_source.source, wanted)
        assert got.column("id") == list(range(100))

    async def test_keys_of_several_columns_and_of_odd_text_part_nothing_twice(self, sql_source: SqlSource):
        text = "VARCHAR(20)"
        sql_source.run(f"CREATE TABLE pairs (a {text} NOT NULL, b INTEGER NOT NULL, PRIMARY KEY (a, b))")
        sql_source.fill(
            "pairs", [(name, number) for name in ("a", "b'", "c\\", "d%s") for number in range(19)]
        )
        parts = await parts_read(sql_source, Wanted({"connections": 2}, stream=sql_source.name("pairs")))
        rows = [(row["a"], row["b"]) for part in parts for row in part.rows]
        assert len(parts) == 3
        assert len(rows) == len(set(rows)) == 76

    async def test_rows_without_a_cursor_and_rows_that_came_later_are_of_the_last_part(
        self, sql_source: SqlSource
    ):
        minutes: list[int | None] = [None if number % 10 == 3 else 99 - number for number in range(100)]
        fill_orders(sql_source, minutes=minutes)
        wanted = orders(sql_source, settings={"connections": 2}, cursor_field="changed")
        cut = await PARTED.partitions(sql_source.source, wanted)
        sql_source.fill("orders", [(100, "new", 1, at(500)), (101, "old", 1, at(0))])
        parts = [await read_part(PARTED, sql_source.source, wanted, one) for one in cut]
        assert len(parts) == 3
        assert sorted(row["id"] for part in parts for row in part.rows) == list(range(102))
        assert {row["id"] for row in parts[-1].rows} >= {100, *range(3, 100, 10)}

    async def test_only_what_lies_behind_the_cursor_is_cut(self, sql_source: SqlSource):
        fill_orders(sql_source)
        wanted = orders(sql_source, settings={"connections": 4}, cursor_field="id", cursor=19, until=80)
        parts = await parts_read(sql_source, wanted)
        assert [len(part.rows) for part in parts] == [30, 30]
        assert [row["id"] for part in parts for row in part.rows] == list(range(20, 80))

    async def test_what_is_small_or_has_no_key_is_one_part(self, sql_source: SqlSource):
        fill_orders(sql_source)
        sql_source.run("CREATE VIEW looks AS SELECT item FROM orders")
        for connector, wanted in (
            (SqlConnector(), orders(sql_source, settings={"connections": 4})),
            (PARTED, orders(sql_source)),
            (PARTED, Wanted({"connections": 4}, stream=sql_source.name("looks"))),
        ):
            assert len(await connector.partitions(sql_source.source, wanted)) == 1

    async def test_the_driver_reads_the_same_parts(
        self, sql_source: SqlSource, monkeypatch: pytest.MonkeyPatch
    ):
        fill_orders(sql_source)
        slowly(monkeypatch)
        parts = await parts_read(sql_source, orders(sql_source, settings={"connections": 3}))
        assert [row["id"] for part in parts for row in part.rows] == list(range(100))

    async def test_keys_too_long_to_keep_make_fewer_parts(self, sqlite_source: SqlSource):
        sqlite_source.run("CREATE TABLE words (word TEXT PRIMARY KEY NOT NULL)")
        sqlite_source.fill("words", [(f"{number:04}" + "x" * 1000,) for number in range(3000)])
        wanted = Wanted({"connections": 2, "key": ["word"]}, stream="words")
        cut = await PARTED.partitions(sqlite_source.source, wanted)
        kept = [one.settings for one in cut]
        assert 8 < len(kept) <= 16
        assert len(json.dumps(kept)) < 40_000


async def parts_read(source: SqlSource, wanted: Wanted) -> list[Read]:
    cut = await PARTED.partitions(source.source, wanted)
    return [await read_part(PARTED, source.source, wanted, one) for one in cut]


class TestCursor:
    async def test_what_lies_after_the_cursor_comes(self, sql_source: SqlSource):
        fill_orders(sql_source)
        wanted = orders(sql_source, cursor_field="changed", cursor="2024-01-01T01:00:00Z")
        assert (await gather(SMALL, sql_source.source, wanted)).column("id") == list(range(61, 100))

    async def test_inclusive_takes_the_equal_ones_too(self, sql_source: SqlSource):
        fill_orders(sql_source)
        wanted = orders(sql_source, cursor_field="changed", cursor="2024-01-01T01:00:00", inclusive=True)
        assert (await gather(SMALL, sql_source.source, wanted)).column("id") == list(range(60, 100))

    async def test_until_is_not_reached(self, sql_source: SqlSource):
        fill_orders(sql_source)
        wanted = orders(
            sql_source, cursor_field="changed", cursor="2024-01-01T00:10:00", until="2024-01-01T00:20:00"
        )
        assert (await gather(SMALL, sql_source.source, wanted)).column("id") == list(range(11, 20))

    async def test_a_number_is_a_cursor(self, sql_source: SqlSource):
        fill_orders(sql_source)
        wanted = orders(sql_source, cursor_field="id", cursor=89, until=95)
        assert (await gather(SMALL, sql_source.source, wanted)).column("id") == list(range(90, 95))

    async def test_equal_values_are_told_apart_by_the_key(self, sql_source: SqlSource):
        fill_orders(sql_source, 60, minutes=[number // 20 for number in range(60)])
        wanted = orders(sql_source, cursor_field="changed")
        readings = await gather_with_stops(SMALL, sql_source.source, wanted)
        assert sorted(readings[0].column("id")) == list(range(60))
        assert_resumes(readings)

    async def test_rows_without_a_value_come_when_all_is_read(self, sql_source: SqlSource):
        fill_orders(sql_source, 30, minutes=[None if one % 3 == 0 else one for one in range(30)])
        readings = await gather_with_stops(
            SMALL, sql_source.source, orders(sql_source, cursor_field="changed")
        )
        assert sorted(readings[0].column("id")) == list(range(30))
        assert_resumes(readings)
        later = orders(sql_source, cursor_field="changed", cursor="2024-01-01T00:00:00")
        assert len((await gather(SMALL, sql_source.source, later)).rows) == 20

    async def test_a_resumed_run_keeps_the_cursor_that_it_began_with(self, sql_source: SqlSource):
        fill_orders(sql_source)
        wanted = orders(sql_source, cursor_field="id", cursor=49)
        whole = await gather(SMALL, sql_source.source, wanted)
        later = orders(sql_source, cursor_field="id", cursor=90)
        rest = await gather(SMALL, sql_source.source, later, whole.positions[0])
        assert whole.rows[: whole.places[0][0]] + rest.rows == whole.rows

    async def test_text_with_quotes_is_a_value_and_nothing_else(self, sql_source: SqlSource):
        sql_source.run("CREATE TABLE words (word VARCHAR(50) PRIMARY KEY)")
        words = ["a", "b' OR '1'='1", 'c"; --', "d\\", "é€𝄞"]
        sql_source.fill("words", [(word,) for word in words])
        for word in words:
            wanted = Wanted(
                {}, stream=sql_source.name("words"), cursor_field="word", cursor=word, inclusive=True
            )
            got = await gather(SMALL, sql_source.source, wanted)
            assert word in got.column("word")
            assert all(other >= word for other in got.column("word") if other.isascii() and word.isascii())

    async def test_a_column_that_is_none_is_named(self, sql_source: SqlSource):
        fill_orders(sql_source, 3)
        error = await refusal(SMALL, sql_source.source, orders(sql_source, cursor_field="when"))
        assert "'when' is none of the columns: id, item, qty, changed" in error.message

    async def test_a_cursor_of_another_type_is_refused(self, sql_source: SqlSource):
        fill_orders(sql_source, 3)
        error = await refusal(SMALL, sql_source.source, orders(sql_source, cursor_field="id", cursor="soon"))
        assert error.kind == "INVALID_INPUT"
        assert "soon" in error.message


class TestWithoutKey:
    @pytest.fixture
    def keyless(self, sql_source: SqlSource) -> SqlSource:
        fill_orders(sql_source, 60, minutes=[number // 7 for number in range(60)])
        sql_source.run("CREATE VIEW latest AS SELECT id, item, changed FROM orders")
        return sql_source

    async def test_all_rows_come(self, keyless: SqlSource):
        got = await gather(SMALL, keyless.source, Wanted({}, stream=keyless.name("latest")))
        assert sorted(got.column("id")) == list(range(60))

    async def test_a_run_that_broke_off_is_told_to_start_anew(self, keyless: SqlSource):
        wanted = Wanted({}, stream=keyless.name("latest"))
        position = (await gather(SMALL, keyless.source, wanted)).positions[0]
        with pytest.raises(SourceError, match="name columns as `key`") as caught:
            await gather(SMALL, keyless.source, wanted, position)
        assert caught.value.code == "sql.no_key"

    async def test_a_named_key_makes_it_go_on(self, keyless: SqlSource):
        wanted = Wanted({"key": ["id"]}, stream=keyless.name("latest"))
        readings = await gather_with_stops(SMALL, keyless.source, wanted)
        assert len(readings) == 4
        assert_resumes(readings)

    @pytest.mark.parametrize("fast", [True, False])
    async def test_a_cursor_field_alone_goes_on_between_its_values(
        self, keyless: SqlSource, fast: bool, monkeypatch: pytest.MonkeyPatch
    ):
        if not fast:
            slowly(monkeypatch)
        wanted = Wanted({}, stream=keyless.name("latest"), cursor_field="changed")
        connector = SqlConnector(first=10, batch=1_000)
        readings = await gather_with_stops(connector, keyless.source, wanted)
        assert sorted(readings[0].column("id")) == list(range(60))
        for (rows, _), rest in zip(readings[0].places, readings[1:], strict=True):
            done = [row["id"] for row in readings[0].rows[:rows]]
            assert sorted(done + rest.column("id")) == list(range(60))


class TestQuery:
    @pytest.mark.parametrize("fast", [True, False])
    async def test_its_rows_are_read_in_the_order_of_the_key(
        self, sql_source: SqlSource, fast: bool, monkeypatch: pytest.MonkeyPatch
    ):
        if not fast:
            slowly(monkeypatch)
        fill_orders(sql_source)
        query = "SELECT id AS number, item, '100%' AS share FROM orders WHERE item LIKE '%item%' -- all"
        settings: dict[str, Any] = {"query": query, "key": ["number"]}
        if sql_source.kind == "sqlite":
            settings["columns"] = [
                {"name": name, "type": kind}
                for name, kind in (("number", "int64"), ("item", "string"), ("share", "string"))
            ]
        readings = await gather_with_stops(SMALL, sql_source.source, Wanted(settings))
        assert readings[0].column("number") == list(range(100))
        assert readings[0].rows[0]["share"] == "100%"
        assert_resumes(readings)

    async def test_types_are_those_of_the_database(self, sql_source: SqlSource):
        fill_orders(sql_source, 3)
        got = await gather(SMALL, sql_source.source, Wanted({"query": "SELECT id, qty, changed FROM orders"}))
        assert pa.types.is_integer(got.schema.field("qty").type)
        assert pa.types.is_timestamp(got.schema.field("changed").type)

    @pytest.mark.parametrize(
        "query", ["DELETE FROM orders", "SELECT 1; DELETE FROM orders", "SELECT 1) x; --"]
    )
    async def test_only_one_select_is_taken(self, sqlite_source: SqlSource, query: str):
        error = await refusal(SMALL, sqlite_source.source, Wanted({"query": query}))
        assert "must be one SELECT" in error.message

    async def test_the_session_may_only_read(self, postgres_source: SqlSource):
        fill_orders(postgres_source, 3)
        postgres_source.run(
            "CREATE FUNCTION clear() RETURNS int LANGUAGE sql SECURITY DEFINER"
            " AS 'DELETE FROM orders; SELECT 1'"
        )
        error = await refusal(SMALL, postgres_source.source, Wanted({"query": "SELECT clear() AS x"}))
        assert "read-only" in error.message

    async def test_mistakes_are_told(self, sql_source: SqlSource):
        error = await refusal(SMALL, sql_source.source, Wanted({"query": "SELECT FROM WHERE"}))
        assert (error.kind, error.code) == ("INVALID_INPUT", "sql.query")

    async def test_a_computed_column_of_sqlite_needs_a_type(self, sqlite_source: SqlSource):
        error = await refusal(SMALL, sqlite_source.source, Wanted({"query": "SELECT 1 + 1 AS two"}))
        assert "no type of two; name it in `columns`" in error.message


BAD = {
    "sqlite": ("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, d DATE)", (50, "many", "2024-01-01")),
    "mariadb": ("CREATE TABLE t (id INT PRIMARY KEY, n INT, d DATE)", (50, 1, "0000-00-00")),
    "postgresql": ("CREATE TABLE t (id INT PRIMARY KEY, n INT, d DATE)", (50, 1, "infinity")),
}


class TestBadRows:
    @pytest.fixture
    def bad(self, sql_source: SqlSource) -> SqlSource:
        create, row = BAD[sql_source.kind]
        if sql_source.kind == "mariadb":
            sql_source.run("SET SESSION sql_mode = ''")
        sql_source.run(create)
        good = [(number, number, "2024-02-03") for number in range(200) if number != 50]
        sql_source.fill("t", [*good, row])
        return sql_source

    async def test_they_are_rejected_and_the_others_kept(self, bad: SqlSource):
        readings = await gather_with_stops(SMALL, bad.source, Wanted({}, stream=bad.name("t")))
        got = readings[0]
        assert got.column("id") == [number for number in range(200) if number != 50]
        assert [json.loads(reject.raw)["id"] for reject in got.rejects] == [50]
        assert got.rejects[0].column == ("n" if bad.kind == "sqlite" else "d")
        assert "does not fit" in got.rejects[0].reason
        assert got.rejects[0].position == 51
        assert_resumes(readings)

    async def test_a_value_that_the_declared_type_can_not_hold_is_rejected(self, sql_source: SqlSource):
        fill_orders(sql_source, 20)
        sql_source.run("UPDATE orders SET qty = 300 WHERE id IN (3, 4)")
        columns = [{"name": "id", "type": "int64"}, {"name": "qty", "type": "int8"}]
        wanted = orders(sql_source, settings={"columns": columns})
        got = await gather(SMALL, sql_source.source, wanted)
        assert len(got.rows) == 18
        assert [json.loads(reject.raw) for reject in got.rejects] == [
            {"id": 3, "qty": 300},
            {"id": 4, "qty": 300},
        ]

    async def test_a_null_where_none_is_allowed_is_rejected(self, sql_source: SqlSource):
        fill_orders(sql_source, 10)
        sql_source.run("UPDATE orders SET item = NULL WHERE id = 7")
        columns = [{"name": "id", "type": "int64"}, {"name": "item", "type": "string", "nullable": False}]
        got = await gather(SMALL, sql_source.source, orders(sql_source, settings={"columns": columns}))
        assert [reject.reason for reject in got.rejects] == ["item is null, the column allows no nulls"]
        assert len(got.rows) == 9


class TestColumns:
    async def test_declared_types_are_kept(self, sql_source: SqlSource):
        fill_orders(sql_source, 3)
        kinds = {
            "qty": "bool",
            "id": "decimal128(10, 2)",
            "changed": "timestamp[ms, tz=UTC]",
            "item": "binary",
        }
        sql_source.run("UPDATE orders SET qty = id % 2")
        columns = [{"name": name, "type": kind} for name, kind in kinds.items()]
        got = await gather(SMALL, sql_source.source, orders(sql_source, settings={"columns": columns}))
        assert got.rows[1]["qty"] is True
        assert got.rows[1]["id"] == Decimal(1)
        assert got.rows[1]["changed"] == datetime(2024, 1, 1, 0, 1, tzinfo=UTC)
        assert got.rows[1]["item"] == b"item 1"

    async def test_columns_of_the_dataset_are_kept_and_others_told(self, sql_source: SqlSource):
        fill_orders(sql_source, 3)
        schema = pa.schema([("id", pa.int64()), ("gone", pa.string())])
        got = await gather(SMALL, sql_source.source, orders(sql_source, schema=schema))
        assert got.rows == [{"id": number, "gone": None} for number in range(3)]
        assert got.drift == ["item", "qty", "changed"]

    async def test_a_declared_column_that_is_not_there_is_named(self, sql_source: SqlSource):
        fill_orders(sql_source, 3)
        wanted = orders(sql_source, settings={"columns": [{"name": "price", "type": "double"}]})
        assert "no column 'price'" in (await refusal(SMALL, sql_source.source, wanted)).message


class TestTypes:
    @pytest.mark.parametrize("fast", [True, False])
    async def test_of_mariadb(self, mariadb_source: SqlSource, fast: bool, monkeypatch: pytest.MonkeyPatch):
        if not fast:
            slowly(monkeypatch)
        mariadb_source.run(
            "CREATE TABLE t (id BIGINT UNSIGNED PRIMARY KEY, flag TINYINT(1), d DATETIME(6), day DATE,"
            " f FLOAT, r DOUBLE, x BLOB, n DECIMAL(30, 12), v VARCHAR(20), j JSON, ts TIMESTAMP(6) NOT NULL,"
            " ti TIME(6), y YEAR, u INT UNSIGNED, bi BIT(3), e ENUM('a', 'b'), b BINARY(4), uu UUID)"
        )
        row = (2**64 - 1, 1, "2024-01-01 00:00:00.123456", "2024-01-02", 1.5, 2.5, b"\xff\x00")
        row += ("123456789012345678.123456789012", "é€𝄞", '{"a": 1}')
        row += ("2024-06-01 12:00:00.5", "-120:00:01.5")
        row += (2024, 4_000_000_000, 5, "a", b"\0\1\2\xff", "00000000-0000-0000-0000-000000000001")
        mariadb_source.run("SET time_zone = '+02:00'")
        mariadb_source.fill("t", [row])
        got = await gather(SMALL, mariadb_source.source, Wanted({}, stream="t"))
        assert got.rejects == []
        found = got.rows[0]
        assert (found["id"], found["flag"], found["u"], found["y"], found["bi"]) == (
            2**64 - 1,
            1,
            4_000_000_000,
            2024,
            5,
        )
        assert found["d"] == datetime(2024, 1, 1, 0, 0, 0, 123456)  # noqa: DTZ001
        assert found["ts"] == datetime(2024, 6, 1, 10, 0, 0, 500000, tzinfo=UTC)
        assert (found["day"], found["n"]) == (date(2024, 1, 2), Decimal("123456789012345678.123456789012"))
        assert (found["x"], found["b"]) == (b"\xff\x00", b"\0\1\2\xff")
        assert (found["v"], found["e"], found["ti"]) == ("é€𝄞", "a", "-120:00:01.500000")
        assert json.loads(found["j"]) == {"a": 1}
        assert got.schema.field("flag").type == pa.int8()
        assert got.counts.requests == 1

    @pytest.mark.parametrize("fast", [True, False])
    async def test_of_postgresql(
        self, postgres_source: SqlSource, fast: bool, monkeypatch: pytest.MonkeyPatch
    ):
        if not fast:
            slowly(monkeypatch)
        postgres_source.run(
            "CREATE TYPE mood AS ENUM ('sad', 'glad')",
            "CREATE TABLE t (id UUID PRIMARY KEY, flag BOOL, d TIMESTAMP, day DATE, f REAL, r FLOAT8,"
            " x BYTEA, n NUMERIC(30, 12), v VARCHAR(20), j JSONB, ts TIMESTAMPTZ, ti TIME,"
            " any_n NUMERIC, a INT[], m mood)",
        )
        row = (
            "00000000-0000-0000-0000-000000000001",
            True,
            "2024-01-01 00:00:00.123456",
            "2024-01-02",
            1.5,
            2.5,
        )
        row += (b"\xff\x00", "123456789012345678.123456789012", "é€𝄞", '{"a": 1}')
        row += ("2024-06-01 12:00:00.5+02",)
        row += ("12:00:01.5", "1.10", [1, 2], "glad")
        postgres_source.fill("t", [row])
        got = await gather(SMALL, postgres_source.source, Wanted({}, stream="public.t"))
        assert got.rejects == []
        found = got.rows[0]
        assert found["id"] == "00000000-0000-0000-0000-000000000001"
        assert found["d"] == datetime(2024, 1, 1, 0, 0, 0, 123456)  # noqa: DTZ001
        assert found["ts"] == datetime(2024, 6, 1, 10, 0, 0, 500000, tzinfo=UTC)
        assert (found["day"], found["n"]) == (date(2024, 1, 2), Decimal("123456789012345678.123456789012"))
        assert (found["x"], found["v"], found["any_n"]) == (b"\xff\x00", "é€𝄞", "1.10")
        assert (found["a"], found["m"], found["ti"].isoformat()) == ("{1,2}", "glad", "12:00:01.500000")
        assert got.counts.requests == 1

    async def test_keys_of_many_types_go_on(self, postgres_source: SqlSource):
        for kind, values in (
            ("UUID", [f"00000000-0000-0000-0000-0000000000{one:02}" for one in range(12)]),
            ("NUMERIC(20, 5)", [Decimal(one) / 8 for one in range(12)]),
            ("TIMESTAMPTZ", [datetime(2024, 1, 1, one, tzinfo=UTC) for one in range(12)]),
            ("DATE", [date(2024, 1, 1 + one) for one in range(12)]),
            ("BYTEA", [bytes([one, 255]) for one in range(12)]),
        ):
            postgres_source.run("DROP TABLE IF EXISTS k", f"CREATE TABLE k (k {kind} PRIMARY KEY)")
            postgres_source.fill("k", [(value,) for value in values])
            wanted = Wanted({}, stream="public.k")
            connector = SqlConnector(first=3, range=4)
            whole = await gather(connector, postgres_source.source, wanted)
            rest = await gather(connector, postgres_source.source, wanted, whole.positions[1])
            assert len(whole.rows) == 12
            assert whole.rows[: whole.places[1][0]] + rest.rows == whole.rows


def slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where connectorx is not installed."""
    from weir_workers.connectors import sql

    real = sql_process.frames_of
    monkeypatch.setattr(sql, "frames_of", lambda order, timeout: real({**order, "fast": False}, timeout))
