"""How bodies go and come: packed, posted, as lines, deep inside; and how great they may be."""

import contextlib
import gzip
import io
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from tests.fixtures.http_source import Asked, HttpSource, cut_quietly, cut_short, raw, redirect, status
from tests.workers.connectors.reading import PLAIN, Waits, read, source_at
from weir_workers.connectors.budget import Budget
from weir_workers.connectors.contract import Wanted
from weir_workers.connectors.errors import BodyCut, SourceError
from weir_workers.connectors.fetch import Fetcher
from weir_workers.connectors.http import HttpConnector
from weir_workers.connectors.http_auth import Credentials, Fixed
from weir_workers.connectors.inflate import TooGreat, inflate
from weir_workers.connectors.links import Trust
from weir_workers.connectors.retry import RetryPolicy
from weir_workers.connectors.session import open_session


def zstd(body: bytes) -> bytes:
    return pa.Codec("zstd").compress(body).to_pybytes()


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


PACKERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("x-gzip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "deflate without frame": ("deflate", raw_deflate),
    "zstd": ("zstd", zstd),
    "zstd over gzip": ("gzip, zstd", lambda body: zstd(gzip.compress(body))),
    "as it is": ("identity", lambda body: body),
}
packed = pytest.mark.parametrize("name", PACKERS)


class TestInflate:
    @packed
    @given(st.binary(max_size=5000))
    def test_gives_what_was_packed(self, name: str, body: bytes) -> None:
        encoding, pack = PACKERS[name]
        assert inflate(pack(body), encoding, 5000) == body

    def test_members_follow_each_other(self) -> None:
        assert inflate(gzip.compress(b"ab") + gzip.compress(b"") + gzip.compress(b"cd"), "gzip", 4) == b"abcd"
        with pytest.raises(TooGreat):
            inflate(gzip.compress(b"ab") + gzip.compress(b"cd"), "gzip", 3)

    @pytest.mark.parametrize("encoding,pack", [("gzip", gzip.compress), ("zstd", zstd)])
    def test_a_million_empty_members_are_nothing(self, encoding: str, pack: Callable[[bytes], bytes]) -> None:
        assert inflate(pack(b"") * 1_000_000 + pack(b"x"), encoding, 10) == b"x"

    @packed
    def test_bound_is_exact(self, name: str) -> None:
        encoding, pack = PACKERS[name]
        if encoding != "identity":
            assert len(inflate(pack(b"x" * 1000), encoding, 1000)) == 1000
            with pytest.raises(TooGreat):
                inflate(pack(b"x" * 1001), encoding, 1000)

    @pytest.mark.parametrize("name", ["gzip", "deflate", "deflate without frame", "zstd"])
    def test_cut_one_is_told(self, name: str) -> None:
        encoding, pack = PACKERS[name]
        whole = pack(bytes(range(256)) * 4)
        for at in range(1, len(whole)):
            with pytest.raises(BodyCut):
                inflate(whole[:at], encoding, 5000)

    @given(st.binary(min_size=1, max_size=60), st.sampled_from(["gzip", "deflate", "zstd"]))
    def test_any_bytes_come_out_or_are_refused(self, body: bytes, encoding: str) -> None:
        with contextlib.suppress(BodyCut, TooGreat):
            inflate(body, encoding, 1000)


