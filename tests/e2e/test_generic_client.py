"""Without the SDK: `buf curl` finds and calls everything by reflection, as grpcurl does.

That random bytes get INVALID_ARGUMENT from every method stands in tests/security/test_every_method.py.
"""

import asyncio
import base64
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2

from tests.fixtures.contract import methods
from tests.fixtures.server import PASSWORD, ServerUnderTest

BUF = Path(sys.executable).with_name("buf")
SECONDS = 60
# buf ends with the status code times eight.
INVALID_ARGUMENT, PERMISSION_DENIED, UNAUTHENTICATED = 3 * 8, 7 * 8, 16 * 8

# None of this is about the database.
pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


@dataclass
class Told:
    """How a call by buf ended."""

    status: int
    said: str
    complaint: str

    @property
    def answer(self) -> dict[str, Any]:
        """The answer of a call that went well."""
        assert self.status == 0, self.complaint
        return json.loads(self.said)

    @property
    def error(self) -> dict[str, Any]:
        """The error of one that did not."""
        return json.loads(self.complaint)

    def detail(self, kind: type[Any]) -> Any:
        """The error's detail of that type."""
        wanted = kind.DESCRIPTOR.full_name
        value = next(each["value"] for each in self.error["details"] if each["type"] == wanted)
        found: Message = kind()
        found.ParseFromString(base64.b64decode(value + "=" * (-len(value) % 4)))
        return found

    @property
    def reason(self) -> str:
        """The error's reason."""
        return self.detail(error_details_pb2.ErrorInfo).reason.removeprefix("ERROR_REASON_")


@dataclass
class Buf:
    """The client: it knows an address, and of the contract nothing."""

    url: str
    home: Path

    async def run(self, *arguments: str) -> Told:
        """Run `buf curl`."""
        process = await asyncio.create_subprocess_exec(
            *(BUF, "curl", "--protocol", "grpc", "--http2-prior-knowledge", *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=os.environ | {"HOME": str(self.home), "BUF_CACHE_DIR": str(self.home)},
        )
        async with asyncio.timeout(SECONDS):
            said, complaint = await process.communicate()
        return Told(process.returncode or 0, said.decode(), complaint.decode())

    async def call(self, method: str, request: dict[str, Any] | None = None, token: str = "") -> Told:
        """Call a method with a request in JSON."""
        head = ("-H", f"authorization: Bearer {token}") if token else ()
        return await self.run(*head, "-d", json.dumps(request or {}), f"{self.url}/weir.v1.{method}")

    async def sign_in(self, name: str) -> str:
        """The access token of a user."""
        given = {"password": {"user_name": name, "password": PASSWORD}}
        return (await self.call("UserService/Login", given)).answer["tokens"]["accessToken"]


@pytest.fixture
def buf(server: ServerUnderTest, tmp_path: Path) -> Buf:
    return Buf(f"http://{server.address}", tmp_path)


async def test_reflection_lists_all_that_is_served_and_nothing_else(buf: Buf):
    services = (await buf.run("--list-services", buf.url)).said.split()
    assert {name for name in services if name.startswith("weir.")} == {
        "weir.v1.CollectionService",
        "weir.v1.SystemService",
        "weir.v1.TaskService",
        "weir.v1.UserService",
    }
    listed = (await buf.run("--list-methods", buf.url)).said.split()
    assert {name for name in listed if name.startswith("weir.")} == {
        method.path.removeprefix("/") for method in methods()
    }


async def test_login_then_a_list_with_the_token(buf: Buf):
    token = await buf.sign_in("admin")
    assert (await buf.call("TaskService/ListTasks", token=token)).answer == {}
    users = (await buf.call("UserService/ListUsers", {"page_size": 1}, token)).answer["users"]
    assert [user["name"] for user in users] == ["admin"]


async def test_without_a_token_it_is_unauthenticated(buf: Buf):
    told = await buf.call("TaskService/ListTasks")
    assert (told.status, told.error["code"]) == (UNAUTHENTICATED, "unauthenticated")
    assert told.reason == "CREDENTIALS_MISSING"


async def test_a_viewer_may_not_create_a_user(buf: Buf, server: ServerUnderTest):
    await server.user("vera", "viewer")
    told = await buf.call("UserService/CreateUser", {"user": {"name": "mallory"}}, await buf.sign_in("vera"))
    assert (told.status, told.reason) == (PERMISSION_DENIED, "PERMISSION_MISSING")
    assert told.detail(error_details_pb2.ErrorInfo).metadata["permission"] == "users.write"


async def test_a_negative_page_size_is_refused_by_its_name(buf: Buf):
    told = await buf.call("TaskService/ListTasks", {"page_size": -1}, await buf.sign_in("admin"))
    assert (told.status, told.reason) == (INVALID_ARGUMENT, "FIELD_INVALID")
    violations = told.detail(error_details_pb2.BadRequest).field_violations
    assert [(each.field, "not -1" in each.description) for each in violations] == [("page_size", True)]
    assert "page_size" in told.error["message"]
