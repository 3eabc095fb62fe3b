"""CheckConnection and PreviewCollection over the wire, with a worker in the test's own process."""

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID, uuid4

import grpc
import pyarrow as pa
import pytest
from pydantic import BaseModel
from sqlalchemy import select, text, update

from tests.fixtures.collecting import EDITOR_RIGHTS
from tests.fixtures.engine import person
from tests.fixtures.hands import NUMBERED, Hands, Told
from tests.fixtures.http_source import HttpSource, hang, status
from tests.fixtures.server import Client, ServerUnderTest, refused
from tests.fixtures.workers import ROOT, SECONDS, WEIR
from weir import AsyncClient, errors
from weir.task import Context, TaskFailure
from weir.v1 import collection_pb2, task_pb2, task_service_pb2
from weir.v1 import collection_service_pb2 as pb
from weir_core.collections.models import Connector as Declared
from weir_core.collections.models import SyncMode, trial
from weir_core.collections.trials import CHECK_TASK, PREVIEW_TASK
from weir_core.columns import metadata
from weir_core.datasets.commits import Counts
from weir_core.fleet.models import TaskType
from weir_core.ids import new_id
from weir_core.runtime import Runtime
from weir_core.tasks.models import Failure, task
from weir_core.tasks.outcomes import Ended
from weir_core.tasks.states import FailureKind, Priority, TaskState
from weir_workers.connectors.contract import Batch, SourceStream
from weir_workers.connectors.declaration import declarations
from weir_workers.tasks import trying
from weir_workers.tasks.trying import Nothing, check_connection, preview_collection

CODE = grpc.StatusCode
SECRET = "hunter2-hunter2"
HANDLERS = {CHECK_TASK: check_connection, PREVIEW_TASK: preview_collection}
SHOP = Declared(
    "shop", "A shop", "1", {"type": "object"}, {"type": "object"}, (SyncMode.FULL,), can_discover=True
)


async def _no_ask(asked: Any) -> Any:
    raise NotImplementedError(asked)


@dataclass
class Worker:
    """Does the tries, by the real handlers."""

    runtime: Runtime
    id: UUID = field(default_factory=new_id)
    told: Told = field(default_factory=Told)
    done: list[UUID] = field(default_factory=list[UUID])
    inputs: list[Any] = field(default_factory=list[Any])
    failures: list[str] = field(default_factory=list[str])

    async def register(self) -> None:
        schema: dict[str, Any] = {"type": "object"}
        kinds = [TaskType(name, 1, "builtin", "", schema, schema) for name in (*HANDLERS, "probe.other")]
        values = {"host": "here", "version": "0", "slots": 8, "queues": ["default"]}
        await self.runtime.fleet.register(self.id, values, kinds)
        await self.runtime.collecting.connections.register_connectors([*declarations(), SHOP])

    async def work(self) -> None:
        """Do what comes, until cancelled."""
        query = select(task.c.id).where(task.c.type.in_(HANDLERS), task.c.state == int(TaskState.QUEUED))
        while True:
            async with self.runtime.db.read() as tx:
                waiting = list((await tx.execute(query)).scalars())
            types = dict.fromkeys(HANDLERS, 1)
            for claimed in await self.runtime.execution.claim(waiting, self.id, types) if waiting else ():
                await self._do(claimed)
            await asyncio.sleep(0.05)

    async def _do(self, claimed: Any) -> None:
        found = claimed.task
        self.inputs.append(found.input)
        context = Context(str(found.id), found.attempt, found.project, self.told, self.runtime, ask=_no_ask)
        try:
            output = await HANDLERS[found.type](Nothing(), context)
            ended = Ended(output=output.model_dump())
        except TaskFailure as error:
            self.failures.append(str(error))
            ended = Ended(failure=Failure(FailureKind[error.kind], str(error), code=error.code))
        await self.runtime.execution.finish(claimed.log, ended)
        self.done.append(found.id)


@pytest.fixture
async def idle(server: ServerUnderTest) -> Worker:
    """A worker that lives and does nothing."""
    worker = Worker(server.runtime)
    await worker.register()
    return worker


