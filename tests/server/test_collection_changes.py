"""Connections, collections and datasets are changed and deleted; the cursor is set by hand."""

from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID

import grpc
import pytest
from google.protobuf.struct_pb2 import NULL_VALUE, Value
from sqlalchemy import select

from tests.fixtures.collecting import EDITOR_RIGHTS
from tests.fixtures.engine import person
from tests.fixtures.hands import Hands
from tests.fixtures.http_source import HttpSource
from tests.fixtures.server import Client, ServerUnderTest, refused
from weir import AsyncClient, errors
from weir.v1 import collection_pb2
from weir.v1 import collection_service_pb2 as pb
from weir_core.collections.connections import secrets_of as stored_secrets
from weir_core.collections.models import Collection, SyncMode, connection
from weir_core.datasets.models import quarantine, segment

SECRETS = {"token": "first-secret"}
SETTINGS = {"base_url": "https://things.example", "auth": "bearer"}


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
async def read_once(hands: Hands, http_source: HttpSource) -> Collection:
    """An incremental collection whose 35 records were read."""
    collection = await hands.collection(http_source.url, SyncMode.INCREMENTAL)
    await hands.work(await hands.start(collection))
    return collection


async def connected(sdk: AsyncClient, hands: Hands) -> Any:
    assert hands
    answer = await sdk.collections.create_connection(
        name="things", connector="http", settings=SETTINGS, secrets=SECRETS
    )
    return answer.connection


async def secrets_of(hands: Hands, made: Any) -> dict[str, str]:
    async with hands.runtime.db.read() as tx:
        return await stored_secrets(tx, hands.runtime.secrets, UUID(made.id))


class TestConnection:
    async def test_what_the_mask_names_is_changed_and_the_rest_stays(self, sdk: AsyncClient, hands: Hands):
        made = await connected(sdk, hands)
        wanted = collection_pb2.Connection(id=made.id, name="other", etag=made.etag)
        wanted.settings.update({"base_url": "https://new.example", "auth": "bearer"})
        stored = (
            await sdk.collections.update_connection(connection=wanted, update_mask=["name", "settings"])
        ).connection
        assert (stored.name, stored.settings["base_url"]) == ("other", "https://new.example")
        assert (stored.revision, stored.secret_names) == (2, ["token"])
        assert stored.etag != made.etag
        assert await secrets_of(hands, made) == SECRETS
        with pytest.raises(errors.EtagMismatch):
            await sdk.collections.update_connection(connection=wanted, update_mask=["name"])

    async def test_p12_a_secret_is_rotated_and_is_in_no_answer_and_in_no_row(
        self, sdk: AsyncClient, hands: Hands
    ):
        made = await connected(sdk, hands)
        wanted = collection_pb2.Connection(id=made.id, secrets={"token": "second-secret"})
        stored = await sdk.collections.update_connection(connection=wanted, update_mask=["secrets.token"])
        assert await secrets_of(hands, made) == {"token": "second-secret"}
        async with hands.runtime.db.read() as tx:
            row = (await tx.execute(select(connection))).one()
        for text in (str(stored), str(tuple(row))):
            assert "second-secret" not in text

    async def test_what_does_not_fit_is_refused_by_its_field(self, sdk: AsyncClient, hands: Hands):
        made = await connected(sdk, hands)
        gone = collection_pb2.Connection(id=made.id)
        odd = collection_pb2.Connection(id=made.id, secrets={"pin": "1234"})
        with pytest.raises(errors.SchemaMismatch, match="is no secret of the connector 'http'"):
            await sdk.collections.update_connection(connection=odd, update_mask=["secrets.pin"])
        with pytest.raises(errors.FieldInvalid, match=r"connection\.name"):
            await sdk.collections.update_connection(connection=gone, update_mask=["name"])
        with pytest.raises(errors.FieldInvalid, match="can't be changed"):
            await sdk.collections.update_connection(connection=gone, update_mask=["connector"])
        await sdk.collections.create_connection(
            name="taken", connector="http", settings=SETTINGS, secrets=SECRETS
        )
        taken = collection_pb2.Connection(id=made.id, name="taken")
        with pytest.raises(errors.AlreadyExists):
            await sdk.collections.update_connection(connection=taken, update_mask=["name"])

    async def test_politeness_is_changed_as_a_whole(self, sdk: AsyncClient, hands: Hands):
        made = await connected(sdk, hands)
        assert made.politeness == collection_pb2.Politeness()
        polite = collection_pb2.Politeness(max_concurrency=1, max_per_minute=90)
        changed = await sdk.collections.update_connection(
            connection=collection_pb2.Connection(id=made.id, politeness=polite), update_mask=["politeness"]
        )
        assert changed.connection.politeness == polite
        assert changed.connection.settings == made.settings

    async def test_private_addresses_need_their_own_permission(
        self, server: ServerUnderTest, sdk: AsyncClient, hands: Hands
    ):
        made = await connected(sdk, hands)
        editor: Client = await server.user("erin", "editor")
        wanted = pb.UpdateConnectionRequest(
            connection=collection_pb2.Connection(id=made.id, allow_private_addresses=True)
        )
        wanted.update_mask.paths.append("allow_private_addresses")
        error = await refused(editor.collections.UpdateConnection(wanted))
        assert error.code is grpc.StatusCode.PERMISSION_DENIED
        await sdk.collections.update_connection(
            connection=wanted.connection, update_mask=["allow_private_addresses"]
        )

    async def test_one_in_use_is_not_deleted_and_one_that_is_deleted_is_gone_with_its_secrets(
        self, sdk: AsyncClient, hands: Hands, read_once: Collection
    ):
        with pytest.raises(errors.InUse, match="'things' reads over it"):
            await sdk.collections.delete_connection(str(read_once.connection_id))
        await sdk.collections.delete_collection(str(read_once.id))
        await sdk.collections.delete_connection(str(read_once.connection_id))
        await sdk.collections.delete_connection(str(read_once.connection_id))
        with pytest.raises(errors.NotFound):
            await sdk.collections.get_connection(str(read_once.connection_id))
        async with hands.runtime.db.read() as tx:
            assert (await tx.execute(select(connection.c.secrets))).scalar() is None
        again = await sdk.collections.create_connection(
            name="things", connector="http", settings=SETTINGS, secrets=SECRETS
        )
        assert again.connection.id != str(read_once.connection_id)


