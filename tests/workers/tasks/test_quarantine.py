"""Records that did not fit: listed, replayed by the rules of today, dropped."""

from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from tests.fixtures.collecting import EDITOR_RIGHTS
from tests.fixtures.engine import person
from tests.fixtures.hands import NUMBERED, Hands
from tests.fixtures.http_source import HttpSource
from tests.fixtures.server import ServerUnderTest
from weir import AsyncClient, errors
from weir.task import TaskFailure
from weir.v1 import collection_service_pb2 as pb
from weir_core.collections.models import Collection, collection
from weir_core.datasets.commits import MAX_RAW
from weir_core.datasets.models import dataset
from weir_core.datasets.quarantine import RESOLVE_TASK
from weir_core.tasks.errors import Fenced

REPLAY, DISCARD = pb.QUARANTINE_ACTION_REPLAY, pb.QUARANTINE_ACTION_DISCARD
WIDER = [{"name": "id", "type": "double"}, {"name": "name", "type": "string"}]


@pytest.fixture
async def hands(server: ServerUnderTest) -> Hands:
    made = Hands(server.runtime, person(everywhere=set(EDITOR_RIGHTS)))
    await made.register()
    return made


@pytest.fixture
async def sdk(server: ServerUnderTest) -> AsyncGenerator[AsyncClient]:
    async with AsyncClient(server.address, token=server.admin.credential) as client:
        yield client


@pytest.fixture
async def odd(hands: Hands, http_source: HttpSource) -> Collection:
    """A collection of 35 records of which three do not fit."""
    http_source.records[7] = {"id": 7.5, "name": "half"}
    http_source.records[21] = {"name": "none"}
    http_source.records[30] = {"id": "x" * (MAX_RAW + 1), "name": "long"}
    made = await hands.collection(http_source.url)
    await hands.work(await hands.start(made))
    return made


async def listed(sdk: AsyncClient, filter_text: str = "") -> list[Any]:
    return [record async for record in sdk.collections.list_quarantine(filter=filter_text)]


async def settings_become(hands: Hands, made: Collection, **changed: Any) -> None:
    values = {"settings": made.settings | changed}
    await hands.runtime.db.write(
        lambda tx: tx.execute(update(collection).where(collection.c.id == made.id).values(**values))
    )


async def resolve(
    sdk: AsyncClient, hands: Hands, made: Collection, action: Any, filter_text: str = ""
) -> Any:
    wanted = filter_text or f'dataset_id = "{made.dataset_id}"'
    answer = await sdk.collections.resolve_quarantine(str(made.dataset_id), filter=wanted, action=action)
    return await hands.resolve(UUID(answer.task_id))


async def test_they_are_listed_as_they_came_newest_first(sdk: AsyncClient, odd: Collection):
    found = await listed(sdk, f'dataset_id = "{odd.dataset_id}"')
    assert [(one.page, one.position, one.column) for one in found] == [
        (4, 1, "id"),
        (3, 2, "id"),
        (1, 8, "id"),
    ]
    assert found[2].raw == b'{"id": 7.5, "name": "half"}'
    assert found[2].reason == "id: 7.5 is a number, the column holds int64"
    assert (found[0].truncated, len(found[0].raw), found[1].truncated) == (True, MAX_RAW, False)
    assert [one.id for one in await listed(sdk, f'run_id = "{found[0].run_id}" AND column = id')] == [
        one.id for one in found
    ]
    assert await listed(sdk, "column = name") == []


async def test_a_replay_puts_in_what_fits_by_the_rules_of_today(
    sdk: AsyncClient, hands: Hands, odd: Collection
):
    await settings_become(hands, odd, columns=WIDER)
    done = await resolve(sdk, hands, odd, REPLAY)
    kept = (await sdk.collections.get_dataset(str(odd.dataset_id))).dataset
    rows = [row async for row in sdk.collections.read_records(str(odd.dataset_id))]
    assert (done.replayed, done.stayed, done.reason) == (2, 1, "it was cut when it was put here")
    assert (kept.record_count, kept.quarantine_count, kept.version) == (34, 1, 2)
    assert [row for row in rows if row["name"] in {"half", "none"}] == [
        {"id": 7.5, "name": "half"},
        {"id": None, "name": "none"},
    ]
    assert len(rows) == 34