@pytest.fixture
async def worker(idle: Worker) -> AsyncGenerator[Worker]:
    """A worker that tries."""
    working = asyncio.create_task(idle.work())
    yield idle
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working


def connection(url: str, **changed: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "name": "things",
        "connector": "http",
        "settings": {"base_url": url, "auth": "bearer"},
        "secrets": {"token": SECRET},
        "allow_private_addresses": True,
    }
    return values | changed


def collection(connection_id: str, **changed: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "name": "things",
        "connection_id": connection_id,
        "settings": NUMBERED,
        "mode": collection_pb2.SYNC_MODE_FULL,
    }
    return values | changed


async def store(client: Client, url: str, **changed: Any) -> str:
    """A stored connection; its id."""
    request = pb.CreateConnectionRequest(connection=connection(url, **changed))  # pyright: ignore[reportArgumentType]
    return (await client.collections.CreateConnection(request)).connection.id


async def store_collection(client: Client, url: str, **changed: Any) -> str:
    """A stored collection over a stored connection; its id."""
    wanted = collection(await store(client, url), **changed)
    request = pb.CreateCollectionRequest(collection=wanted)  # pyright: ignore[reportArgumentType]
    return (await client.collections.CreateCollection(request)).collection.id


async def check(client: Client, **target: Any) -> Any:
    return await client.collections.CheckConnection(pb.CheckConnectionRequest(**target))


async def preview(client: Client, **target: Any) -> Any:
    return await client.collections.PreviewCollection(pb.PreviewCollectionRequest(**target))


async def everything(runtime: Runtime) -> dict[str, list[str]]:
    """All rows of all tables, as text, bytes in clear and in hex."""
    async with runtime.db.read() as tx:
        return {
            name: [
                " ".join(
                    each.decode("latin-1") + each.hex() if isinstance(each, bytes) else str(each)
                    for each in row
                )
                for row in await tx.execute(text(f"SELECT * FROM {name}"))
            ]
            for name in metadata.tables
        }