class TestCollection:
    async def test_what_the_mask_names_is_changed_and_holds_from_the_next_run(
        self, sdk: AsyncClient, hands: Hands, http_source: HttpSource, read_once: Collection
    ):
        http_source.records += [{"id": 40, "name": "wide"}]
        wanted = collection_pb2.Collection(id=str(read_once.id))
        wanted.settings.update(read_once.settings | {"columns": [{"name": "id", "type": "double"}]})
        guard = collection_pb2.Guard(max_records=0)
        wanted.guards.append(guard)
        stored = (
            await sdk.collections.update_collection(collection=wanted, update_mask=["settings", "guards"])
        ).collection
        assert (list(stored.guards), stored.cursor_field) == ([guard], "id")
        with pytest.raises(Exception, match="at most 0 are wanted"):
            await hands.work(await hands.start(read_once))

    async def test_another_cursor_field_is_refused_while_a_cursor_is_set(
        self, sdk: AsyncClient, read_once: Collection
    ):
        wanted = collection_pb2.Collection(id=str(read_once.id), cursor_field="name")
        with pytest.raises(errors.FieldInvalid, match="SetCursor"):
            await sdk.collections.update_collection(collection=wanted, update_mask=["cursor_field"])
        await sdk.collections.set_cursor(str(read_once.id))
        stored = await sdk.collections.update_collection(collection=wanted, update_mask=["cursor_field"])
        assert stored.collection.cursor_field == "name"

    async def test_a_deleted_one_frees_its_dataset_for_another(
        self, sdk: AsyncClient, hands: Hands, http_source: HttpSource, read_once: Collection
    ):
        run_id = await hands.start(read_once)
        with pytest.raises(errors.StateConflict, match=str(run_id)):
            await sdk.collections.delete_collection(str(read_once.id))
        await hands.work(run_id)
        await sdk.collections.delete_collection(str(read_once.id))
        with pytest.raises(errors.NotFound):
            await sdk.collections.get_collection(str(read_once.id))
        heir = (
            await sdk.collections.create_collection(
                name="heir",
                connection_id=str(read_once.connection_id),
                mode=collection_pb2.SYNC_MODE_APPEND,
                settings=read_once.settings,
                dataset=read_once.dataset,
            )
        ).collection
        dataset = (await sdk.collections.get_dataset(str(read_once.dataset_id))).dataset
        assert (dataset.collection_id, dataset.record_count) == (heir.id, 35)


