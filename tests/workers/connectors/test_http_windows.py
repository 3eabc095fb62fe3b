"""Time windows, and how far a run reads: cursor, until, limit."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.fixtures.http_source import Asked, HttpSource, meeting, normal
from tests.workers.connectors.reading import NUMBERED, Got, read, source_at
from tests.workers.connectors.test_http_paging import LAST_ID, by_last_id, by_offset, offset
from weir_workers.connectors.contract import Wanted
from weir_workers.connectors.errors import SourceError

START = datetime(2024, 1, 1, tzinfo=UTC)
COLUMNS = [{"name": "id", "type": "int64"}, {"name": "at", "type": "timestamp[us, tz=UTC]"}]


def text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def parsed(told: str) -> datetime:
    if told.isdigit():
        return datetime.fromtimestamp(int(told) / (1000 if len(told) > 11 else 1), UTC)
    at = datetime.fromisoformat(told)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


@pytest.fixture
def api(http_source: HttpSource) -> HttpSource:
    """35 records, one each 6 hours, by windows: `/windows`, and in pages of 3 `/paged`."""
    http_source.records = [{"id": n, "at": text(START + n * timedelta(hours=6))} for n in range(35)]

    def inside(asked: Asked) -> list[Any]:
        begin, end = parsed(asked.query["start"]), parsed(asked.query["end"])
        return [record for record in http_source.records if begin <= parsed(record["at"]) < end]

    def paged(asked: Asked) -> Any:
        at = int(asked.query.get("cursor", "0"))
        found = inside(asked)
        return {"data": found[at : at + 3], "next": at + 3 if at + 3 < len(found) else None}

    http_source.apis |= {"/windows": inside, "/paged": paged}
    return http_source


def windows(path: str = "/windows", **pagination: object) -> dict[str, Any]:
    return {
        "path": path,
        "columns": COLUMNS,
        "pagination": {
            "kind": "time_window",
            "start": "2024-01-01",
            "until": "2024-01-10T00:00:00Z",
            "width": "1d",
            **pagination,
        },
    }


def paged(**pagination: object) -> dict[str, Any]:
    inner = {"kind": "cursor", "next_path": "next"}
    return windows("/paged", pages=inner, **pagination) | {"records_path": "data"}


class TestTimeWindows:
    @pytest.mark.parametrize("width", ["1d", "7h", "4w", "90m"])
    @pytest.mark.parametrize("settings", [windows, paged])
    async def test_all_records_come_once_and_in_order(
        self, api: HttpSource, settings: Any, width: str
    ) -> None:
        got = await read(source_at(api), settings(width=width))
        assert got.ids() == list(range(35))
        assert got.positions[-1] == {"done": True}

    @pytest.mark.parametrize(
        "form,first",
        [
            ("iso", ("2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z")),
            ("date", ("2024-01-01", "2024-01-02")),
            ("epoch_seconds", ("1704067200", "1704153600")),
            ("epoch_ms", ("1704067200000", "1704153600000")),
        ],
    )
    async def test_are_written_as_the_source_wants(
        self, api: HttpSource, form: str, first: tuple[str, str]
    ) -> None:
        got = await read(source_at(api), windows(format=form))
        assert got.ids() == list(range(35))
        assert (api.asked[0].query["start"], api.asked[0].query["end"]) == first

    async def test_inclusive_end_is_one_step_earlier(self, api: HttpSource) -> None:
        def answer(asked: Asked) -> list[Any]:
            begin, end = parsed(asked.query["start"]), parsed(asked.query["end"]) + timedelta(days=1)
            return [record for record in api.records if begin <= parsed(record["at"]) < end]

        api.apis["/windows"] = answer
        got = await read(source_at(api), windows(format="date", end_inclusive=True))
        assert got.ids() == list(range(35))
        assert {asked.query["start"] == asked.query["end"] for asked in api.asked} == {True}

    async def test_several_are_asked_for_at_a_time_where_each_is_a_page(self, api: HttpSource) -> None:
        api.records = api.records[:5]
        api.faults[1] = [normal(), *[meeting(asyncio.Barrier(3))] * 6]
        async with asyncio.timeout(10):
            got = await read(source_at(api), windows("/plain", until="2024-01-08", in_flight=3))
        assert len(got.rows) == 35
        assert api.most_at_once == 3

    async def test_with_dates_they_reach_to_the_end_of_today(self, api: HttpSource) -> None:
        api.records = [{"id": 1, "at": text(datetime.now(UTC))}]
        start = (datetime.now(UTC) - timedelta(days=2)).date().isoformat()
        got = await read(source_at(api), windows(start=start, until="", format="date"))
        assert got.ids() == [1]

    async def test_without_until_they_reach_to_now(self, api: HttpSource) -> None:
        api.records = [{"id": 1, "at": text(datetime.now(UTC) - timedelta(seconds=5))}]
        start = text(datetime.now(UTC).replace(microsecond=0) - timedelta(days=2))
        got = await read(source_at(api), windows(start=start, until=""))
        assert got.ids() == [1]
        assert parsed(api.asked[-1].query["end"]) <= datetime.now(UTC)

    @pytest.mark.parametrize("settings", [windows(), paged(), paged(width="4w")], ids=["one", "many", "wide"])
    async def test_each_position_gives_exactly_the_rest(
        self, api: HttpSource, settings: dict[str, Any]
    ) -> None:
        whole = await read(source_at(api), settings)
        for position, rows in zip(whole.positions, whole.rows_at, strict=True):
            rest = await read(source_at(api), settings, position)
            assert whole.ids()[:rows] + rest.ids() == list(range(35))

    async def test_end_does_not_move_when_a_run_goes_on(self, api: HttpSource) -> None:
        settings = windows(until="", start=text(datetime.now(UTC) - timedelta(days=3)))
        api.records = [{"id": 1, "at": text(datetime.now(UTC) - timedelta(days=2, hours=12))}]
        whole = await read(source_at(api), settings)
        last = api.asked[-1].query["end"]
        api.asked.clear()
        await read(source_at(api), settings, whole.positions[0])
        assert api.asked[-1].query["end"] == last

    async def test_empty_windows_move_the_position(self, api: HttpSource) -> None:
        api.records = []
        settings = paged() | {"pagination": {**paged()["pagination"], "pages": {"kind": "page"}}}
        got = await read(source_at(api), settings)
        assert [position.get("window", "")[:10] for position in got.positions[:3]] == [
            "2024-01-02",
            "2024-01-03",
            "2024-01-04",
        ]

    async def test_source_that_ignores_the_window_is_found_out(self, api: HttpSource) -> None:
        api.apis["/windows"] = lambda _: api.records
        with pytest.raises(SourceError, match="two pages in a row"):
            await read(source_at(api), windows())

    async def test_parameters_can_go_into_the_body(self, api: HttpSource) -> None:
        api.apis["/windows"] = lambda _: []
        settings = windows(start_param="range.gte", end_param="range.lt", format="epoch_ms")
        await read(source_at(api), settings | {"method": "POST", "send_in": "body", "body": {"q": "x"}})
        assert api.asked[0].json == {"q": "x", "range": {"gte": 1704067200000, "lt": 1704153600000}}


class TestTimeWindowsByCursor:
    @pytest.mark.parametrize("form", ["iso", "date", "epoch_seconds"])
    @pytest.mark.parametrize("inclusive", [False, True])
    async def test_first_one_begins_at_the_cursor(self, api: HttpSource, form: str, inclusive: bool) -> None:
        wanted = Wanted(
            windows(format=form), cursor_field="at", cursor="2024-01-04T06:00:00Z", inclusive=inclusive
        )
        got = await read(source_at(api), wanted)
        assert got.ids() == list(range(13 if inclusive else 14, 35))
        assert parsed(api.asked[0].query["start"]).date() == datetime(2024, 1, 4, tzinfo=UTC).date()

    @pytest.mark.parametrize("form", ["iso", "date"])
    async def test_last_one_ends_where_a_backfill_does(self, api: HttpSource, form: str) -> None:
        wanted = Wanted(windows(format=form), cursor_field="at", until="2024-01-04T06:00:00Z")
        got = await read(source_at(api), wanted)
        assert got.ids() == list(range(13))

    async def test_cursor_beyond_the_end_asks_nothing(self, api: HttpSource) -> None:
        wanted = Wanted(windows(), cursor_field="at", cursor="2024-02-01T00:00:00Z")
        got = await read(source_at(api), wanted)
        assert (got.rows, api.asked) == ([], [])

    @pytest.mark.parametrize("cursor", ["soon", 12])
    async def test_cursor_that_is_no_time_is_refused(self, api: HttpSource, cursor: Any) -> None:
        with pytest.raises(SourceError, match=r"pagination\.format") as caught:
            await read(source_at(api), Wanted(windows(), cursor_field="at", cursor=cursor))
        assert caught.value.code == "settings.invalid"


def since(api: HttpSource, **settings: Any) -> dict[str, Any]:
    """Records from a time on, or before one, in a list."""

    def answer(asked: Asked) -> list[Any]:
        begin = parsed(asked.query.get("from", "2000-01-01"))
        end = parsed(asked.query.get("to", "2100-01-01"))
        return [record for record in api.records if begin <= parsed(record["at"]) < end]

    api.apis["/since"] = answer
    return {"path": "/since", "columns": COLUMNS, "cursor_param": "from", "until_param": "to", **settings}


async def between(api: HttpSource, settings: dict[str, Any], **wanted: Any) -> Got:
    return await read(source_at(api), Wanted(settings, cursor_field="at", **wanted))


class TestCursorFormat:
    @pytest.mark.parametrize(
        "form,told",
        [
            ("as_is", "2024-01-04T06:00:00Z"),
            ("iso", "2024-01-04T06:00:00Z"),
            ("date", "2024-01-04"),
            ("epoch_seconds", "1704348000"),
            ("epoch_ms", "1704348000000"),
        ],
    )
    async def test_cursor_is_written_so(self, api: HttpSource, form: str, told: str) -> None:
        got = await between(api, since(api, cursor_format=form), cursor="2024-01-04T06:00:00Z")
        assert api.asked[0].query["from"] == told
        assert got.ids() == list(range(14, 35))

    async def test_number_stays_one_where_the_format_has_numbers(self, http_source: HttpSource) -> None:
        settings = {**NUMBERED, "cursor_param": "since", "cursor_format": "epoch_seconds"}
        await read(source_at(http_source), Wanted(settings, cursor_field="id", cursor=20))
        assert http_source.asked[0].query["since"] == "20"

    async def test_number_is_refused_where_it_has_dates(self, http_source: HttpSource) -> None:
        settings = {**NUMBERED, "cursor_param": "since", "cursor_format": "date"}
        with pytest.raises(SourceError, match="cursor_format"):
            await read(source_at(http_source), Wanted(settings, cursor_field="id", cursor=20))


class TestUntil:
    @pytest.mark.parametrize("form", ["as_is", "iso", "date", "epoch_seconds", "epoch_ms"])
    async def test_what_lies_before_it_is_read(self, api: HttpSource, form: str) -> None:
        settings = since(api, cursor_format=form)
        got = await between(api, settings, cursor="2024-01-02T06:00:00Z", until="2024-01-04T06:00:00Z")
        assert got.ids() == list(range(6, 13))

    async def test_records_at_and_beyond_it_are_dropped(self, api: HttpSource) -> None:
        settings = since(api, until_param="nobody")
        got = await between(api, settings, until="2024-01-04T06:00:00Z")
        assert got.ids() == list(range(13))
        assert got.counts.records == 35

    async def test_fraction_finer_than_a_microsecond_leaves_nothing_out(self, api: HttpSource) -> None:
        api.records = [{"id": 1, "at": "2024-01-04T06:00:00.000000Z"}]
        columns = [{"name": "id", "type": "int64"}, {"name": "at", "type": "timestamp[ns, tz=UTC]"}]
        settings = since(api, cursor_format="epoch_ms", columns=columns)
        got = await between(api, settings, until="2024-01-04T06:00:00.000000001Z")
        assert got.ids() == [1]

    async def test_needs_a_parameter(self, http_source: HttpSource) -> None:
        with pytest.raises(SourceError, match="until_param") as caught:
            await read(source_at(http_source), Wanted(NUMBERED, until="2024-01-01"))
        assert (caught.value.kind, caught.value.code) == ("INVALID_INPUT", "settings.invalid")


class TestInclusive:
    async def test_equal_ones_are_kept(self, http_source: HttpSource) -> None:
        settings = {**NUMBERED, "cursor_param": "since"}
        wanted = Wanted(settings, cursor_field="id", cursor=20, inclusive=True)
        assert (await read(source_at(http_source), wanted)).ids() == list(range(20, 35))


class TestLimit:
    async def preview(self, source: HttpSource, settings: dict[str, Any], limit: int) -> list[Any]:
        """What a caller takes who closes the iterator when it has enough."""
        from contextlib import aclosing

        from tests.workers.connectors.reading import quick
        from weir_workers.connectors.contract import Batch, Partition

        rows: list[Any] = []
        items = quick().read(source_at(source), Wanted(settings, limit=limit), Partition())
        async with aclosing(items):
            async for item in items:
                rows += item.records.to_pylist() if isinstance(item, Batch) else []
                if len(rows) >= limit:
                    break
        return rows

    @pytest.mark.parametrize("limit,pages", [(1, [1]), (10, [1]), (25, [1, 2, 3])])
    async def test_no_more_pages_are_asked_for(
        self, http_source: HttpSource, limit: int, pages: list[int]
    ) -> None:
        settings = {**NUMBERED, "pagination": {"kind": "page", "page_size": 10}}
        rows = await self.preview(http_source, settings, limit)
        assert [row["id"] for row in rows[:limit]] == list(range(limit))
        assert http_source.pages_asked() == pages
        assert http_source.most_at_once == 1

    async def test_pages_are_made_smaller_where_the_source_is_told_their_size(self, api: HttpSource) -> None:
        api.apis["/offset"] = by_offset(api)
        rows = await self.preview(api, offset(page_size=1000), 5)
        assert len(rows) == 5
        assert [asked.query["limit"] for asked in api.asked] == ["5"]

    async def test_next_page_waits_until_it_is_wanted(self, api: HttpSource) -> None:
        api.apis["/last-id"] = by_last_id(api)
        rows = await self.preview(api, LAST_ID, 15)
        assert len(rows) == 20
        assert len(api.asked) == 2

    async def test_windows_go_one_by_one(self, api: HttpSource) -> None:
        rows = await self.preview(api, windows(), 6)
        assert [row["id"] for row in rows] == list(range(8))
        assert len(api.asked) == 2