class TestCheckConnection:
    async def test_one_that_works(self, server: ServerUnderTest, worker: Worker, http_source: HttpSource):
        found = await check(server.admin, connection=connection(http_source.url))
        assert found.check.ok
        assert not found.check.HasField("failure")
        assert found.check.latency.ToTimedelta() > timedelta(0)
        assert found.check.time.seconds > 0
        (asked,) = http_source.asked
        assert asked.headers["Authorization"] == f"Bearer {SECRET}"

    async def test_a_failed_try_is_an_answer_that_names_what_failed(
        self, server: ServerUnderTest, worker: Worker, http_source: HttpSource
    ):
        http_source.faults[1] = [status(401)]
        failure = (await check(server.admin, connection=connection(http_source.url))).check.failure
        assert (failure.kind, failure.code) == (task_pb2.FAILURE_KIND_INVALID_INPUT, "http.401")
        assert (failure.http.status, failure.http.host) == (401, "127.0.0.1")
        assert "credentials are not accepted" in failure.message

    async def test_a_host_that_is_not_there_is_named(self, server: ServerUnderTest, worker: Worker):
        answer = (await check(server.admin, connection=connection("http://127.0.0.1:1"))).check
        assert not answer.ok
        assert answer.failure.code == "http.connect"
        assert answer.failure.retryable
        assert (answer.failure.http.status, answer.failure.http.host) == (0, "127.0.0.1")

    async def test_a_source_that_does_not_come_to_an_end_is_cut_off(
        self,
        server: ServerUnderTest,
        worker: Worker,
        http_source: HttpSource,
        monkeypatch: pytest.MonkeyPatch,
    ):
        monkeypatch.setattr(trying, "_SECONDS", 0.5)
        http_source.faults[1] = [hang]
        failure = (await check(server.admin, connection=connection(http_source.url))).check.failure
        assert (failure.kind, failure.code) == (task_pb2.FAILURE_KIND_DEPENDENCY, "timeout")

    async def test_how_a_stored_one_did_is_kept_with_it(
        self, server: ServerUnderTest, worker: Worker, http_source: HttpSource
    ):
        made = await store(server.admin, http_source.url)
        http_source.faults[1] = [status(503)]
        for ok in (False, True):
            found = await check(server.admin, connection_id=made)
            kept = await server.admin.collections.GetConnection(pb.GetConnectionRequest(connection_id=made))
            assert (found.check.ok, kept.connection.last_check) == (ok, found.check)

    async def test_one_that_was_changed_meanwhile_is_not_called_tried(
        self, server: ServerUnderTest, worker: Worker, http_source: HttpSource
    ):
        made = await store(server.admin, http_source.url)
        table = metadata.tables["connection"]

        async def changes(request: Any, body: bytes) -> Any:
            await server.runtime.db.write(
                lambda tx: tx.execute(update(table).where(table.c.id == UUID(made)).values(revision=2))
            )
            return await status(200)(request, body)

        http_source.faults[1] = [changes]
        assert (await check(server.admin, connection_id=made)).check.ok
        kept = await server.admin.collections.GetConnection(pb.GetConnectionRequest(connection_id=made))
        assert not kept.connection.HasField("last_check")

    async def test_nothing_is_stored_of_an_unsaved_one(
        self, server: ServerUnderTest, worker: Worker, http_source: HttpSource
    ):
        await check(server.admin, connection=connection(http_source.url))
        rows = await everything(server.runtime)
        assert (rows["connection"], rows["trial"]) == ([], [])

    async def test_what_does_not_fit_names_its_field(self, server: ServerUnderTest, worker: Worker):
        wrong = {"settings": {"base_url": 7}, "secrets": {"pin": "1234"}}
        error = await refused(check(server.admin, connection=connection("", **wrong)))
        assert (error.code, set(error.fields)) == (CODE.INVALID_ARGUMENT, {"connection.secrets.pin"})
        error = await refused(check(server.admin))
        assert (error.code, set(error.fields)) == (CODE.INVALID_ARGUMENT, {"target"})
        error = await refused(check(server.admin, connection=connection("", connector="nfs")))
        assert set(error.fields) == {"connection.connector"}
        assert worker.done == []

    @pytest.mark.usefixtures("shop")
    async def test_streams_are_listed_where_they_are_asked_for(self, server: ServerUnderTest, worker: Worker):
        wanted = {"name": "shop", "connector": "shop"}
        found = await check(server.admin, connection=wanted, discover=True)
        assert [stream.name for stream in found.streams] == ["orders", "people"]
        orders = found.streams[0]
        assert (list(orders.cursor_fields), list(orders.key_fields)) == (["at"], ["id"])
        assert orders.estimated_records == 12
        assert orders.schema["properties"]["at"]["format"] == "date-time"
        assert not found.streams[1].HasField("schema")
        assert not (await check(server.admin, connection=wanted)).streams