class TestPacked:
    @packed
    async def test_is_read_and_counted_as_it_came(self, http_source: HttpSource, name: str) -> None:
        encoding, pack = PACKERS[name]
        body = pack(b'[{"id": 1}]' + b" " * 5000)
        http_source.faults[1] = [raw(body, Content_Encoding=encoding)]
        got = await read(source_at(http_source), PLAIN)
        assert got.ids() == [1]
        assert got.counts.bytes == len(body)
        assert http_source.asked[0].headers["Accept-Encoding"] == "gzip, deflate, zstd"

    @pytest.mark.parametrize("encoding,pack", [("gzip", gzip.compress), ("zstd", zstd)])
    async def test_bomb_is_refused(
        self, http_source: HttpSource, encoding: str, pack: Callable[[bytes], bytes]
    ) -> None:
        http_source.faults[1] = [raw(pack(b"[" + b" " * 50_000_000 + b"]"), Content_Encoding=encoding)]
        with pytest.raises(SourceError, match="greater than 100000 bytes") as caught:
            await read(source_at(http_source), PLAIN, connector=HttpConnector(max_body=100_000))
        assert (caught.value.kind, caught.value.code) == ("INVALID_INPUT", "http.too_large")

    async def test_broken_one_is_asked_for_again(self, http_source: HttpSource) -> None:
        http_source.faults[1] = [
            raw(gzip.compress(b'[{"id": 1}]')[:-9], Content_Encoding="gzip"),
            raw(b"[{}]", Content_Encoding="zstd"),
        ]
        got = await read(source_at(http_source), PLAIN)
        assert len(got.rows) == 10

    async def test_packing_that_was_not_asked_for_is_refused(self, http_source: HttpSource) -> None:
        http_source.faults[1] = [raw(b"x", Content_Encoding="br")]
        with pytest.raises(SourceError, match="'br' was not asked for") as caught:
            await read(source_at(http_source), PLAIN)
        assert caught.value.code == "http.encoding"


SEARCH: dict[str, Any] = {
    "path": "/search",
    "method": "POST",
    "send_in": "body",
    "body": {"query": {"name": "x"}, "page": {"size": 10}},
    "records_path": "hits.hits._source",
    "pagination": {"kind": "page", "page_param": "page.number", "size_param": "", "page_size": 10},
}


def search(source: HttpSource) -> Callable[[Asked], Any]:
    def answer(asked: Asked) -> Any:
        at = (asked.json["page"]["number"] - 1) * 10
        found = [{"_id": n, "_source": record} for n, record in enumerate(source.records[at : at + 10])]
        return {"hits": {"hits": found}}

    return answer


class TestPost:
    async def test_page_goes_into_the_body(self, http_source: HttpSource) -> None:
        http_source.apis["/search"] = search(http_source)
        got = await read(source_at(http_source), SEARCH)
        assert got.ids() == list(range(35))
        assert http_source.asked[0].json == {"query": {"name": "x"}, "page": {"size": 10, "number": 1}}
        assert http_source.asked[0].headers["Content-Type"] == "application/json"

    async def test_page_can_stay_in_the_query(self, http_source: HttpSource) -> None:
        http_source.apis["/search"] = lambda asked: http_source.records[:5] if asked.query["p"] == "1" else []
        settings = {
            "path": "/search",
            "method": "POST",
            "body": {"a": [1]},
            "pagination": {"kind": "page", "page_param": "p", "size_param": ""},
        }
        got = await read(source_at(http_source), settings)
        assert got.ids() == [0, 1, 2, 3, 4]
        assert all(asked.json == {"a": [1]} for asked in http_source.asked)

    async def test_cursor_goes_into_the_body_as_it_came(self, http_source: HttpSource) -> None:
        def answer(asked: Asked) -> Any:
            after = asked.json.get("search_after", [-1, "x"])[0]
            page = [record for record in http_source.records if record["id"] > after][:10]
            return [{**record, "sort": [record["id"], "x"]} for record in page]

        http_source.apis["/after"] = answer
        settings = {
            "path": "/after",
            "method": "POST",
            "send_in": "body",
            "columns": [{"name": "id", "type": "int64"}],
            "pagination": {"kind": "cursor", "record_path": "sort", "next_param": "search_after"},
        }
        whole = await read(source_at(http_source), settings)
        assert whole.ids() == list(range(35))
        rest = await read(source_at(http_source), settings, whole.positions[1])
        assert rest.ids() == list(range(20, 35))

    async def test_incremental_cursor_goes_there_too(self, http_source: HttpSource) -> None:
        http_source.apis["/search"] = lambda _: [{"id": 9}]
        settings = {
            "path": "/search",
            "method": "POST",
            "send_in": "body",
            "cursor_param": "filter.since",
        }
        await read(source_at(http_source), Wanted(settings, cursor_field="id", cursor=7.0))
        assert http_source.asked[0].json == {"filter": {"since": 7}}

    async def test_redirect_that_would_make_a_get_of_it_is_refused(self, http_source: HttpSource) -> None:
        http_source.apis["/search"] = lambda _: web.Response(status=302, headers={"Location": "/plain"})
        with pytest.raises(SourceError, match="redirects a POST with 302"):
            await read(source_at(http_source), {"path": "/search", "method": "POST"})

    async def test_redirect_that_keeps_it_is_followed(self, http_source: HttpSource) -> None:
        http_source.apis |= {
            "/search": lambda _: web.Response(status=307, headers={"Location": "/there"}),
            "/there": lambda asked: [asked.json],
        }
        got = await read(source_at(http_source), {"path": "/search", "method": "POST", "body": {"id": 3}})
        assert got.ids() == [3]

    async def test_is_not_sent_to_another_host(self, http_source: HttpSource) -> None:
        away = f"http://localhost:{http_source.port}/there"
        http_source.apis["/search"] = lambda _: web.Response(status=307, headers={"Location": away})
        with pytest.raises(SourceError, match=r"a POST to http://localhost:\d+, which is not its host"):
            await read(source_at(http_source), {"path": "/search", "method": "POST"})
        assert len(http_source.asked) == 1