class TestCursor:
    async def test_is_set_as_a_run_would_have_left_it_and_read_from(
        self, sdk: AsyncClient, hands: Hands, http_source: HttpSource, read_once: Collection
    ):
        stored = await sdk.collections.set_cursor(str(read_once.id), cursor=30.0, expected_cursor=34)
        assert stored.collection.cursor.number_value == 30
        output = await hands.work(await hands.start(read_once))
        assert output.records_written == 4
        # The very change that was made: sent again it is no conflict.
        await sdk.collections.set_cursor(str(read_once.id), cursor=34, expected_cursor=30)

    async def test_another_than_expected_is_a_conflict(self, sdk: AsyncClient, read_once: Collection):
        with pytest.raises(errors.Aborted, match="the cursor is 34, not None"):
            await sdk.collections.set_cursor(
                str(read_once.id), cursor=1, expected_cursor=Value(null_value=NULL_VALUE)
            )

    async def test_a_value_that_the_field_can_not_have_is_refused(
        self, sdk: AsyncClient, read_once: Collection
    ):
        with pytest.raises(errors.FieldInvalid, match="cursor"):
            await sdk.collections.set_cursor(str(read_once.id), cursor="yesterday")

    async def test_not_while_a_run_goes_on(self, sdk: AsyncClient, hands: Hands, read_once: Collection):
        await hands.start(read_once)
        with pytest.raises(errors.StateConflict):
            await sdk.collections.set_cursor(str(read_once.id), cursor=1)


class TestDataset:
    async def test_one_that_is_written_stays_and_a_deleted_one_is_swept(
        self, sdk: AsyncClient, hands: Hands, http_source: HttpSource
    ):
        http_source.records[3] = {"id": "odd"}
        made = await hands.collection(http_source.url)
        await hands.work(await hands.start(made))
        with pytest.raises(errors.InUse, match=str(made.id)):
            await sdk.collections.delete_dataset(str(made.dataset_id))
        await sdk.collections.delete_collection(str(made.id))
        dataset = (await sdk.collections.get_dataset(str(made.dataset_id))).dataset
        with pytest.raises(errors.EtagMismatch):
            await sdk.collections.delete_dataset(str(made.dataset_id), etag="0")
        await sdk.collections.delete_dataset(str(made.dataset_id), etag=dataset.etag)
        await sdk.collections.delete_dataset(str(made.dataset_id))
        with pytest.raises(errors.NotFound):
            await sdk.collections.get_dataset(str(made.dataset_id))
        assert [one async for one in sdk.collections.list_quarantine()] == []
        sweep = hands.runtime.collecting.sweep
        sweep._replaced_after *= 0
        await sweep.sweep()
        async with hands.runtime.db.read() as tx:
            assert (await tx.execute(select(segment))).all() == []
            assert (await tx.execute(select(quarantine))).all() == []
        assert list(hands.runtime.store.files("datasets")) == []


@pytest.mark.parametrize(
    "method", ["UpdateConnection", "DeleteConnection", "UpdateCollection", "DeleteCollection", "SetCursor"]
)
async def test_p13_a_viewer_changes_nothing(
    server: ServerUnderTest, sdk: AsyncClient, read_once: Collection, method: str
):
    viewer = await server.user("vera", "viewer")
    request: Any = getattr(pb, f"{method}Request")()
    match method:
        case "UpdateConnection":
            request.connection.id = str(read_once.connection_id)
            request.update_mask.paths.append("name")
        case "UpdateCollection":
            request.collection.id = str(read_once.id)
            request.update_mask.paths.append("name")
        case "DeleteConnection":
            request.connection_id = str(read_once.connection_id)
        case _:
            request.collection_id = str(read_once.id)
    error = await refused(getattr(viewer.collections, method)(request))
    assert error.code is grpc.StatusCode.PERMISSION_DENIED
    assert (await sdk.collections.get_collection(str(read_once.id))).collection.name == "things"