class TestPreviewCollection:
    @pytest.mark.parametrize("path", ["/numbered", "/linked", "/header"])
    async def test_exactly_so_many_records_come_from_one_page(
        self, server: ServerUnderTest, worker: Worker, http_source: HttpSource, path: str
    ):
        pagination: dict[str, dict[str, Any]] = {
            "/numbered": {"kind": "page", "page_size": 10, "total_path": "total", "in_flight": 4},
            "/linked": {"kind": "next_link", "next_path": "paging.next"},
            "/header": {"kind": "next_link"},
        }
        records = {"/numbered": "results", "/linked": "data.items", "/header": ""}
        settings = NUMBERED | {
            "path": path,
            "pagination": pagination[path],
            "records_path": records[path],
        }
        made = await store(server.admin, http_source.url)
        found = await preview(server.admin, collection=collection(made, settings=settings), count=7)
        assert [record["id"] for record in found.records] == list(range(7))
        assert http_source.pages_asked() == [1]
        assert list(found.quarantined) == []
        assert list(found.warnings) == []
        schema = found.schema
        assert schema["properties"]["id"]["type"] == "integer"
        assert list(schema["properties"]["name"]["type"]) == ["string", "null"]
        assert list(schema["required"]) == ["id"]

    async def test_more_than_a_page_holds_takes_the_pages_that_it_needs(
        self, server: ServerUnderTest, worker: Worker, http_source: HttpSource
    ):
        made = await store_collection(server.admin, http_source.url)
        found = await preview(server.admin, collection_id=made)
        assert [record["id"] for record in found.records] == list(range(20))
        assert http_source.pages_asked() == [1, 2]
        found = await preview(server.admin, collection_id=made, count=1000)
        assert len(found.records) == 35

    async def test_nothing_is_kept(self, server: ServerUnderTest, worker: Worker, http_source: HttpSource):
        http_source.records[3] = {"id": "odd", "name": "odd one"}
        made = await store_collection(server.admin, http_source.url)
        (source,) = (await server.admin.collections.ListConnections(pb.ListConnectionsRequest())).connections
        before = await everything(server.runtime)
        await preview(server.admin, collection_id=made)
        await preview(server.admin, collection=collection(source.id, name="other", dataset="others"))
        after = await everything(server.runtime)
        for name in ("connection", "collection", "dataset", "segment", "quarantine", "run", "trial"):
            assert after[name] == before[name], name
        assert not [path for path in server.runtime.settings.data_dir.rglob("*") if path.is_file()]

    async def test_what_would_be_quarantined_is_shown(
        self, server: ServerUnderTest, worker: Worker, http_source: HttpSource
    ):
        http_source.records[2] = {"id": 7.5, "name": "half"}
        made = await store_collection(server.admin, http_source.url)
        found = await preview(server.admin, collection_id=made, count=5)
        assert [record["id"] for record in found.records] == [0, 1, 3, 4, 5]
        (odd,) = found.quarantined
        assert (odd.raw, odd.page, odd.position, odd.column) == (b'{"id": 7.5, "name": "half"}', 1, 3, "id")
        assert odd.reason == "id: 7.5 is a number, the column holds int64"

    async def test_fields_without_a_column_are_warned_of(
        self, server: ServerUnderTest, worker: Worker, http_source: HttpSource
    ):
        http_source.records[2]["colour"] = "red"
        made = await store_collection(server.admin, http_source.url)
        found = await preview(server.admin, collection_id=made)
        assert list(found.warnings) == ["left out: the dataset has no column for colour"]

    async def test_how_the_datasets_columns_would_change_is_told(
        self, server: ServerUnderTest, worker: Worker, http_source: HttpSource
    ):
        hands = Hands(server.runtime, person(everywhere=set(EDITOR_RIGHTS)))
        await hands.register()
        made = await hands.collection(http_source.url, SyncMode.APPEND, columns=[])
        await hands.work(await hands.start(made))
        http_source.records[2]["colour"] = "red"
        found = await preview(server.admin, collection_id=str(made.id))
        assert list(found.warnings) == ["the dataset's schema would change: colour is new: string"]
        assert set(found.schema["properties"]) == {"id", "name", "colour"}
        assert found.records[2]["colour"] == "red"
        http_source.records[3] = {"id": 3, "name": ["no", "text"]}
        found = await preview(server.admin, collection_id=str(made.id))
        assert [odd.column for odd in found.quarantined] == ["name"]

    async def test_a_source_that_fails_is_named(
        self, server: ServerUnderTest, worker: Worker, http_source: HttpSource
    ):
        made = await store_collection(server.admin, http_source.url)
        http_source.faults[1] = [status(404)]
        error = await refused(preview(server.admin, collection_id=made))
        assert (error.code, error.reason) == (CODE.FAILED_PRECONDITION, "STATE_CONFLICT")
        told = {key: error.metadata[key] for key in ("kind", "code", "host", "http_status")}
        assert told == {
            "kind": "INVALID_INPUT",
            "code": "http.404",
            "host": "127.0.0.1",
            "http_status": "404",
        }

    async def test_what_does_not_fit_names_its_field(
        self, server: ServerUnderTest, worker: Worker, http_source: HttpSource
    ):
        made = await store(server.admin, http_source.url)
        for changed, name in (
            ({"settings": NUMBERED | {"path": 7}}, "collection.settings.path"),
            ({"stream": "orders"}, "collection.stream"),
            ({"cursor_field": "id"}, "collection.cursor_field"),
        ):
            error = await refused(preview(server.admin, collection=collection(made, **changed)))
            assert (error.code, set(error.fields)) == (CODE.INVALID_ARGUMENT, {name})
        error = await refused(preview(server.admin, collection_id=str(uuid4()), count=1001))
        assert set(error.fields) == {"count"}

    async def test_a_dataset_of_another_collection_is_warned_of(
        self, server: ServerUnderTest, worker: Worker, http_source: HttpSource
    ):
        await store_collection(server.admin, http_source.url)
        (row,) = (await server.admin.collections.ListConnections(pb.ListConnectionsRequest())).connections
        found = await preview(
            server.admin, collection=collection(row.id, name="others", dataset="things"), count=1
        )
        assert len(found.records) == 1
        assert "written by another collection" in found.warnings[0]

    @pytest.mark.usefixtures("shop")
    async def test_where_there_are_streams_one_may_be_named(self, server: ServerUnderTest, worker: Worker):
        made = await store(server.admin, "", connector="shop", settings={}, secrets={})
        listed = (await server.admin.collections.ListConnectors(pb.ListConnectorsRequest())).connectors
        assert {each.name for each in listed if each.can_discover} >= {"shop", "sql"}
        found = await preview(
            server.admin, collection=collection(made, settings={}, stream="orders"), count=3
        )
        assert [record["stream"] for record in found.records] == ["orders"] * 3
        assert Shop.left_open == 0


