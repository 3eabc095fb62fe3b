"""CollectionService over the wire, and through the SDK where it adds something."""

from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID

import grpc
import pyarrow as pa
import pytest

from tests.fixtures.collecting import EDITOR_RIGHTS
from tests.fixtures.engine import person
from tests.fixtures.hands import NUMBERED, Hands
from tests.fixtures.http_source import HttpSource
from tests.fixtures.server import Client, ServerUnderTest, refused
from weir import AsyncClient
from weir.v1 import collection_pb2, task_pb2
from weir.v1 import collection_service_pb2 as pb
from weir.v1 import system_service_pb2 as system_pb
from weir.v1 import task_service_pb2 as tasks_pb
from weir_core.collections.models import Collection
from weir_core.config import Settings
from weir_core.ids import new_id

CODE = grpc.StatusCode
SECRET = "hunter2-hunter2"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Segments of 20 rows."""
    return settings.model_copy(update={"segment_rows": 20})


@pytest.fixture
async def hands(server: ServerUnderTest) -> Hands:
    """A worker beside the server."""
    made = Hands(server.runtime, person(everywhere=set(EDITOR_RIGHTS)))
    await made.register()
    return made


@pytest.fixture
async def read_once(hands: Hands, http_source: HttpSource) -> Collection:
    """A collection whose 35 records were read."""
    collection = await hands.collection(http_source.url)
    await hands.work(await hands.start(collection))
    return collection


@pytest.fixture
async def sdk(server: ServerUnderTest) -> AsyncGenerator[AsyncClient]:
    async with AsyncClient(server.address, token=server.admin.credential) as client:
        yield client


def connection(name: str = "things", **changed: Any) -> Any:
    values: dict[str, Any] = {
        "name": name,
        "connector": "http",
        "settings": {"base_url": "https://things.example", "auth": "bearer"},
        "secrets": {"token": SECRET},
    }
    return pb.CreateConnectionRequest(connection=values | changed)  # pyright: ignore[reportArgumentType]


def collection(connection_id: str, **changed: Any) -> Any:
    values: dict[str, Any] = {
        "name": "things",
        "connection_id": connection_id,
        "settings": NUMBERED,
        "mode": collection_pb2.SYNC_MODE_FULL,
    }
    return pb.CreateCollectionRequest(collection=values | changed)  # pyright: ignore[reportArgumentType]


async def create_connection(client: Client, **changed: Any) -> Any:
    return (await client.collections.CreateConnection(connection(**changed))).connection


class TestListConnectors:
    async def test_what_the_worker_told(self, server: ServerUnderTest, hands: Hands):
        listed = (await server.admin.collections.ListConnectors(pb.ListConnectorsRequest())).connectors
        assert [each.name for each in listed] == ["airbyte", "files", "http", "singer", "sql"]
        found = listed[2]
        assert set(found.modes) == {1, 2, 3, 4}
        assert not found.can_discover
        assert "base_url" in found.connection_schema["properties"]


class TestCreateConnection:
    async def test_p12_it_comes_back_without_its_secrets(self, server: ServerUnderTest, hands: Hands):
        made = await create_connection(server.admin)
        found = await server.admin.collections.GetConnection(pb.GetConnectionRequest(connection_id=made.id))
        assert found.connection == made
        assert (made.project, list(made.secret_names), made.revision) == ("default", ["token"], 1)
        assert made.creator.name == "admin"
        assert not made.secrets
        assert SECRET not in str(made)

    async def test_settings_that_do_not_fit_name_their_field(self, server: ServerUnderTest, hands: Hands):
        error = await refused(
            server.admin.collections.CreateConnection(connection(settings={"base_url": "ftp://x"}))
        )
        assert (error.code, error.reason) == (CODE.INVALID_ARGUMENT, "SCHEMA_MISMATCH")
        assert "connection.settings.base_url" in error.fields

    async def test_p12_an_error_does_not_show_a_secret(self, server: ServerUnderTest, hands: Hands):
        wrong = connection(secrets={"pin": SECRET})
        error = await refused(server.admin.collections.CreateConnection(wrong))
        assert "connection.secrets.pin" in error.fields
        assert SECRET not in f"{error}"

    async def test_an_editor_may_not_allow_private_addresses(self, server: ServerUnderTest, hands: Hands):
        editor = await server.user("ed", "editor")
        error = await refused(editor.collections.CreateConnection(connection(allow_private_addresses=True)))
        assert (error.code, error.metadata["permission"]) == (
            CODE.PERMISSION_DENIED,
            "connections.private",
        )

    async def test_a_viewer_may_not_create_one(self, server: ServerUnderTest, hands: Hands):
        viewer = await server.user("vi", "viewer")
        error = await refused(viewer.collections.CreateConnection(connection()))
        assert (error.code, error.reason) == (CODE.PERMISSION_DENIED, "PERMISSION_MISSING")

    async def test_a_taken_name(self, server: ServerUnderTest, hands: Hands):
        await create_connection(server.admin)
        error = await refused(server.admin.collections.CreateConnection(connection()))
        assert (error.code, error.reason) == (CODE.ALREADY_EXISTS, "NAME_TAKEN")


class TestCreateCollection:
    async def test_it_comes_back_as_stored(self, server: ServerUnderTest, hands: Hands):
        source = await create_connection(server.admin)
        made = (await server.admin.collections.CreateCollection(collection(source.id))).collection
        request = pb.GetCollectionRequest(collection_id=made.id)
        assert (await server.admin.collections.GetCollection(request)).collection == made
        assert (made.dataset, made.mode) == ("things", collection_pb2.SYNC_MODE_FULL)
        assert made.settings["pagination"]["page_size"] == 10
        assert not made.HasField("cursor")

    async def test_the_dataset_of_another_collection(self, server: ServerUnderTest, hands: Hands):
        source = await create_connection(server.admin)
        await server.admin.collections.CreateCollection(collection(source.id))
        error = await refused(
            server.admin.collections.CreateCollection(collection(source.id, name="more", dataset="things"))
        )
        assert (error.code, error.reason) == (CODE.FAILED_PRECONDITION, "IN_USE")


class TestRunCollection:
    async def test_a_run_is_made_once(self, server: ServerUnderTest, hands: Hands):
        source = await create_connection(server.admin)
        made = (await server.admin.collections.CreateCollection(collection(source.id))).collection
        request = pb.RunCollectionRequest(collection_id=made.id)
        first = await server.admin.collections.RunCollection(request)
        again = await server.admin.collections.RunCollection(request)
        assert (first.created, again.created) == (True, False)
        assert first.run == again.run
        assert first.run.state == task_pb2.TASK_STATE_QUEUED

    async def test_p13_a_collection_of_another_project_looks_absent(
        self, server: ServerUnderTest, hands: Hands, read_once: Collection
    ):
        stranger = await server.user("st", "editor", "system")
        request = pb.RunCollectionRequest(collection_id=str(read_once.id))
        error = await refused(stranger.collections.RunCollection(request))
        assert (error.code, error.reason) == (CODE.NOT_FOUND, "NOT_FOUND")


class TestGetRun:
    async def test_what_it_did(self, server: ServerUnderTest, read_once: Collection):
        request = pb.ListRunsRequest(filter=f'collection_id = "{read_once.id}" AND state = SUCCEEDED')
        (listed,) = (await server.admin.collections.ListRuns(request)).runs
        run = (await server.admin.collections.GetRun(pb.GetRunRequest(run_id=listed.id))).run
        assert run == listed
        assert (run.counters.records_written, run.counters.segments, run.dataset_version) == (35, 2, 1)
        assert run.WhichOneof("span") == "full"


class TestGetDataset:
    async def test_with_its_columns(self, server: ServerUnderTest, read_once: Collection):
        request = pb.GetDatasetRequest(dataset_id=str(read_once.dataset_id))
        found = (await server.admin.collections.GetDataset(request)).dataset
        columns = [(one.name, one.type, one.nullable, one.since_schema_version) for one in found.columns]
        assert columns == [("id", "int64", False, 1), ("name", "string", True, 1)]
        (listed,) = (await server.admin.collections.ListDatasets(pb.ListDatasetsRequest())).datasets
        assert (listed.record_count, len(listed.columns)) == (35, 0)


class TestRunMaintenance:
    async def test_an_operator_compacts_a_dataset_and_an_editor_may_not(
        self, server: ServerUnderTest, read_once: Collection
    ):
        what = system_pb.RunMaintenanceRequest.CompactDataset(dataset_id=str(read_once.dataset_id))
        request = system_pb.RunMaintenanceRequest(compact_dataset=what, request_id="once")
        operator = await server.user("ola", "operator", "*")
        editor = await server.user("eva", "editor", "*")
        made = await operator.system.RunMaintenance(request)
        assert await operator.system.RunMaintenance(request) == made
        assert await server.admin.system.RunMaintenance(request) == made
        found = (await operator.tasks.GetTask(tasks_pb.GetTaskRequest(task_id=made.task_id))).task
        assert (found.spec.type, found.project, found.creator.name) == ("dataset.compact", "default", "ola")
        assert (await refused(editor.system.RunMaintenance(request))).reason == "PERMISSION_MISSING"

    async def test_what_is_not_there_or_not_said_is_told(self, server: ServerUnderTest):
        what = system_pb.RunMaintenanceRequest.CompactDataset(dataset_id=str(new_id()))
        gone = await refused(
            server.admin.system.RunMaintenance(system_pb.RunMaintenanceRequest(compact_dataset=what))
        )
        nothing = await refused(server.admin.system.RunMaintenance(system_pb.RunMaintenanceRequest()))
        assert (gone.code, nothing.code) == (CODE.NOT_FOUND, CODE.INVALID_ARGUMENT)
        assert "work" in nothing.fields


class TestReadRecords:
    async def test_rows_in_messages_of_the_size_asked_for(
        self, server: ServerUnderTest, read_once: Collection
    ):
        query = pb.RecordQuery(dataset_id=str(read_once.dataset_id), filter="id < 15")
        request = pb.ReadRecordsRequest(query=query, batch_size=10)
        messages = [one async for one in server.admin.collections.ReadRecords(request)]
        assert max(len(one.records) for one in messages) <= 10
        rows = [dict(record) for one in messages for record in one.records]
        assert rows[:2] == [{"id": 0.0, "name": "record 0"}, {"id": 1.0, "name": "record 1"}]
        assert len(rows) == 15
        assert {one.version for one in messages} == {1}

    async def test_it_goes_on_at_a_token(self, server: ServerUnderTest, read_once: Collection):
        query = pb.RecordQuery(dataset_id=str(read_once.dataset_id))
        request = pb.ReadRecordsRequest(query=query, batch_size=7)
        first = await anext(aiter(server.admin.collections.ReadRecords(request)))
        query.resume_token = first.resume_token
        rest = server.admin.collections.ReadRecords(pb.ReadRecordsRequest(query=query))
        ids = [record["id"] async for one in rest for record in one.records]
        assert ids == list(range(7, 35))

    async def test_p13_a_dataset_of_another_project_looks_absent(
        self, server: ServerUnderTest, read_once: Collection
    ):
        stranger = await server.user("st", "viewer", "system")
        query = pb.RecordQuery(dataset_id=str(read_once.dataset_id))
        error = await refused(stranger.collections.ReadRecords(pb.ReadRecordsRequest(query=query)))
        assert (error.code, error.reason) == (CODE.NOT_FOUND, "NOT_FOUND")

    async def test_a_column_that_is_not_there(self, server: ServerUnderTest, read_once: Collection):
        query = pb.RecordQuery(dataset_id=str(read_once.dataset_id), columns=["colour"])
        error = await refused(server.admin.collections.ReadRecords(pb.ReadRecordsRequest(query=query)))
        assert error.code == CODE.INVALID_ARGUMENT
        assert list(error.fields) == ["query.columns"]

    async def test_a_filter_that_does_not_fit(self, server: ServerUnderTest, read_once: Collection):
        query = pb.RecordQuery(dataset_id=str(read_once.dataset_id), filter="id = soon")
        error = await refused(server.admin.collections.ReadRecords(pb.ReadRecordsRequest(query=query)))
        assert (error.reason, list(error.fields)) == ("FILTER_INVALID", ["query.filter"])

    async def test_an_altered_token(self, server: ServerUnderTest, read_once: Collection):
        query = pb.RecordQuery(dataset_id=str(read_once.dataset_id), resume_token="AAAA")
        error = await refused(server.admin.collections.ReadRecords(pb.ReadRecordsRequest(query=query)))
        assert (error.code, list(error.fields)) == (CODE.INVALID_ARGUMENT, ["query.resume_token"])


class TestReadArrow:
    async def test_the_messages_are_one_stream(self, server: ServerUnderTest, read_once: Collection):
        query = pb.RecordQuery(dataset_id=str(read_once.dataset_id), columns=["name", "id"])
        request = pb.ReadArrowRequest(query=query, batch_bytes=2000)
        messages = [one async for one in server.admin.collections.ReadArrow(request)]
        assert max(len(one.data) for one in messages) <= 2000
        assert sum(one.row_count for one in messages) == 35
        table = pa.ipc.open_stream(b"".join(one.data for one in messages)).read_all()
        assert table.schema.names == ["name", "id"]
        assert sorted(table.column("id").to_pylist()) == list(range(35))

    async def test_the_sdk_reads_a_table(self, sdk: AsyncClient, read_once: Collection):
        table = await sdk.collections.read_arrow(str(read_once.dataset_id), filter="id >= 30", limit=3)
        assert table.column("id").to_pylist() == [30, 31, 32]

    async def test_the_sdk_reads_a_dataset_that_has_no_records_yet(
        self, sdk: AsyncClient, hands: Hands, http_source: HttpSource
    ):
        empty = await hands.collection(http_source.url)
        assert (await sdk.collections.read_arrow(str(empty.dataset_id))).num_rows == 0


class TestThroughTheSdk:
    async def test_from_connection_to_records(self, sdk: AsyncClient, hands: Hands, http_source: HttpSource):
        source = await sdk.collections.create_connection(
            name="things",
            connector="http",
            settings={"base_url": http_source.url},
            allow_private_addresses=True,
        )
        made = await sdk.collections.create_collection(
            name="things",
            connection_id=source.connection.id,
            settings=NUMBERED,
            mode=collection_pb2.SYNC_MODE_FULL,
        )
        run = await sdk.collections.run(made.collection.id)
        (listed,) = [one async for one in sdk.collections.list_runs()]
        await hands.work(UUID(listed.id))
        rows = [row async for row in sdk.collections.read_records(run.dataset_id, columns=["id"])]
        assert listed.collection_id == made.collection.id
        assert sorted(row["id"] for row in rows) == list(range(35))
