"""Sets of secrets, and inputs that refer to them, over the wire and through the SDK."""

from collections.abc import AsyncGenerator
from typing import Any, Final

import grpc
import pytest

from tests.fixtures.engine import ECHO
from tests.fixtures.server import ServerUnderTest, refused
from weir import AsyncClient, errors
from weir.v1 import collection_pb2, collection_service_pb2, schedule_pb2, task_pb2
from weir.v1 import task_service_pb2 as pb
from weir_core.fleet.models import TaskType
from weir_core.ids import new_id

CODE: Final = grpc.StatusCode
TOKEN: Final = {"$secret": "acme/token"}
SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "text": {"type": "string", "minLength": 40, "pattern": "^tk_", "format": "uri"},
        "count": {"type": "integer"},
        "level": {"anyOf": [{"enum": ["low", "high"], "type": "string"}, {"type": "null"}]},
        "db": {"$ref": "#/$defs/db"},
        "all": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
    },
    "$defs": {
        "db": {
            "type": "object",
            "properties": {"password": {"type": "string", "const": "x"}},
            "maxProperties": 1,
        }
    },
    "additionalProperties": False,
}
WRONG: Final[list[tuple[dict[str, Any], str, str]]] = [
    ({"db": {"password": {"$secret": "none/token"}}}, ".db.password", "there is no connection 'none'"),
    ({"all": ["x", {"$secret": "acme/pin"}]}, ".all[1]", "no secret 'pin'; it has password, token"),
    ({"text": {"$secret": "acme"}}, ".text", '{"$secret": "CONNECTION/KEY"} and no more, not \'acme\''),
    ({"text": {"$secret": 7}}, ".text", "and no more, not 7"),
    ({"text": TOKEN | {"or": "x"}}, ".text", "and no more, not one with $secret, or"),
    ({"count": TOKEN}, ".count", "'acme/token' is not of type 'integer'"),
    ({"db": TOKEN}, ".db", "'acme/token' is not of type 'object'"),
    ({"all": [TOKEN, TOKEN]}, ".all", "non-unique"),
    ({"all": [TOKEN] * 33}, ".all[32]", "an input refers to 32 secrets at most"),
]
LOGIN: Final = TaskType("probe.login", 1, "probes", "", SCHEMA, {"type": "object"})


@pytest.fixture
async def sdk(server: ServerUnderTest) -> AsyncGenerator[AsyncClient]:
    """An administrator, where two types are known and a set of secrets is stored."""
    values = {"host": "here", "version": "1", "slots": 8, "queues": ["default"]}
    await server.runtime.fleet.register(new_id(), values, [ECHO, LOGIN])
    async with AsyncClient(server.address, token=server.admin.credential) as client:
        secrets = {"token": "tk-0123456789", "password": "hunter2"}
        await client.collections.create_connection(name="acme", secrets=secrets)
        yield client


def spec(**given: Any) -> task_pb2.TaskSpec:
    wanted = task_pb2.TaskSpec(type="probe.login")
    wanted.input.update(given)
    return wanted


class TestSetOfSecrets:
    async def test_it_is_a_connection_like_others_but_for_reading(
        self, server: ServerUnderTest, sdk: AsyncClient
    ):
        (made,) = [each async for each in sdk.collections.list_connections()]
        found = (await sdk.collections.get_connection(made.id)).connection
        assert (found.connector, list(found.secret_names)) == ("", ["password", "token"])
        changed = collection_pb2.Connection(id=made.id, secrets={"token": "tk-9"})
        rotated = await sdk.collections.update_connection(connection=changed, update_mask=["secrets.token"])
        assert (rotated.connection.revision, list(rotated.connection.secret_names)) == (
            2,
            ["password", "token"],
        )

        wanted: Any = {"name": "things", "connection_id": made.id, "mode": 1}
        calls = {
            "connection_id": sdk.collections.check_connection(connection_id=made.id),
            "connection.connector": sdk.collections.check_connection(
                connection=collection_pb2.Connection(name="new", secrets={"a": "b"})
            ),
            "collection.connection_id": sdk.collections.create_collection(**wanted),
        }
        for field, call in calls.items():
            with pytest.raises(errors.FieldInvalid, match=f"{field}: without a connector"):
                await call
        preview = collection_service_pb2.PreviewCollectionRequest(collection=wanted)
        error = await refused(server.admin.collections.PreviewCollection(preview))
        assert (error.code, set(error.fields)) == (CODE.INVALID_ARGUMENT, {"collection.connection_id"})

    async def test_it_is_nothing_else(self, sdk: AsyncClient):
        wrong: dict[str, dict[str, Any]] = {
            "settings": {"secrets": {"a": "b"}, "settings": {"base_url": "https://a.example"}},
            "allow_private_addresses": {"secrets": {"a": "b"}, "allow_private_addresses": True},
            "secrets": {},
        }
        for field, given in wrong.items():
            with pytest.raises(errors.FieldInvalid, match=f"connection.{field}: must "):
                await sdk.collections.create_connection(name="other", **given)