class TestSecrets:
    async def test_p12_they_stand_nowhere_in_clear_and_nothing_of_a_try_stays(
        self,
        server: ServerUnderTest,
        worker: Worker,
        http_source: HttpSource,
        caplog: pytest.LogCaptureFixture,
    ):
        caplog.set_level("DEBUG")
        seen: list[dict[str, list[str]]] = []

        async def looks(request: Any, body: bytes) -> Any:
            seen.append(await everything(server.runtime))
            return await status(500)(request, body)

        http_source.faults[1] = [looks]
        answer = await check(server.admin, connection=connection(f"{http_source.url}"))
        http_source.records[0]["name"] = "very private"
        made = await store_collection(server.admin, http_source.url)
        await preview(server.admin, collection_id=made)
        seen.append(await everything(server.runtime))
        told = json.dumps([str(answer), caplog.text, worker.told.lines, worker.inputs, seen])
        assert not answer.check.ok
        assert len(seen[0]["trial"]) == 1
        assert seen[1]["trial"] == []
        assert worker.inputs == [{}, {}]
        assert SECRET not in told
        assert SECRET.encode().hex() not in told
        assert "very private" not in told
        assert worker.told.masked == [SECRET, SECRET]
        for task_id in worker.done:
            request = task_service_pb2.GetTaskRequest(task_id=str(task_id))
            found = (await server.admin.tasks.GetTask(request)).task
            assert (dict(found.spec.input), dict(found.output)) == ({}, {})