class TestShape:
    @pytest.mark.parametrize(
        "document,path,ids",
        [
            ({"groups": [{"items": [{"id": 1}, {"id": 2}]}, {"items": []}, {}]}, "groups.items", [1, 2]),
            ({"edges": [{"node": {"id": 1}}, {"node": None}, {"node": {"id": 2}}]}, "edges.node", [1, 2]),
            ([{"page": 1}, [{"id": 7}]], "1", [7]),
            ({"a": [[{"b": [{"id": 1}]}], [{"b": [{"id": 2}]}]]}, "a.b", [1, 2]),
            ({"a": [{"b": [{"id": 1}]}, {"b": [{"id": 2}]}]}, "a.1.b", [2]),
            ({"a": []}, "a.b.c", []),
        ],
    )
    async def test_path_leads_through_lists(
        self, http_source: HttpSource, document: Any, path: str, ids: list[int]
    ) -> None:
        http_source.apis["/x"] = lambda _: document
        got = await read(source_at(http_source), {"path": "/x", "records_path": path})
        assert got.ids() == ids

    async def test_path_that_no_element_has_is_told(self, http_source: HttpSource) -> None:
        http_source.apis["/x"] = lambda _: {"a": [{"b": 1}]}
        with pytest.raises(SourceError, match=r"nothing at records_path 'a\.c'"):
            await read(source_at(http_source), {"path": "/x", "records_path": "a.c"})

    async def test_path_leads_through_lists_of_odd_json_too(self, http_source: HttpSource) -> None:
        http_source.faults[1] = [raw(b'{"a": [{"b": [{"id": 1, "x": NaN}]}, {"b": [{"id": 2}]}]}')]
        columns = [{"name": "id", "type": "int64"}]
        got = await read(source_at(http_source), {**PLAIN, "records_path": "a.b", "columns": columns})
        assert got.ids() == [1, 2]

    async def test_single_object_is_a_record_if_told_so(self, http_source: HttpSource) -> None:
        http_source.apis["/x"] = lambda _: {"data": {"id": 5}}
        settings = {"path": "/x", "records_path": "data"}
        assert (await read(source_at(http_source), settings | {"one_record": True})).ids() == [5]
        with pytest.raises(SourceError, match="an object at records_path 'data'"):
            await read(source_at(http_source), settings)


LINES = {**PLAIN, "format": "ndjson"}


