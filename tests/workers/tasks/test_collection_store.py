"""A run whose store goes away, or does not let it in: it waits, says for what, and loses nothing."""

import asyncio
from typing import Any

import pytest
from aiohttp import web

from tests.fixtures.collecting import EDITOR_RIGHTS
from tests.fixtures.engine import Engine, person
from tests.fixtures.hands import Hands
from tests.fixtures.http_source import HttpSource
from tests.fixtures.proxy import Proxy
from tests.fixtures.stores import SECRET
from weir.task import TaskFailure
from weir_core.datasets.sweep import DatasetSweep
from weir_core.tasks.states import TaskState
from weir_workers.tasks.patience import patiently

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


@pytest.fixture
async def store_settings(far_settings: dict[str, Any]) -> dict[str, Any]:
    return far_settings


@pytest.fixture
async def hands(engine: Engine, http_source: HttpSource, bucket_proxy: Proxy) -> Hands:
    """A worker with segments of 20 rows in a bucket, which goes away once it has the first."""
    made = await worker(engine)

    async def cutting(_: web.Request, body: bytes) -> web.StreamResponse:
        await said(made, "segment 1 committed")
        bucket_proxy.cut()
        return web.Response(body=body)

    http_source.faults[4] = [cutting]
    return made


async def said(hands: Hands, text: str) -> None:
    async with asyncio.timeout(60):
        while not any(text in line for line in hands.told.lines):
            await asyncio.sleep(0.02)


async def worker(engine: Engine, **settings: Any) -> Hands:
    runtime = await engine.another(segment_rows=20, **settings)
    made = Hands(runtime, person(everywhere=set(EDITOR_RIGHTS)))
    await made.register()
    return made


async def test_it_waits_for_the_store_and_says_so(hands: Hands, http_source: HttpSource, bucket_proxy: Proxy):
    collection = await hands.collection(http_source.url)
    working = asyncio.create_task(hands.work(await hands.start(collection)))
    await said(hands, "waiting: the store s3://tests-")
    bucket_proxy.heal()
    assert (await working).segments == 2
    assert await hands.ids(collection.dataset_id) == list(range(35))
    assert len(http_source.asked) == len(set(http_source.pages_asked()))


async def test_p11_where_it_stays_away_the_next_attempt_goes_on(
    hands: Hands, http_source: HttpSource, bucket_proxy: Proxy, monkeypatch: pytest.MonkeyPatch
):
    defaults = patiently.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "seconds", 0.1)
    collection = await hands.collection(http_source.url)
    run_id = await hands.start(collection)
    with pytest.raises(TaskFailure, match=r"the store s3://tests-\d+/kept/here does not answer") as caught:
        await hands.attempt(run_id)
    assert (caught.value.kind, caught.value.code) == ("DEPENDENCY", "storage")
    asked = len(http_source.asked)
    bucket_proxy.heal()
    await hands.leave(run_id, TaskState.QUEUED)
    await hands.work(run_id)
    assert sorted(http_source.pages_asked()[asked:]) == [3, 4]
    assert await hands.ids(collection.dataset_id) == list(range(35))
    runtime = hands.runtime
    await DatasetSweep(runtime.db, runtime.store).sweep()
    assert len(await asyncio.to_thread(lambda: list(runtime.store.files()))) == 2


async def test_one_that_refuses_is_a_failure_of_whoever_runs_weir(engine: Engine, http_source: HttpSource):
    hands = await worker(engine, store="s3://nothing-here")
    with pytest.raises(TaskFailure, match="there is no such bucket") as caught:
        await hands.attempt(await hands.start(await hands.collection(http_source.url)))
    assert (caught.value.kind, caught.value.code) == ("RESOURCE", "storage")
    assert SECRET not in str(caught.value) + str(hands.told.lines)