async def test_a_worker_process_tries_at_once_and_leaves_nothing(
    server: ServerUnderTest, http_source: HttpSource
):
    settings = server.runtime.settings
    environment = {
        "WEIR_DATABASE_URL": settings.database_url.get_secret_value(),
        "WEIR_REDIS_URL": settings.redis_url.get_secret_value(),
        "WEIR_MASTER_KEY": settings.master_key.get_secret_value(),
        "WEIR_DATA_DIR": str(settings.data_dir),
    }
    with subprocess.Popen([WEIR, "worker"], env=os.environ | environment, cwd=ROOT) as process:  # noqa: ASYNC220
        try:
            async with asyncio.timeout(SECONDS):
                while not await server.runtime.fleet.active():
                    await asyncio.sleep(0.05)
            async with AsyncClient(server.address, token=server.admin.credential) as sdk:
                source = collection_pb2.Connection(**connection(http_source.url))
                assert (await sdk.collections.check_connection(connection=source)).check.ok
                made = await store_collection(server.admin, http_source.url)
                found = await sdk.collections.preview_collection(collection_id=made, count=4)
                assert [record["id"] for record in found.records] == [0, 1, 2, 3]
                http_source.faults[1] = [status(403)]
                with pytest.raises(errors.StateConflict, match="403 Forbidden") as caught:
                    await sdk.collections.preview_collection(collection_id=made)
                assert caught.value.metadata["code"] == "http.403"
            rows = await everything(server.runtime)
        finally:
            process.terminate()
    assert (len(rows["task"]), rows["trial"]) == (3, [])
    assert SECRET not in str(rows)
    assert SECRET.encode().hex() not in str(rows)
    assert "record 0" not in str(rows)
    async with server.runtime.db.read() as tx:
        turns = set((await tx.execute(select(task.c.turn))).scalars())
    assert turns == {Priority.HIGH.turn}