class TestLines:
    async def test_each_is_a_record(self, http_source: HttpSource) -> None:
        http_source.faults[1] = [raw(b'{"id": 1}\r\n\n{"id": 2}\n')]
        assert (await read(source_at(http_source), LINES)).ids() == [1, 2]
        assert "ndjson" in http_source.asked[0].headers["Accept"]

    async def test_bad_one_is_rejected_as_it_came(self, http_source: HttpSource) -> None:
        good = b"\n".join(b'{"id": %d}' % number for number in range(50))
        http_source.faults[1] = [raw(good + b'\n{"id": \n{"id": 51, "x": NaN}\n')]
        got = await read(source_at(http_source), LINES)
        assert got.ids() == [*range(50), 51]
        (reject,) = got.rejects
        assert (reject.raw, reject.page, reject.position) == (b'{"id":', 1, 51)

    async def test_cut_ones_are_asked_for_again(self, http_source: HttpSource) -> None:
        http_source.faults[1] = [raw(b'{"id": 1}\n{"id'), raw(b'{"id": 1}\n{"id": 2}')]
        assert (await read(source_at(http_source), LINES)).ids() == [1, 2]

    async def test_pages_of_them_follow_by_number(self, http_source: HttpSource) -> None:
        http_source.bodies |= {1: b'{"id": 1}\n', 2: b'{"id": 2}\n', 3: b"\n"}
        got = await read(source_at(http_source), {**LINES, "pagination": {"kind": "page"}})
        assert got.ids() == [1, 2]


class TestMaxPages:
    @pytest.mark.parametrize(
        "pagination", [{"kind": "page", "page_size": 10}, {"kind": "next_link"}], ids=["page", "link"]
    )
    async def test_more_end_the_run(self, http_source: HttpSource, pagination: dict[str, Any]) -> None:
        settings = {"path": "/header", "pagination": pagination}
        assert len((await read(source_at(http_source), settings | {"max_pages": 4})).rows) == 35
        with pytest.raises(SourceError, match=r"more than 3 pages.*max_pages") as caught:
            await read(source_at(http_source), settings | {"max_pages": 3})
        assert caught.value.kind == "INVALID_INPUT"

    async def test_pages_of_the_attempts_before_count(self, http_source: HttpSource) -> None:
        settings = {"path": "/header", "pagination": {"kind": "next_link"}}
        whole = await read(source_at(http_source), settings)
        with pytest.raises(SourceError, match="more than 3 pages"):
            await read(source_at(http_source), settings | {"max_pages": 3}, whole.positions[2])


class TestDownload:
    """What connectors of other kinds use: a body that goes to a file."""

    async def download(self, source: HttpSource, limit: int = 10_000) -> tuple[bytes, Any]:
        into = io.BytesIO(b"left from before")
        waits = Waits()
        with ThreadPoolExecutor(1) as pool:
            async with open_session(allow_private=True, connections=1, user_agent="test") as session:
                fetcher = Fetcher(
                    session,
                    Trust(URL(source.url), frozenset()),
                    Fixed(Credentials()),
                    timeout=1,
                    allow_private=True,
                    decoders=pool,
                    budget=Budget(waits),
                    policy=RetryPolicy(),
                    clock=waits,
                )
                done = await fetcher.download(URL(f"{source.url}/plain"), into, limit)
        return into.getvalue(), done

    async def test_writes_the_body(self, http_source: HttpSource) -> None:
        http_source.faults[1] = [raw(b"x" * 9000)]
        body, done = await self.download(http_source)
        assert (body, done.size) == (b"x" * 9000, 9000)
        assert http_source.asked[0].headers["Accept-Encoding"] == "identity"

    @pytest.mark.parametrize("fault", [cut_short, status(503)])
    async def test_begins_anew_after_a_fault(self, http_source: HttpSource, fault: Any) -> None:
        http_source.faults[1] = [fault, redirect("/plain?page=2"), cut_quietly]
        http_source.faults[2] = [raw(b"short")]
        body, done = await self.download(http_source)
        assert (body, done.size) == (b"short", 5)
        assert done.url.query == {"page": "2"}

    async def test_is_bounded(self, http_source: HttpSource) -> None:
        http_source.faults[1] = [raw(b"x" * 10_001)]
        with pytest.raises(SourceError, match="greater than 10000 bytes"):
            await self.download(http_source)
