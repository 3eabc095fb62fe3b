from typing import Any

import pytest

from tests.fixtures.http_source import HttpSource
from tests.workers.connectors.reading import NUMBERED, read, source_at
from weir_workers.connectors.contract import Wanted
from weir_workers.connectors.errors import SourceError

INCREMENTAL: dict[str, Any] = {**NUMBERED, "cursor_param": "since"}


class TestCursor:
    async def test_first_run_sends_none(self, http_source: HttpSource) -> None:
        got = await read(source_at(http_source), Wanted(INCREMENTAL, cursor_field="id"))
        assert len(got.rows) == 35
        assert all("since" not in asked.query for asked in http_source.asked)

    async def test_later_run_sends_it_and_drops_what_equals_it(self, http_source: HttpSource) -> None:
        got = await read(source_at(http_source), Wanted(INCREMENTAL, cursor_field="id", cursor=20))
        assert all(asked.query["since"] == "20" for asked in http_source.asked)
        assert got.ids() == list(range(21, 35))
        assert got.counts.records == 15

    async def test_whole_number_that_was_a_double_is_sent_whole(self, http_source: HttpSource) -> None:
        await read(source_at(http_source), Wanted(INCREMENTAL, cursor_field="id", cursor=20.0))
        assert http_source.asked[0].query["since"] == "20"

    async def test_equal_ones_are_kept_when_told_so(self, http_source: HttpSource) -> None:
        settings = {**INCREMENTAL, "keep_equal": True}
        got = await read(source_at(http_source), Wanted(settings, cursor_field="id", cursor=20))
        assert got.ids() == list(range(20, 35))

    async def test_dropped_rows_do_not_end_the_pages(self, http_source: HttpSource) -> None:
        for record in http_source.records[20:30]:
            record["id"] = 20
        settings = {
            **INCREMENTAL,
            "pagination": {"kind": "page", "page_size": 10, "short_page_ends": True},
        }
        got = await read(source_at(http_source), Wanted(settings, cursor_field="id", cursor=20))
        assert got.ids() == [30, 31, 32, 33, 34]

    async def test_resumed_run_asks_with_the_cursor_it_began_with(self, http_source: HttpSource) -> None:
        wanted = Wanted(INCREMENTAL, cursor_field="id", cursor=5)
        whole = await read(source_at(http_source), wanted)
        http_source.asked.clear()
        moved = Wanted(INCREMENTAL, schema=whole.schema, cursor_field="id", cursor=15)
        rest = await read(source_at(http_source), moved, whole.positions[0])
        assert {asked.query["since"] for asked in http_source.asked} == {"5"}
        assert whole.ids()[: whole.rows_at[0]] + rest.ids() == list(range(6, 35))

    async def test_times_compare_as_times(self, http_source: HttpSource) -> None:
        times = ["2024-01-01T10:00:00Z", "2024-01-01T11:00:00+01:00", "2024-01-01T10:00:01Z"]
        http_source.bodies[1] = (
            '{"results": [' + ",".join(f'{{"at": "{time}"}}' for time in times) + "]}"
        ).encode()
        settings = {
            "path": "/numbered",
            "records_path": "results",
            "columns": [{"name": "at", "type": "timestamp[us, tz=UTC]"}],
            "cursor_param": "after",
        }
        wanted = Wanted(settings, cursor_field="at", cursor="2024-01-01T10:00:00Z")
        got = await read(source_at(http_source), wanted)
        assert [row["at"].second for row in got.rows] == [1]
        assert http_source.asked[0].query["after"] == "2024-01-01T10:00:00Z"

    async def test_cursor_that_fits_no_column_is_refused(self, http_source: HttpSource) -> None:
        with pytest.raises(SourceError, match="no value of a column of type int64"):
            await read(
                source_at(http_source),
                Wanted({**NUMBERED, "cursor_param": "x"}, cursor_field="id", cursor="soon"),
            )

    async def test_unknown_field_is_refused(self, http_source: HttpSource) -> None:
        with pytest.raises(SourceError, match="'nope' is none of the columns: id, name"):
            await read(source_at(http_source), Wanted(INCREMENTAL, cursor_field="nope"))

    async def test_needs_a_parameter(self, http_source: HttpSource) -> None:
        with pytest.raises(SourceError, match="cursor_param"):
            await read(source_at(http_source), Wanted(NUMBERED, cursor_field="id"))
