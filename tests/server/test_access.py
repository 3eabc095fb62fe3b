"""The rules of access, as the contract says them."""

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import ServiceDescriptor

from weir.v1 import collection_service_pb2, task_service_pb2
from weir.v1 import user_service_pb2 as pb
from weir_core.users.permissions import ROLES
from weir_server.app import services
from weir_server.interceptors.access import Access


@pytest.fixture
def access() -> Access:
    return Access(services().values())


def unguarded() -> ServiceDescriptor:
    """A service whose method says nothing about access."""
    file = descriptor_pb2.FileDescriptorProto(name="t/open.proto", package="t", syntax="proto3")
    file.message_type.add(name="Empty")
    file.service.add(name="Open").method.add(name="Door", input_type=".t.Empty", output_type=".t.Empty")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool.FindServiceByName("t.Open")


class TestAccess:
    def test_p13_a_method_without_a_rule_stops_the_start(self):
        with pytest.raises(SystemExit, match=r"t\.Open\.Door"):
            Access([unguarded()])

    def test_a_method_that_is_not_registered_has_no_rule(self, access: Access):
        with pytest.raises(KeyError):
            access.rule("/weir.v1.UserService/Nope")

    def test_every_permission_of_a_role_is_one_of_the_contract(self, access: Access):
        known = {each.name for each in access.permissions()}
        for role in ROLES.values():
            assert role.rights <= known | {"*"}


class TestRule:
    @pytest.mark.parametrize(
        "method, request_, project",
        [
            ("TaskService/SubmitTask", task_service_pb2.SubmitTaskRequest(project="lab"), "lab"),
            ("TaskService/SubmitTask", task_service_pb2.SubmitTaskRequest(), "default"),
            ("TaskService/GetTask", task_service_pb2.GetTaskRequest(), None),
            (
                "CollectionService/CreateConnection",
                collection_service_pb2.CreateConnectionRequest(connection={"project": "lab"}),  # pyright: ignore[reportArgumentType]
                "lab",
            ),
            (
                "CollectionService/CreateCollection",
                collection_service_pb2.CreateCollectionRequest(),
                "default",
            ),
        ],
    )
    def test_project(
        self, access: Access, method: str, request_: task_service_pb2.GetTaskRequest, project: str
    ):
        assert access.rule(f"/weir.v1.{method}").project(request_) == project

    def test_whom_a_request_names(self, access: Access):
        rule = access.rule("/weir.v1.UserService/CreateApiKey")
        assert rule.names(pb.CreateApiKeyRequest(api_key={"user_id": "self"})) == "self"  # pyright: ignore[reportArgumentType]
        assert rule.names(pb.CreateApiKeyRequest()) == ""
        assert access.rule("/weir.v1.UserService/ListUsers").names(pb.ListUsersRequest()) == ""
