"""Runs over each kind of pages, broken off and gone on with: positions on their way through the database."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from tests.fixtures.collecting import EDITOR_RIGHTS
from tests.fixtures.engine import Engine, person
from tests.fixtures.hands import Hands
from tests.fixtures.http_source import Asked, HttpSource
from tests.workers.connectors.test_http_paging import by_cursor, by_last_id, by_offset
from tests.workers.connectors.test_http_windows import windows
from weir.task import TaskFailure
from weir_core.tasks.states import TaskState

START = datetime(2024, 1, 1, tzinfo=UTC)


def by_window(source: HttpSource) -> Callable[[Asked], Any]:
    def answer(asked: Asked) -> Any:
        begin, end = (int(asked.query[name]) for name in ("start", "end"))
        found = [row for row in source.records if begin <= (START.timestamp() + row["id"] * 21600) < end]
        at, size = int(asked.query.get("offset", "0")), int(asked.query.get("limit", "100"))
        return {"data": found[at : at + size]}

    return answer


def by_posted_page(source: HttpSource) -> Callable[[Asked], Any]:
    def answer(asked: Asked) -> Any:
        assert repr(asked.json["size"]) == "10"
        number = asked.json["page"]["number"]
        return {"data": source.records[(number - 1) * 10 : number * 10]}

    return answer


ONE_PAGE = windows(format="epoch_seconds")["pagination"]
KINDS: dict[str, tuple[Callable[[HttpSource], Callable[[Asked], Any]], dict[str, Any]]] = {
    "offset": (by_offset, {"pagination": {"kind": "offset", "page_size": 10}}),
    "cursor": (by_cursor, {"pagination": {"kind": "cursor", "next_path": "meta.next"}}),
    "last record": (
        by_last_id,
        {
            "records_path": "",
            "pagination": {"kind": "cursor", "record_path": "id", "next_param": "after"},
        },
    ),
    "windows": (by_window, {"pagination": ONE_PAGE}),
    "windows of pages": (
        by_window,
        {
            "pagination": {
                **ONE_PAGE,
                "width": "3d",
                "pages": {"kind": "offset", "page_size": 5, "in_flight": 1},
            }
        },
    ),
    "post": (
        by_posted_page,
        {
            "method": "POST",
            "send_in": "body",
            "body": {"size": 10},
            "pagination": {"kind": "page", "page_param": "page.number", "size_param": ""},
        },
    ),
}


@pytest.fixture
async def hands(engine: Engine) -> Hands:
    """A worker with segments of 7 rows, for a caller who may collect."""
    runtime = await engine.another(segment_rows=7)
    made = Hands(runtime, person(everywhere=set(EDITOR_RIGHTS)))
    await made.register()
    return made


@pytest.mark.parametrize("name", KINDS)
async def test_broken_run_goes_on_and_doubles_nothing(hands: Hands, http_source: HttpSource, name: str):
    make, settings = KINDS[name]
    inner, left = make(http_source), [4]

    def answer(asked: Asked) -> Any:
        left[0] -= 1
        return web.Response(status=400) if left[0] == 0 else inner(asked)

    http_source.apis["/api"] = answer
    wanted: dict[str, Any] = {"path": "/api", "records_path": "data", **settings}
    collection = await hands.collection(http_source.url, **wanted)
    run_id = await hands.start(collection)
    with pytest.raises(TaskFailure, match="400"):
        await hands.attempt(run_id)
    await hands.leave(run_id, TaskState.QUEUED)
    first = len(http_source.asked)
    output = await hands.work(run_id)
    assert await hands.ids(collection.dataset_id) == list(range(35))
    assert output.records_written == 35
    begun, gone_on = http_source.asked[0], http_source.asked[first]
    assert (gone_on.query, gone_on.body) != (begun.query, begun.body)