async def test_many_that_came_at_once_are_all_replayed_at_once(
    sdk: AsyncClient, hands: Hands, http_source: HttpSource
):
    http_source.records[:] = [{"id": number + 0.5, "name": "half"} for number in range(450)]
    made = await hands.collection(http_source.url)
    await hands.work(await hands.start(made))
    await settings_become(hands, made, columns=WIDER)
    done = await resolve(sdk, hands, made, REPLAY)
    assert (done.replayed, done.stayed) == (450, 0)
    assert (await sdk.collections.get_dataset(str(made.dataset_id))).dataset.record_count == 450


async def test_by_the_same_rules_nothing_fits_and_all_stays(sdk: AsyncClient, hands: Hands, odd: Collection):
    done = await resolve(sdk, hands, odd, REPLAY, "column = id")
    kept = (await sdk.collections.get_dataset(str(odd.dataset_id))).dataset
    assert (done.replayed, done.stayed) == (0, 3)
    assert done.reason == "id: 7.5 is a number, the column holds int64"
    assert (kept.record_count, kept.quarantine_count) == (32, 3)


async def test_what_is_dropped_is_gone(sdk: AsyncClient, hands: Hands, odd: Collection):
    done = await resolve(sdk, hands, odd, DISCARD)
    kept = (await sdk.collections.get_dataset(str(odd.dataset_id))).dataset
    assert (done.discarded, kept.record_count, kept.quarantine_count) == (3, 32, 0)
    assert await listed(sdk) == []


async def test_p11_a_portion_that_was_committed_is_not_put_in_again(
    sdk: AsyncClient, hands: Hands, odd: Collection
):
    wanted = f'dataset_id = "{odd.dataset_id}"'
    answer = await sdk.collections.resolve_quarantine(str(odd.dataset_id), filter=wanted, action=DISCARD)
    task_id = UUID(answer.task_id)
    await hands.runtime.execution.claim([task_id], hands.worker_id, {RESOLVE_TASK: 1})
    quarantine = hands.runtime.collecting.quarantine
    target = await quarantine.target(task_id, odd.dataset_id)
    gone = [record.id for record in await quarantine.portion(odd.dataset_id, wanted, None)]
    for _ in range(2):
        await quarantine.commit(task_id, 1, target, gone)
    kept = (await sdk.collections.get_dataset(str(odd.dataset_id))).dataset
    assert (kept.quarantine_count, kept.version) == (0, 2)
    with pytest.raises(Fenced):
        await quarantine.commit(task_id, 2, target, gone)


async def test_one_at_a_time_and_only_with_a_filter(sdk: AsyncClient, odd: Collection):
    async def ask(wanted: str = "column = id", request_id: str = "") -> str:
        answer = await sdk.collections.resolve_quarantine(
            str(odd.dataset_id), filter=wanted, action=DISCARD, request_id=request_id
        )
        return answer.task_id

    assert await ask(request_id="r1") == await ask(request_id="r1")
    with pytest.raises(errors.StateConflict, match="another task resolves"):
        await ask()
    with pytest.raises(errors.FieldInvalid, match="filter"):
        await ask("")


async def test_p13_a_task_of_another_project_resolves_nothing(
    hands: Hands, sdk: AsyncClient, odd: Collection
):
    answer = await sdk.collections.resolve_quarantine(
        str(odd.dataset_id), filter="column = id", action=DISCARD
    )
    moved = update(dataset).where(dataset.c.id == odd.dataset_id).values(project="other")
    await hands.runtime.db.write(lambda tx: tx.execute(moved))
    with pytest.raises(TaskFailure, match=r"dataset .* does not exist"):
        await hands.resolve(UUID(answer.task_id))
    assert len(await listed(sdk)) == 3


async def test_the_quarantine_of_what_a_full_run_replaced_is_not_shown(
    sdk: AsyncClient, hands: Hands, odd: Collection, http_source: HttpSource
):
    http_source.records[7] = {"id": 7, "name": "whole"}
    await hands.work(await hands.start(odd))
    assert len(await listed(sdk)) == 2
    assert NUMBERED["columns"][0]["type"] == "int64"