class TestWithoutAWorker:
    async def test_where_none_lives_it_is_said_at_once(self, server: ServerUnderTest):
        await server.runtime.collecting.connections.register_connectors(declarations())
        error = await refused(check(server.admin, connection=connection("http://127.0.0.1:1")))
        assert (error.code, error.reason) == (CODE.FAILED_PRECONDITION, "STATE_CONFLICT")
        assert "start one with `weir worker`" in error.message
        assert (await everything(server.runtime))["task"] == []

    async def test_where_none_answers_the_task_is_cancelled_and_nothing_stays(
        self, server: ServerUnderTest, idle: Worker, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(server.runtime.trying, "_wait", timedelta(seconds=1))
        error = await refused(check(server.admin, connection=connection("http://127.0.0.1:1")))
        assert (error.code, error.reason) == (CODE.DEADLINE_EXCEEDED, "DEADLINE")
        assert "no worker answered within 1 s" in error.message
        await self._nothing_stays(server.runtime)

    async def test_when_the_caller_goes_away_the_task_is_cancelled_and_nothing_stays(
        self, server: ServerUnderTest, idle: Worker
    ):
        calling = asyncio.create_task(check(server.admin, connection=connection("http://127.0.0.1:1")))
        async with asyncio.timeout(20):
            while not (await everything(server.runtime))["trial"]:
                await asyncio.sleep(0.02)
        calling.cancel()
        await self._nothing_stays(server.runtime)

    async def test_what_a_dead_server_left_is_swept(self, server: ServerUnderTest, idle: Worker):
        trials, ids = server.runtime.collecting.trials, [new_id(), new_id()]
        table = trial

        async def work(tx: Any) -> None:
            for one in ids:
                await tx.execute(table.insert().values(id=one, asked=b"x", create_time=0))
            await tx.execute(table.update().where(table.c.id == ids[1]).values(create_time=2**60))

        await server.runtime.db.write(work)
        assert not await trials.forget()
        async with server.runtime.db.read() as tx:
            assert list((await tx.execute(select(table.c.id))).scalars()) == [ids[1]]

    async def _nothing_stays(self, runtime: Runtime) -> None:
        ended = {int(TaskState.CANCELLED), int(TaskState.FAILED)}
        async with asyncio.timeout(20):
            while True:
                async with runtime.db.read() as tx:
                    states = set((await tx.execute(select(task.c.state))).scalars())
                    left = list((await tx.execute(select(trial.c.id))).scalars())
                if states and states <= ended and not left:
                    return
                await asyncio.sleep(0.05)


class TestPermissions:
    async def test_p13_a_viewer_may_try_nothing(
        self, server: ServerUnderTest, worker: Worker, http_source: HttpSource
    ):
        made = await store_collection(server.admin, http_source.url)
        viewer = await server.user("vic", "viewer")
        error = await refused(check(viewer, connection=connection(http_source.url)))
        assert (error.code, error.metadata["permission"]) == (CODE.PERMISSION_DENIED, "connections.use")
        error = await refused(preview(viewer, collection_id=made))
        assert (error.code, error.metadata["permission"]) == (CODE.PERMISSION_DENIED, "collections.run")

    async def test_p13_an_operator_previews_what_there_is_and_nothing_new(
        self, server: ServerUnderTest, worker: Worker, http_source: HttpSource
    ):
        made = await store_collection(server.admin, http_source.url)
        operator = await server.user("olga", "operator")
        assert len((await preview(operator, collection_id=made, count=2)).records) == 2
        error = await refused(preview(operator, collection=collection(str(uuid4()))))
        assert (error.code, error.metadata["permission"]) == (CODE.PERMISSION_DENIED, "collections.write")

    async def test_p13_private_addresses_ask_for_more(
        self, server: ServerUnderTest, worker: Worker, http_source: HttpSource
    ):
        editor = await server.user("eve", "editor")
        error = await refused(check(editor, connection=connection(http_source.url)))
        assert (error.code, error.metadata["permission"]) == (CODE.PERMISSION_DENIED, "connections.private")
        closed = connection(http_source.url, allow_private_addresses=False)
        answer = (await check(editor, connection=closed)).check
        assert not answer.ok
        assert http_source.asked == []

    async def test_p13_what_one_may_not_see_looks_like_what_does_not_exist(
        self, server: ServerUnderTest, worker: Worker, http_source: HttpSource
    ):
        made = await store_collection(server.admin, http_source.url)
        source = (await server.admin.collections.ListConnections(pb.ListConnectionsRequest())).connections[0]
        stranger = await server.user("sam", "editor", "system")
        for call, real in (
            (lambda id_: check(stranger, connection_id=id_), source.id),
            (lambda id_: preview(stranger, collection_id=id_), made),
        ):
            nothing = str(uuid4())
            hidden, absent = await refused(call(real)), await refused(call(nothing))
            assert (hidden.code, hidden.reason) == (CODE.NOT_FOUND, "NOT_FOUND")
            assert (absent.code, absent.reason) == (CODE.NOT_FOUND, "NOT_FOUND")
            assert hidden.message.replace(real, "X") == absent.message.replace(nothing, "X")

    @pytest.mark.parametrize("name", [CHECK_TASK, PREVIEW_TASK])
    async def test_p13_nobody_submits_such_tasks(self, server: ServerUnderTest, worker: Worker, name: str):
        request = task_service_pb2.SubmitTaskRequest(spec=task_pb2.TaskSpec(type=name))
        error = await refused(server.admin.tasks.SubmitTask(request))
        assert (error.code, set(error.fields)) == (CODE.INVALID_ARGUMENT, {"spec.type"})
        assert (await everything(server.runtime))["task"] == []


class ShopSettings(BaseModel):
    pass


class Shop:
    """A source with streams that would never end."""

    name: ClassVar[str] = "shop"
    has_streams: ClassVar[bool] = True
    left_open: ClassVar[int] = 0

    async def check(self, source: Any) -> None:
        pass

    async def discover(self, source: Any) -> list[SourceStream]:
        schema = pa.schema([("id", pa.int64()), ("at", pa.timestamp("us", "UTC"))])
        return [SourceStream("orders", schema, ("at",), ("id",), 12), SourceStream("people")]

    async def partitions(self, source: Any, wanted: Any) -> list[None]:
        return [None, None]

    async def read(
        self, source: Any, wanted: Any, partition: Any, position: Any = None
    ) -> AsyncGenerator[Batch]:
        async with self._open():
            while True:
                rows = pa.RecordBatch.from_pylist([{"stream": wanted.stream}] * 2)
                yield Batch(rows, {}, Counts(2))

    @asynccontextmanager
    async def _open(self) -> AsyncGenerator[None]:
        Shop.left_open += 1
        try:
            yield
        finally:
            Shop.left_open -= 1


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connector `shop`, as if it were installed."""
    monkeypatch.setattr(Shop, "left_open", 0)
    monkeypatch.setattr(trying, "connector", lambda _: Shop())
