"""Pages by offset and by cursor; what numbers and links do is in test_http_pages."""

from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from tests.fixtures.http_source import Asked, HttpSource
from tests.workers.connectors.reading import read, source_at
from weir_workers.connectors.contract import Wanted
from weir_workers.connectors.errors import SourceError

ALL = list(range(35))


def by_offset(source: HttpSource, most: int = 1000) -> Callable[[Asked], Any]:
    """Answers by offset and limit, and gives no more than `most` a page."""

    def answer(asked: Asked) -> Any:
        at = int(asked.query["offset"])
        size = min(most, int(asked.query["limit"]))
        return {"total": len(source.records), "data": source.records[at : at + size]}

    return answer


def by_cursor(source: HttpSource, **also: Any) -> Callable[[Asked], Any]:
    """Answers ten records from the cursor on, which is a text, and names the next."""

    def answer(asked: Asked) -> Any:
        at = int(asked.query.get("cursor", "c0").removeprefix("c"))
        following = at + 10
        more = following < len(source.records)
        meta = {"next": f"c{following}" if more else None, "more": more} | also
        return {"meta": meta, "data": source.records[at:following]}

    return answer


def by_last_id(source: HttpSource) -> Callable[[Asked], Any]:
    """Answers ten records after an id, as a list, without a word of the next."""

    def answer(asked: Asked) -> Any:
        after = int(asked.query.get("after", "-1"))
        return [record for record in source.records if record["id"] > after][:10]

    return answer


def offset(**pagination: object) -> dict[str, Any]:
    return {
        "path": "/offset",
        "records_path": "data",
        "pagination": {"kind": "offset", "page_size": 10, **pagination},
    }


def cursor(**pagination: object) -> dict[str, Any]:
    return {
        "path": "/cursor",
        "records_path": "data",
        "pagination": {"kind": "cursor", "next_path": "meta.next", **pagination},
    }


LAST_ID = {
    "path": "/last-id",
    "pagination": {"kind": "cursor", "record_path": "id", "next_param": "after"},
}


@pytest.fixture
def api(http_source: HttpSource) -> HttpSource:
    http_source.apis |= {
        "/offset": by_offset(http_source),
        "/cursor": by_cursor(http_source),
        "/last-id": by_last_id(http_source),
    }
    return http_source


def offsets_asked(source: HttpSource) -> list[int]:
    return [int(asked.query["offset"]) for asked in source.asked]


class TestOffsets:
    async def test_all_records_come_in_order(self, api: HttpSource) -> None:
        got = await read(source_at(api), offset())
        assert got.ids() == ALL
        assert got.positions[0] == {"offset": 10, "seen": 10, "page": 2}
        assert got.positions[-1] == {"done": True}

    async def test_total_ends_and_nothing_past_it_is_asked(self, api: HttpSource) -> None:
        await read(source_at(api), offset(total_path="total"))
        assert sorted(offsets_asked(api)) == [0, 10, 20, 30]

    async def test_short_page_ends_when_told_so(self, api: HttpSource) -> None:
        await read(source_at(api), offset(short_page_ends=True, in_flight=1))
        assert offsets_asked(api) == [0, 10, 20, 30]

    async def test_source_with_smaller_pages_is_followed_in_its_steps(self, api: HttpSource) -> None:
        api.apis["/offset"] = by_offset(api, most=4)
        got = await read(source_at(api), offset())
        assert got.ids() == ALL
        assert set(offsets_asked(api)) <= {*range(0, 60, 4), 35}

    async def test_source_whose_pages_vary_loses_and_doubles_none(self, api: HttpSource) -> None:
        sizes = {0: 10, 10: 3, 13: 10, 23: 1}

        def answer(asked: Asked) -> Any:
            at = int(asked.query["offset"])
            return {"data": api.records[at : at + sizes.get(at, 10)]}

        api.apis["/offset"] = answer
        got = await read(source_at(api), offset())
        assert got.ids() == ALL

    async def test_not_found_past_the_end_ends_when_told_so(self, api: HttpSource) -> None:
        inner = by_offset(api)

        def answer(asked: Asked) -> Any:
            at = int(asked.query["offset"])
            return inner(asked) if at < 35 else web.Response(status=404)

        api.apis["/offset"] = answer
        assert (await read(source_at(api), offset(not_found_ends=True))).ids() == ALL
        with pytest.raises(SourceError, match="404"):
            await read(source_at(api), offset())

    async def test_offset_may_begin_at_one(self, api: HttpSource) -> None:
        inner = by_offset(api)

        def answer(asked: Asked) -> Any:
            asked.query["offset"] = str(int(asked.query["offset"]) - 1)
            return inner(asked)

        api.apis["/offset"] = answer
        assert (await read(source_at(api), offset(start=1))).ids() == ALL

    async def test_source_that_ignores_the_offset_is_found_out(self, api: HttpSource) -> None:
        api.apis["/offset"] = lambda _: {"data": api.records[:10]}
        with pytest.raises(SourceError, match="two pages in a row"):
            await read(source_at(api), offset())


