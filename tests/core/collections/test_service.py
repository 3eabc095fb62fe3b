from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from tests.fixtures.collecting import Ground, caller
from weir_core.collections.models import NewCollection, NewConnection, SyncMode
from weir_core.errors import (
    InUse,
    InvalidArgument,
    NameTaken,
    NotFound,
    PermissionMissing,
    RequestIdReused,
    SchemaMismatch,
)
from weir_core.paging import Page


@pytest.fixture
async def source(ground: Ground) -> UUID:
    new = NewConnection("", "shop", "shop", {"base_url": "https://shop.example"})
    return (await ground.connections.create_connection(ground.editor, new)).id


def wanted(source: UUID, name: str = "orders") -> NewCollection:
    return NewCollection("", name, source, {"path": "/o"}, SyncMode.INCREMENTAL, cursor_field="id")


class TestCreateCollection:
    async def test_it_comes_with_an_empty_dataset_of_its_name(self, ground: Ground, source: UUID):
        made = await ground.collections.create_collection(ground.editor, wanted(source))
        dataset = await ground.datasets.get(ground.editor, made.dataset_id)
        assert (made.dataset, made.cursor, made.last_run) == ("orders", None, None)
        assert (dataset.name, dataset.collection_id, dataset.version) == ("orders", made.id, 0)

    async def test_the_dataset_of_another_collection_is_refused(self, ground: Ground, source: UUID):
        await ground.collections.create_collection(ground.editor, wanted(source))
        clash = replace(wanted(source, "other"), dataset="orders")
        with pytest.raises(InUse):
            await ground.collections.create_collection(ground.editor, clash)
        found = await ground.collections.list_collections(ground.editor, Page(9), "")
        assert [one.name for one in found] == ["orders"]

    async def test_a_taken_name_leaves_no_dataset_behind(self, ground: Ground, source: UUID):
        await ground.collections.create_collection(ground.editor, wanted(source))
        with pytest.raises(NameTaken):
            await ground.collections.create_collection(ground.editor, replace(wanted(source), dataset="new"))
        assert len(await ground.datasets.list_datasets(ground.editor, Page(9), "")) == 1

    async def test_a_connection_of_another_project_looks_absent(self, ground: Ground, source: UUID):
        for new in (replace(wanted(source), project="system"), wanted(uuid4())):
            with pytest.raises(NotFound, match="connection"):
                await ground.collections.create_collection(ground.editor, new)

    async def test_naming_a_connection_needs_a_permission(self, ground: Ground, source: UUID):
        with pytest.raises(PermissionMissing, match=r"connections\.use"):
            await ground.collections.create_collection(caller("collections.*"), wanted(source))

    @pytest.mark.parametrize(
        "changed, field",
        [
            ({"cursor_field": ""}, "collection.cursor_field"),
            ({"mode": SyncMode.FULL}, "collection.cursor_field"),
            ({"stream": "orders"}, "collection.stream"),
        ],
    )
    async def test_what_does_not_go_together_is_refused(
        self, ground: Ground, source: UUID, changed: dict[str, object], field: str
    ):
        with pytest.raises(InvalidArgument) as caught:
            await ground.collections.create_collection(
                ground.editor,
                replace(wanted(source), **changed),  # pyright: ignore[reportArgumentType]
            )
        assert caught.value.violations[0].field == field

    async def test_settings_are_checked_by_the_connectors_schema(self, ground: Ground, source: UUID):
        with pytest.raises(
            SchemaMismatch, match=r"collection.settings.path: must be of type string, not '7'"
        ):
            await ground.collections.create_collection(
                ground.editor, replace(wanted(source), settings={"path": 7})
            )

    async def test_p08_the_same_request_gives_the_same_collection(self, ground: Ground, source: UUID):
        first = await ground.collections.create_collection(ground.editor, wanted(source), "r1")
        assert await ground.collections.create_collection(ground.editor, wanted(source), "r1") == first
        with pytest.raises(RequestIdReused):
            await ground.collections.create_collection(ground.editor, wanted(source, "other"), "r1")


class TestListCollections:
    async def test_each_comes_with_its_last_run(self, ground: Ground):
        collection = await ground.collection()
        attempt = await ground.start(collection)
        await attempt.commit(4)
        (found,) = await ground.collections.list_collections(ground.editor, Page(9), 'name = "orders"')
        assert found.last_run is not None
        assert (found.last_run.id, found.last_run.counters.records_written) == (attempt.run_id, 1)

    async def test_p13_other_projects_are_left_out(self, ground: Ground):
        await ground.collection()
        stranger = caller("collections.read", project="system")
        assert await ground.collections.list_collections(stranger, Page(9), "") == []