class TestReferences:
    async def test_the_reference_is_stored_and_shown(self, server: ServerUnderTest, sdk: AsyncClient):
        given: dict[str, Any] = {
            "text": TOKEN,
            "level": TOKEN,
            "db": {"password": {"$secret": "acme/password"}},
        }
        given["all"] = [TOKEN, {"$secret": "acme/password"}]
        task = await sdk.tasks.submit("probe.login", given)
        assert (await task.get()).spec.input == spec(**given).input
        results = (
            await server.admin.tasks.SubmitTasks(
                pb.SubmitTasksRequest(
                    requests=[
                        pb.SubmitTaskRequest(spec=spec(text=TOKEN)),
                        pb.SubmitTaskRequest(spec=spec(text={"$secret": "acme/other"})),
                    ]
                )
            )
        ).results
        assert [each.WhichOneof("result") for each in results] == ["submitted", "error"]

    async def test_what_is_wrong_is_named(self, server: ServerUnderTest, sdk: AsyncClient):
        for given, place, why in WRONG:
            submit = pb.SubmitTaskRequest(spec=spec(**given))
            error = await refused(server.admin.tasks.SubmitTask(submit))
            assert (error.code, list(error.fields)) == (CODE.INVALID_ARGUMENT, [f"spec.input{place}"])
            assert why in error.fields[f"spec.input{place}"]
        schedule = pb.CreateScheduleRequest(
            schedule=schedule_pb2.Schedule(
                name="daily", timing=schedule_pb2.Timing(cron="@daily"), task=spec(text={"$secret": "none/x"})
            )
        )
        error = await refused(server.admin.tasks.CreateSchedule(schedule))
        assert (error.code, list(error.fields)) == (CODE.INVALID_ARGUMENT, ["schedule.task.input.text"])

    async def test_p13_another_projects_connection_is_not_there(self, sdk: AsyncClient):
        await sdk.collections.create_connection(name="hidden", project="system", secrets={"token": "x"})
        with pytest.raises(errors.FieldInvalid, match=r"no connection 'hidden' in project 'default'"):
            await sdk.tasks.submit("probe.login", {"text": {"$secret": "hidden/token"}})

    async def test_p13_who_may_not_use_connections_refers_to_none(
        self, server: ServerUnderTest, sdk: AsyncClient
    ):
        task = await sdk.tasks.submit("probe.login", {"text": TOKEN})
        await sdk.tasks.cancel_task(task.id)
        operator = (await server.user("otto", "operator")).tasks
        await operator.SubmitTask(pb.SubmitTaskRequest(spec=spec(text="tk_" + "x" * 40)))
        for call in (
            operator.SubmitTask(pb.SubmitTaskRequest(spec=spec(text=TOKEN))),
            operator.SubmitTask(pb.SubmitTaskRequest(spec=spec(text={"$secret": "none/at_all"}))),
            operator.RetryTask(pb.RetryTaskRequest(task_id=task.id)),
        ):
            error = await refused(call)
            assert (error.code, error.metadata["permission"]) == (CODE.PERMISSION_DENIED, "connections.use")
        await sdk.tasks.retry_task(task.id)

    async def test_a_fire_refers_to_what_is_there_by_then(self, sdk: AsyncClient):
        timing = schedule_pb2.Timing(cron="@daily")
        made = (await sdk.tasks.create_schedule(name="daily", timing=timing, task=spec(text=TOKEN))).schedule
        (fire,) = (await sdk.tasks.trigger_schedule(made.id)).fires
        task = (await sdk.tasks.get_task(fire.task_id)).task
        assert task.spec.input == spec(text=TOKEN).input
        (acme,) = [each async for each in sdk.collections.list_connections()]
        await sdk.collections.delete_connection(acme.id)
        (fire,) = (await sdk.tasks.trigger_schedule(made.id)).fires
        assert fire.result == schedule_pb2.FIRE_RESULT_REFUSED
        assert "spec.input.text: there is no connection 'acme'" in fire.message