class TestCursors:
    @pytest.mark.parametrize("none", [None, ""])
    async def test_ends_where_there_is_no_next(self, api: HttpSource, none: str | None) -> None:
        inner = by_cursor(api)

        def answer(asked: Asked) -> Any:
            found = inner(asked)
            found["meta"]["next"] = found["meta"]["next"] or none
            return found

        api.apis["/cursor"] = answer
        got = await read(source_at(api), cursor())
        assert got.ids() == ALL
        assert [asked.query.get("cursor") for asked in api.asked] == [None, "c10", "c20", "c30"]
        assert got.positions[0] == {"next": "c10", "seen": 10, "page": 2}

    async def test_ends_where_the_path_is_absent(self, api: HttpSource) -> None:
        api.apis["/cursor"] = lambda _: {"data": api.records[:3]}
        got = await read(source_at(api), cursor())
        assert got.ids() == [0, 1, 2]
        assert len(api.asked) == 1

    async def test_has_more_ends_though_there_is_a_cursor(self, api: HttpSource) -> None:
        inner = by_cursor(api)

        def answer(asked: Asked) -> Any:
            found = inner(asked)
            found["meta"]["next"] = found["meta"]["next"] or "c40"
            return found

        api.apis["/cursor"] = answer
        got = await read(source_at(api), cursor(has_more_path="meta.more"))
        assert got.ids() == ALL
        assert len(api.asked) == 4

    async def test_a_page_without_records_is_not_the_end(self, api: HttpSource) -> None:
        inner = by_cursor(api)

        def answer(asked: Asked) -> Any:
            found = inner(asked)
            return found if asked.query.get("cursor") != "c10" else found | {"data": []}

        api.apis["/cursor"] = answer
        got = await read(source_at(api), cursor())
        assert got.ids() == ALL[:10] + ALL[20:]

    async def test_size_is_sent_where_it_has_a_name(self, api: HttpSource) -> None:
        await read(source_at(api), cursor(size_param="size", page_size=7))
        assert {asked.query["size"] for asked in api.asked} == {"7"}

    @pytest.mark.parametrize("circle", [{"next": "c10"}, {"next": "c0"}])
    async def test_cursor_that_comes_again_ends_the_run(
        self, api: HttpSource, circle: dict[str, str]
    ) -> None:
        inner, again = by_cursor(api), by_cursor(api, **circle)
        last = {"c10": None, "c0": "c20"}[circle["next"]]

        def answer(asked: Asked) -> Any:
            now = asked.query.get("cursor")
            return again(asked) if now in {"c10", last} and now is not None else inner(asked)

        api.apis["/cursor"] = answer
        with pytest.raises(SourceError, match="a page that was read before") as caught:
            await read(source_at(api), cursor())
        assert (caught.value.kind, caught.value.code) == ("INVALID_INPUT", "http.shape")
        assert len(api.asked) <= 4

    async def test_cursor_that_is_no_plain_value_is_refused(self, api: HttpSource) -> None:
        api.apis["/cursor"] = by_cursor(api, next={"a": 1})
        with pytest.raises(SourceError, match="no text and no number"):
            await read(source_at(api), cursor())

    async def test_endless_cursor_is_refused(self, api: HttpSource) -> None:
        api.apis["/cursor"] = by_cursor(api, next="x" * 9000)
        with pytest.raises(SourceError, match="longer than 8192"):
            await read(source_at(api), cursor())

    async def test_last_record_can_be_the_cursor(self, api: HttpSource) -> None:
        got = await read(source_at(api), LAST_ID)
        assert got.ids() == ALL
        assert [asked.query.get("after") for asked in api.asked] == [None, "9", "19", "29", "34"]


