"""A source of one page that has not changed is not read again, and its dataset stays as it is."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from tests.fixtures.collecting import EDITOR_RIGHTS
from tests.fixtures.engine import Engine, person
from tests.fixtures.hands import Hands
from tests.fixtures.http_source import Asked, HttpSource
from weir_core.collections.guards import Check, Guard
from weir_core.collections.models import Collection, NewCollection, SyncMode
from weir_workers.tasks.collection import CollectionRunOutput

ONE_PAGE: dict[str, Any] = {"path": "/rates", "records_path": "", "pagination": {"kind": "none"}}
DATE = "Tue, 24 Nov 2026 12:00:00 GMT"


@dataclass
class Rates:
    """Answers with its records and their version; 304 where the caller has it."""

    records: list[dict[str, Any]]
    headers: dict[str, str]
    status: list[int] = field(default_factory=list[int])

    def answer(self, asked: Asked) -> web.Response:
        tags = (("If-None-Match", "ETag"), ("If-Modified-Since", "Last-Modified"))
        same = any(asked.headers.get(sent, "") == self.headers.get(has) for sent, has in tags)
        self.status.append(304 if same else 200)
        if same:
            return web.Response(status=304, headers=self.headers)
        return web.json_response(self.records, headers=self.headers)


@pytest.fixture
async def hands(engine: Engine) -> Hands:
    made = Hands(engine.runtime, person(everywhere=set(EDITOR_RIGHTS)))
    await made.register()
    return made


@pytest.fixture
def rates(http_source: HttpSource) -> Rates:
    made = Rates([{"id": 1, "name": "a"}, {"id": 2, "name": "b"}], {"ETag": 'W/"one"'})
    http_source.apis["/rates"] = made.answer
    return made


async def collection(
    hands: Hands, source: HttpSource, mode: SyncMode = SyncMode.FULL, **fields: Any
) -> Collection:
    return await hands.collection(source.url, mode, fields=fields, **ONE_PAGE)


async def run(hands: Hands, made: Collection, *, full: bool = False) -> CollectionRunOutput:
    return await hands.work(await hands.start(made, full=full))


@pytest.mark.parametrize(
    "headers",
    [{"ETag": 'W/"one"'}, {"Last-Modified": "Tue, 24 Nov 2026 11:59:59 GMT", "Date": DATE}],
    ids=["tag", "time"],
)
async def test_what_has_not_changed_is_asked_and_not_read(
    hands: Hands, http_source: HttpSource, rates: Rates, headers: dict[str, str]
):
    rates.headers = headers
    made = await collection(hands, http_source)
    first = await run(hands, made)
    again = await run(hands, made)
    assert rates.status == [200, 304]
    assert (first.dataset_version, first.records_written) == (1, 2)
    assert (again.dataset_version, again.records_read, again.requests) == (0, 0, 1)
    assert any("nothing has changed" in line for line in hands.told.lines)
    assert await hands.ids(made.dataset_id) == [1, 2]


async def test_what_has_changed_is_read_and_swapped_in(hands: Hands, http_source: HttpSource, rates: Rates):
    made = await collection(hands, http_source)
    await run(hands, made)
    rates.records, rates.headers = [{"id": 7, "name": "c"}], {"ETag": '"two"'}
    await run(hands, made)
    await run(hands, made)
    assert rates.status == [200, 200, 304]
    assert await hands.ids(made.dataset_id) == [7]


async def test_a_full_run_that_is_asked_for_reads_in_any_case(
    hands: Hands, http_source: HttpSource, rates: Rates
):
    made = await collection(hands, http_source)
    await run(hands, made)
    output = await run(hands, made, full=True)
    assert rates.status == [200, 200]
    assert output.records_written == 2


async def test_a_merge_keeps_what_it_has(hands: Hands, http_source: HttpSource, rates: Rates):
    made = await collection(hands, http_source, SyncMode.MERGE, key_fields=("id",))
    for _ in range(3):
        await run(hands, made)
    # The second run asks from the first one's cursor on, which is another question.
    assert rates.status == [200, 200, 304]
    assert await hands.ids(made.dataset_id) == [1, 2]
    again = await hands.runtime.collecting.collections.get_collection(hands.caller, made.id)
    assert again.cursor == 2


async def test_what_is_appended_is_read_each_time(hands: Hands, http_source: HttpSource, rates: Rates):
    made = await collection(hands, http_source, SyncMode.APPEND)
    for _ in range(2):
        await run(hands, made)
    assert rates.status == [200, 200]
    assert await hands.ids(made.dataset_id) == [1, 1, 2, 2]


async def test_a_guard_of_counts_does_not_stop_a_run_without_news(
    hands: Hands, http_source: HttpSource, rates: Rates
):
    made = await collection(hands, http_source, guards=(Guard(Check.MIN_RECORDS, 2),))
    await run(hands, made)
    assert (await run(hands, made)).records_read == 0
    assert rates.status == [200, 304]


async def test_other_settings_read_it_anew(hands: Hands, http_source: HttpSource, rates: Rates):
    made = await collection(hands, http_source)
    await run(hands, made)
    columns = [{"name": "id", "type": "int64"}]
    settings = {**made.settings, "columns": columns}
    await change(hands, made, settings)
    await run(hands, made)
    await change(hands, made, {**settings, "conditional": False})
    await run(hands, made)
    await run(hands, made)
    assert rates.status == [200] * 4


async def test_a_time_that_may_still_be_written_to_tells_nothing(
    hands: Hands, http_source: HttpSource, rates: Rates
):
    rates.headers = {"Last-Modified": DATE, "Date": DATE}
    made = await collection(hands, http_source)
    await run(hands, made)
    await run(hands, made)
    assert rates.status == [200, 200]


async def test_a_first_page_of_many_tells_nothing(hands: Hands, http_source: HttpSource, rates: Rates):
    made = await hands.collection(
        http_source.url, path="/rates", records_path="", pagination={"kind": "next_link"}
    )
    await run(hands, made)
    await run(hands, made)
    assert rates.status == [200, 200]


async def change(hands: Hands, made: Collection, settings: dict[str, Any]) -> None:
    collections = hands.runtime.collecting.collections
    await collections.update_collection(
        hands.caller,
        made.id,
        "",
        lambda now: NewCollection(now.project, now.name, now.connection_id, settings, now.mode),
    )
