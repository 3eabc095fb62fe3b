import asyncio
import gzip

import pytest

from tests.fixtures.http_source import HttpSource, meeting, raw, status
from tests.workers.connectors.reading import HEADER, LINKED, NUMBERED, PLAIN, quick, read, source_at
from weir_workers.connectors.contract import Partition, Wanted
from weir_workers.connectors.errors import SourceError

ALL = list(range(35))


def numbered(**pagination: object) -> dict[str, object]:
    return {**NUMBERED, "pagination": {"kind": "page", "page_size": 10, **pagination}}


class TestNumberedPages:
    async def test_all_records_come_in_order(self, http_source: HttpSource) -> None:
        got = await read(source_at(http_source), NUMBERED)
        assert got.ids() == ALL
        assert got.positions[-1] == {"done": True}

    async def test_ends_at_an_empty_page_though_pages_are_shorter_than_asked(
        self, http_source: HttpSource
    ) -> None:
        got = await read(source_at(http_source), numbered(page_size=1000))
        assert got.ids() == ALL

    async def test_short_page_ends_when_told_so(self, http_source: HttpSource) -> None:
        got = await read(source_at(http_source), numbered(short_page_ends=True, in_flight=1))
        assert got.ids() == ALL
        assert http_source.pages_asked() == [1, 2, 3, 4]

    async def test_total_ends_and_no_page_past_it_is_asked(self, http_source: HttpSource) -> None:
        got = await read(source_at(http_source), numbered(total_path="total"))
        assert got.ids() == ALL
        assert sorted(http_source.pages_asked()) == [1, 2, 3, 4]

    async def test_total_that_is_too_great_ends_at_the_empty_page(self, http_source: HttpSource) -> None:
        for number in range(1, 6):
            page = http_source.records[(number - 1) * 10 : number * 10]
            body = f'{{"total": 1000, "results": {page!r}}}'.replace("'", '"')
            http_source.bodies[number] = body.encode()
        got = await read(source_at(http_source), numbered(total_path="total", in_flight=1))
        assert got.ids() == ALL

    async def test_not_found_past_the_end_ends_when_told_so(self, http_source: HttpSource) -> None:
        http_source.past_end = status(404)
        got = await read(source_at(http_source), numbered(not_found_ends=True))
        assert got.ids() == ALL

    async def test_not_found_past_the_end_fails_when_not_told_so(self, http_source: HttpSource) -> None:
        http_source.past_end = status(404)
        with pytest.raises(SourceError) as caught:
            await read(source_at(http_source), NUMBERED)
        assert (caught.value.kind, caught.value.code) == ("INVALID_INPUT", "http.404")

    async def test_not_found_at_the_first_page_always_fails(self, http_source: HttpSource) -> None:
        http_source.faults[1] = [status(404)]
        with pytest.raises(SourceError, match="404"):
            await read(source_at(http_source), numbered(not_found_ends=True))

    async def test_pages_in_flight_are_bounded(self, http_source: HttpSource) -> None:
        http_source.records = [{"id": number} for number in range(100)]
        all_there = meeting(asyncio.Barrier(3))
        for number in (2, 3, 4):
            http_source.faults[number] = [all_there]
        await read(source_at(http_source), numbered(in_flight=3))
        assert http_source.most_at_once == 3

    async def test_source_that_ignores_the_page_is_found_out(self, http_source: HttpSource) -> None:
        for number in range(1, 10):
            http_source.bodies[number] = b'{"results": [' + b",".join([b'{"id": 1}'] * 10) + b"]}"
        with pytest.raises(SourceError, match="two pages in a row") as caught:
            await read(source_at(http_source), NUMBERED)
        assert caught.value.kind == "INVALID_INPUT"

    async def test_params_are_sent_with_each_page(self, http_source: HttpSource) -> None:
        params = {"origin": "JFK", "deep": True, "n": 5.0, "tag": ["a", "b"]}
        await read(source_at(http_source), {**NUMBERED, "params": params})
        query = http_source.asked[2].query
        assert {"origin": "JFK", "deep": "true", "n": "5", "per_page": "10"}.items() <= query.items()


class TestNextLinks:
    async def test_follows_links_in_the_body(self, http_source: HttpSource) -> None:
        got = await read(source_at(http_source), LINKED)
        assert got.ids() == ALL
        assert http_source.pages_asked() == [1, 2, 3, 4]

    async def test_follows_the_link_header(self, http_source: HttpSource) -> None:
        got = await read(source_at(http_source), HEADER)
        assert got.ids() == ALL
        assert http_source.pages_asked() == [1, 2, 3, 4]

    async def test_link_to_the_same_page_is_refused(self, http_source: HttpSource) -> None:
        http_source.bodies[2] = b'{"paging": {"next": "/linked?page=2"}, "data": {"items": [{"id": 1}]}}'
        with pytest.raises(SourceError, match="same page again"):
            await read(source_at(http_source), LINKED)

    async def test_link_that_is_no_text_is_refused(self, http_source: HttpSource) -> None:
        http_source.bodies[1] = b'{"paging": {"next": 7}, "data": {"items": []}}'
        with pytest.raises(SourceError, match="no text"):
            await read(source_at(http_source), LINKED)

    async def test_endless_link_is_refused(self, http_source: HttpSource) -> None:
        link = "/linked?page=2&x=" + "y" * 9000
        http_source.bodies[1] = f'{{"paging": {{"next": "{link}"}}, "data": {{"items": []}}}}'.encode()
        with pytest.raises(SourceError, match="longer than 8192"):
            await read(source_at(http_source), LINKED)

    async def test_empty_page_with_a_link_is_not_the_end(self, http_source: HttpSource) -> None:
        http_source.bodies[1] = b'{"paging": {"next": "/linked?page=2"}, "data": {"items": []}}'
        got = await read(source_at(http_source), LINKED)
        assert got.ids() == ALL[10:]


