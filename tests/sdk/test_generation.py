import inspect
from collections.abc import Iterator

import pytest
from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest
from google.protobuf.descriptor_pb2 import FileDescriptorSet, MethodDescriptorProto

from tools.gen import generate
from tools.gen.blocking import to_blocking
from tools.gen.image import build_image, contract_files
from tools.gen.plugin.model import Rpc
from tools.gen.plugin.reading import Contract
from weir import AsyncClient, Client, methods, types
from weir.errors import InvalidValue

CLIENTS = {"TaskService": "tasks", "CollectionService": "collections"} | {
    "UserService": "users",
    "SystemService": "system",
}


@pytest.fixture(scope="module")
def image() -> FileDescriptorSet:
    return build_image()


@pytest.fixture(scope="module")
def rpcs(image: FileDescriptorSet) -> list[tuple[str, Rpc]]:
    return [(service.name, rpc) for service in contract(image).services() for rpc in service.rpcs]


def contract(image: FileDescriptorSet) -> Contract:
    return Contract(CodeGeneratorRequest(file_to_generate=contract_files(), proto_file=image.file))


def method_protos(image: FileDescriptorSet) -> Iterator[MethodDescriptorProto]:
    for file in image.file:
        for service in file.service:
            yield from service.method


class TestCommittedCode:
    def test_is_what_the_protos_give(self):
        generate.check()

    def test_has_a_method_for_each_rpc_on_both_clients(self, rpcs: list[tuple[str, Rpc]]):
        for client in (Client(), AsyncClient()):
            for service, rpc in rpcs:
                name = f"{rpc.name}_stream" if rpc.streams else rpc.name
                method = getattr(getattr(client, CLIENTS[service]), name)
                assert inspect.getdoc(method)

    def test_has_an_argument_for_each_field_that_a_caller_may_set(self, rpcs: list[tuple[str, Rpc]]):
        for service, rpc in rpcs:
            name = f"{rpc.name}_stream" if rpc.streams else rpc.name
            signature = inspect.signature(getattr(getattr(Client(), CLIENTS[service]), name))
            assert {each.name for each in rpc.arguments} <= set(signature.parameters)

    def test_types_has_the_resources_and_no_requests(self):
        assert {"Task", "Connection", "User", "TaskState"} <= set(types.__all__)
        assert not [name for name in types.__all__ if name.endswith(("Request", "Response"))]


class TestContract:
    def test_an_rpc_without_an_access_rule_is_refused(self, image: FileDescriptorSet):
        broken = FileDescriptorSet.FromString(image.SerializeToString())
        method = next(each for each in method_protos(broken) if each.name == "ListTasks")
        method.ClearField("options")
        with pytest.raises(ValueError, match=r"ListTasks: no .* option says who may call it"):
            contract(broken).services()

    def test_what_may_be_repeated_follows_from_the_contract(self):
        assert methods.GET_TASK.repeatable
        assert methods.CANCEL_TASK.repeatable
        assert methods.SUBMIT_TASK.repeatable
        assert not methods.LOGIN.repeatable
        assert not methods.REFRESH_TOKEN.repeatable

    def test_a_stream_has_no_deadline_and_a_call_has_one(self):
        assert methods.WATCH_TASK.timeout is None
        assert methods.GET_TASK.timeout == 10

    def test_what_the_contract_refuses_to_be_empty_has_no_default(self):
        parameters = inspect.signature(Client().collections.create_collection).parameters
        required = {name for name, each in parameters.items() if each.default is inspect.Parameter.empty}
        assert required == {"name", "connection_id", "mode"}

    def test_what_the_server_fills_in_is_no_argument(self):
        parameters = inspect.signature(Client().collections.create_connection).parameters
        assert not {"id", "revision", "secret_names", "create_time"} & set(parameters)


class TestToBlocking:
    @pytest.mark.parametrize(
        "source,expected",
        [
            ("async def f() -> None: ...\n", "def f() -> None: ...\n"),
            ("x = (await f()).y\n", "x = (f()).y\n"),
            ("async with a as b, c:\n    pass\n", "with a as b, c:\n    pass\n"),
            ("[x async for x in y]\n", "[x for x in y]\n"),
            ("class AsyncTasks(_AsyncBase): ...\n", "class Tasks(_Base): ...\n"),
            ("from weir.aio import io\n", "from weir.blocking import io\n"),
            ('x: "AsyncTasks"\n', 'x: "Tasks"\n'),
            ("# await is a word here\n", "# is a word here\n"),
            ("raise StopAsyncIteration\n", "raise StopIteration\n"),
            ("asynchronous = 1\n", "asynchronous = 1\n"),
        ],
    )
    def test_takes_the_waiting_out(self, source: str, expected: str):
        assert to_blocking(source) == expected

    def test_a_text_over_several_lines_is_taken_too(self):
        source = '"""One.\n\nAn `AsyncClient` of the asynchronous kind.\n"""\n'
        assert to_blocking(source) == '"""One.\n\nAn `Client` of the blocking kind.\n"""\n'


class TestClientSide:
    def test_a_bad_argument_names_its_place(self):
        with pytest.raises(InvalidValue, match=r"settings\.pages\[0\]"):
            Client().collections.create_connection(
                name="x", connector="http", settings={"pages": [float("nan")]}
            )
