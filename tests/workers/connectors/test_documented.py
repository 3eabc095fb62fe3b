"""The examples of docs/connectors.md, each run as it stands there against an API of the kind it is for."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from tests.fixtures.http_source import Asked, HttpSource
from tests.structure.documents import documents
from tests.workers.connectors.reading import Got, quick, read
from weir_core.collections.settings import check_collection, check_connection
from weir_workers.connectors.contract import Source, Wanted
from weir_workers.connectors.http import HttpConnector
from weir_workers.connectors.registry import collection_schema, connection_schema

DOCUMENT = next(document for document in documents() if str(document) == "docs/connectors.md")
HTTP = DOCUMENT.part("http")
EXAMPLES: dict[str, dict[str, Any]] = {
    heading: json.loads(text)
    for heading, text in re.findall(
        r"^### ([^\n]+)\n(?:(?!^### ).)*?^```json\n(.*?)^```$", HTTP, re.MULTILINE | re.DOTALL
    )
}
Answer = Callable[[Asked], Any]


def rows(count: int, at: str = "at") -> list[dict[str, Any]]:
    begin = datetime(2026, 11, 1, tzinfo=UTC)
    return [
        {"id": n, "title": f"record {n}", at: (begin + n * timedelta(hours=1)).isoformat()}
        for n in range(count)
    ]


def github(source: HttpSource) -> dict[str, Answer]:
    path = "/repos/apache/arrow/issues"

    def answer(asked: Asked) -> Any:
        size, page = int(asked.query["per_page"]), int(asked.query.get("page", "1"))
        found = rows(250, "updated_at")
        part = found[(page - 1) * size : page * size]
        more = {"Link": f'<{source.url}{path}?per_page={size}&page={page + 1}>; rel="next"'}
        return web.json_response(part, headers=more if page * size < 250 else {})

    return {path: answer}


def numbers(_: HttpSource) -> dict[str, Answer]:
    def answer(asked: Asked) -> Any:
        size, page = int(asked.query["per_page"]), int(asked.query["page"])
        return {"total": 2500, "results": rows(2500)[(page - 1) * size : page * size]}

    return {"/v2/flights": answer}


def offsets(_: HttpSource) -> dict[str, Answer]:
    def answer(asked: Asked) -> Any:
        size, at = int(asked.query["take"]), int(asked.query["skip"])
        return {"data": {"orders": rows(1200)[at : at + size]}}

    return {"/orders": answer}


def cursors(_: HttpSource) -> dict[str, Answer]:
    def answer(asked: Asked) -> Any:
        size, at = int(asked.query["limit"]), int(asked.query.get("cursor", "0"))
        following = str(at + size) if at + size < 500 else ""
        return {"members": rows(500)[at : at + size], "response_metadata": {"next_cursor": following}}

    return {"/api/users.list": answer}


def last_record(_: HttpSource) -> dict[str, Answer]:
    def answer(asked: Asked) -> Any:
        size, after = int(asked.query["limit"]), int(asked.query.get("starting_after", "-1"))
        found = [{**row, "created": row["id"]} for row in rows(250) if row["id"] > after]
        return {"data": found[:size], "has_more": len(found) > size}

    return {"/v1/charges": answer}


def windows(_: HttpSource) -> dict[str, Answer]:
    found = rows(80, "time")

    def answer(asked: Asked) -> Any:
        begin, end = (datetime.fromtimestamp(int(asked.query[name]) / 1000, UTC) for name in ("from", "to"))
        inside = [row for row in found if begin <= datetime.fromisoformat(row["time"]) < end]
        at, size = int(asked.query["offset"]), int(asked.query["limit"])
        return {"readings": [{"time": row["time"], "value": row["id"]} for row in inside[at : at + size]]}

    return {"/readings": answer}


def search(_: HttpSource) -> dict[str, Answer]:
    def answer(asked: Asked) -> Any:
        assert asked.json["query"] == {"match_all": {}}
        part = rows(2200)[asked.json["from"] :][: asked.json["size"]]
        return {"hits": {"total": {"value": 2200}, "hits": [{"_source": row} for row in part]}}

    return {"/books/_search": answer}


def oauth(_: HttpSource) -> dict[str, Answer]:
    def token(asked: Asked) -> Any:
        assert asked.form == {"grant_type": "client_credentials", "scope": "invoices.read"}
        return {"access_token": "t1", "expires_in": 600}

    def answer(asked: Asked) -> Any:
        assert asked.headers["Authorization"] == "Bearer t1"
        page = int(asked.query.get("page", "1"))
        following = f"/invoices?page={page + 1}" if page < 3 else None
        return {"items": rows(30)[(page - 1) * 10 : page * 10], "links": {"next": following}}

    return {"/oauth2/token": token, "/invoices": answer, "/me": lambda _: {"name": "weir"}}


def one(_: HttpSource) -> dict[str, Answer]:
    return {"/now": lambda _: {"weather": {"id": 1}}}


def lines(_: HttpSource) -> dict[str, Answer]:
    return {"/events": lambda _: web.Response(body=b"".join(b'{"id": %d}\n' % n for n in range(20)))}


APIS: Mapping[str, tuple[Callable[[HttpSource], dict[str, Answer]], int]] = {
    "Pages by the header Link": (github, 250),
    "Pages by number": (numbers, 2500),
    "Pages by offset": (offsets, 1200),
    "Pages by cursor": (cursors, 500),
    "The last record is the cursor": (last_record, 250),
    "Time windows": (windows, 80),
    "A search by POST": (search, 2200),
    "OAuth2": (oauth, 30),
    "A key in the query": (one, 1),
    "Lines": (lines, 20),
}
each = pytest.mark.parametrize("name", APIS)


def secrets(example: dict[str, Any]) -> dict[str, str]:
    """The secrets; what stands for one in the document is none."""
    return {name: text.replace("…", "x") for name, text in example["connection"].get("secrets", {}).items()}


def here(text: str, source: HttpSource) -> str:
    """An address on this test's server in place of the one in the document."""
    return re.sub(r"https://[^/]+", source.url, text)