class TestOnePage:
    async def test_the_body_is_the_list(self, http_source: HttpSource) -> None:
        got = await read(source_at(http_source), PLAIN)
        assert got.ids() == ALL[:10]

    async def test_null_is_an_empty_list(self, http_source: HttpSource) -> None:
        http_source.bodies[1] = b'{"results": null}'
        got = await read(source_at(http_source), {"path": "/numbered", "records_path": "results"})
        assert got.rows == []
        assert got.positions == [{"done": True}, {"done": True}]

    async def test_no_list_at_the_path_says_what_is_there(self, http_source: HttpSource) -> None:
        with pytest.raises(SourceError, match="there is an object in the body itself") as caught:
            await read(source_at(http_source), {"path": "/numbered"})
        assert (caught.value.kind, caught.value.code) == ("INVALID_INPUT", "http.shape")


class TestResume:
    @pytest.mark.parametrize("settings", [NUMBERED, LINKED, HEADER, numbered(total_path="total")])
    async def test_each_position_gives_exactly_the_rest(
        self, http_source: HttpSource, settings: dict[str, object]
    ) -> None:
        whole = await read(source_at(http_source), settings)
        for position, rows in zip(whole.positions, whole.rows_at, strict=True):
            http_source.asked.clear()
            rest = await read(source_at(http_source), Wanted(settings, schema=whole.schema), position)
            assert whole.ids()[:rows] + rest.ids() == ALL
            assert not set(http_source.pages_asked()) & set(range(1, rows // 10 + 1))

    async def test_rejects_count_as_committed_with_their_position(self, http_source: HttpSource) -> None:
        http_source.records[12]["id"] = "twelve"
        whole = await read(source_at(http_source), NUMBERED)
        (reject,) = whole.rejects
        assert (reject.page, reject.position, reject.column) == (2, 3, "id")
        rest = await read(source_at(http_source), Wanted(NUMBERED, schema=whole.schema), whole.positions[1])
        assert rest.rejects == []
        assert rest.ids() == ALL[20:]

    async def test_page_numbers_of_rejects_go_on(self, http_source: HttpSource) -> None:
        http_source.records[32]["id"] = "bad"
        whole = await read(source_at(http_source), LINKED)
        rest = await read(source_at(http_source), Wanted(LINKED, schema=whole.schema), whole.positions[1])
        assert [reject.page for reject in rest.rejects] == [4]

    async def test_closing_early_stops_asking(self, http_source: HttpSource) -> None:
        http_source.records = [{"id": number} for number in range(10_000)]
        items = quick().read(source_at(http_source), Wanted(NUMBERED), Partition())
        await anext(items)
        await items.aclose()
        assert len(http_source.asked) <= 6


class TestCounts:
    async def test_requests_bytes_and_records_add_up(self, http_source: HttpSource) -> None:
        http_source.faults[2] = [status(500), status(503)]
        got = await read(source_at(http_source), numbered(in_flight=1))
        assert got.counts.records == 35
        assert got.counts.requests == len(http_source.asked) == 7
        assert got.counts.bytes > 35 * len('{"id": 1, "name": "record 1"}')


class TestDrift:
    async def test_new_field_is_left_out_and_told_once(self, http_source: HttpSource) -> None:
        for record in http_source.records[15:]:
            record["loyalty"] = "gold"
        got = await read(source_at(http_source), NUMBERED)
        assert got.drift == [("loyalty",)]
        assert got.ids() == ALL
        assert got.schema is not None
        assert got.schema.names == ["id", "name"]

    async def test_declared_columns_are_the_ones_kept(self, http_source: HttpSource) -> None:
        columns = [{"name": "id", "type": "int32", "nullable": False}, {"name": "when", "type": "date32"}]
        got = await read(source_at(http_source), {**NUMBERED, "columns": columns})
        assert got.schema is not None
        assert [str(field) for field in got.schema] == [
            "pyarrow.Field<id: int32 not null>",
            "pyarrow.Field<when: date32[day]>",
        ]
        assert got.drift == [("name",)]


class TestCompression:
    async def test_gzip_is_read(self, http_source: HttpSource) -> None:
        body = gzip.compress(b'[{"id": 1}]')
        http_source.faults[1] = [raw(body, Content_Encoding="gzip")]
        got = await read(source_at(http_source), PLAIN)
        assert got.ids() == [1]