class TestLinksInACircle:
    async def test_longer_one_ends_the_run(self, http_source: HttpSource) -> None:
        for number, following in ((1, 2), (2, 3), (3, 1)):
            http_source.bodies[number] = (
                f'{{"next": "/linked?page={following}", "items": [{{"id": {number}}}]}}'.encode()
            )
        settings = {
            "path": "/linked",
            "params": {"page": 1},
            "records_path": "items",
            "pagination": {"kind": "next_link", "next_path": "next"},
        }
        with pytest.raises(SourceError, match="a page that was read before"):
            await read(source_at(http_source), settings)
        assert http_source.pages_asked() == [1, 2, 3]


class TestResume:
    @pytest.mark.parametrize(
        "settings",
        [offset(), offset(total_path="total"), cursor(), cursor(has_more_path="meta.more"), LAST_ID],
        ids=["offset", "total", "cursor", "has_more", "last_id"],
    )
    async def test_each_position_gives_exactly_the_rest(
        self, api: HttpSource, settings: dict[str, Any]
    ) -> None:
        whole = await read(source_at(api), settings)
        for position, rows in zip(whole.positions, whole.rows_at, strict=True):
            rest = await read(source_at(api), Wanted(settings, schema=whole.schema), position)
            assert whole.ids()[:rows] + rest.ids() == ALL

    async def test_position_of_a_source_with_smaller_pages(self, api: HttpSource) -> None:
        api.apis["/offset"] = by_offset(api, most=4)
        whole = await read(source_at(api), offset(total_path="total"))
        for position, rows in zip(whole.positions, whole.rows_at, strict=True):
            rest = await read(
                source_at(api), Wanted(offset(total_path="total"), schema=whole.schema), position
            )
            assert whole.ids()[:rows] + rest.ids() == ALL

    @pytest.mark.parametrize("settings", [offset(), cursor(), LAST_ID], ids=["offset", "cursor", "last_id"])
    async def test_page_numbers_of_rejects_go_on(self, api: HttpSource, settings: dict[str, Any]) -> None:
        api.records[24] = {"id": 24, "name": 7}
        whole = await read(source_at(api), settings)
        rest = await read(source_at(api), Wanted(settings, schema=whole.schema), whole.positions[0])
        assert [(reject.page, reject.position) for reject in whole.rejects + rest.rejects] == [(3, 5)] * 2


class TestFaults:
    @pytest.mark.parametrize("settings", [offset(), cursor()], ids=["offset", "cursor"])
    async def test_passing_ones_lose_no_record(self, api: HttpSource, settings: dict[str, Any]) -> None:
        inner = api.apis[settings["path"]]
        refused: set[str] = set()

        def answer(asked: Asked) -> Any:
            what = str(asked.query)
            if what not in refused:
                refused.add(what)
                return web.Response(status=[429, 500, 503][len(refused) % 3])
            return inner(asked)

        api.apis[settings["path"]] = answer
        assert (await read(source_at(api), settings)).ids() == ALL