def wanted(example: dict[str, Any], **more: Any) -> Wanted:
    settings = example["collection"]["settings"]
    if settings.get("pagination", {}).get("kind") == "time_window":
        settings = settings | {"pagination": {**settings["pagination"], "until": "2026-11-05"}}
    return Wanted(settings, cursor_field=example["collection"].get("cursor_field", ""), **more)


async def run(source: HttpSource, name: str, **more: Any) -> Got:
    example = EXAMPLES[name]
    source.apis |= APIS[name][0](source)
    return await read(connection(source, example), wanted(example, **more))


def connection(source: HttpSource, example: dict[str, Any]) -> Source:
    settings = example["connection"]["settings"]
    moved = {key: here(settings[key], source) for key in ("base_url", "token_url") if key in settings}
    return Source({**settings, **moved}, secrets(example), allow_private=True)


def test_these_are_all_the_examples():
    assert list(EXAMPLES) == list(APIS)


class TestEachExample:
    @each
    def test_fits_the_schemas(self, name: str):
        example = EXAMPLES[name]
        made, settings = example["connection"], example["collection"]["settings"]
        check_connection("http", connection_schema(HttpConnector()), made["settings"], secrets(example))
        check_collection("http", collection_schema(HttpConnector()), settings)
        assert example["collection"]["mode"] in HttpConnector.modes
        assert (example["collection"]["mode"] == "INCREMENTAL") == ("cursor_field" in example["collection"])

    @each
    async def test_reads_all_records(self, http_source: HttpSource, name: str):
        got = await run(http_source, name)
        assert len(got.rows) == APIS[name][1]
        assert (got.rejects, got.positions[-1]) == ([], {"done": True})

    @each
    async def test_goes_on_from_each_position(self, http_source: HttpSource, name: str):
        whole = await run(http_source, name)
        place = len(whole.positions) // 2
        example = EXAMPLES[name]
        rest = await read(
            connection(http_source, example),
            wanted(example, schema=whole.schema),
            whole.positions[place],
        )
        assert whole.rows[: whole.rows_at[place]] + rest.rows == whole.rows

    @each
    async def test_shows_its_credentials(self, http_source: HttpSource, name: str):
        await run(http_source, name)
        auth = EXAMPLES[name]["connection"]["settings"].get("auth", "none")
        asked = http_source.asked[-1]
        shown = {
            "none": "Authorization" not in asked.headers,
            "bearer": asked.headers.get("Authorization", "").startswith("Bearer "),
            "basic": asked.headers.get("Authorization", "").startswith("Basic "),
            "header": asked.headers.get("X-Api-Key") == "x",
            "query": asked.query.get("appid") == "x",
            "oauth2_client_credentials": asked.headers.get("Authorization") == "Bearer t1",
        }
        assert shown[auth]


async def test_an_incremental_example_reads_only_what_is_new(http_source: HttpSource):
    got = await run(http_source, "Time windows", cursor="2026-11-04T00:00:00Z")
    assert len(got.rows) == 7
    await run(http_source, "Pages by the header Link", cursor="2026-11-11T08:00:00Z")
    assert http_source.asked[-3].query["since"] == "2026-11-11T08:00:00Z"


async def test_the_check_asks_for_its_path(http_source: HttpSource):
    http_source.apis |= oauth(http_source)
    await quick().check(connection(http_source, EXAMPLES["OAuth2"]))
    assert [asked.path for asked in http_source.asked] == ["/oauth2/token", "/me"]


def test_every_code_in_the_table_is_one_that_is_given():
    told = set(re.findall(r"`([a-z]+\.[a-z0-9_]+)`", HTTP.partition("| code |")[2]))
    sources = "".join(
        path.read_text() for path in (DOCUMENT.path.parents[1] / "workers/weir_workers").rglob("*.py")
    )
    given = set(re.findall(r'"((?:http|address|link|settings)\.[a-z_]+)"', sources))
    statuses = {f"http.{status}" for status in (401, 403, 404)}
    assert told - statuses == given - {"http.url", "http.broken"}
