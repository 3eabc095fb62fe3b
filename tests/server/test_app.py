"""The server as a whole: where it listens, what it shows, how it stops."""

import asyncio
import json
import os
import signal
import socket
import sys
import urllib.error
import urllib.request
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from sqlalchemy import delete

from tests.fixtures.engine import ECHO
from tests.fixtures.server import MASTER_KEY, PASSWORD, ServerUnderTest, refused, running, sign_in
from weir.v1 import task_pb2
from weir.v1 import task_service_pb2 as tasks_pb
from weir.v1 import user_service_pb2 as pb
from weir_core.config import Settings
from weir_core.ids import new_id
from weir_core.runtime import Runtime
from weir_core.users.models import role_binding
from weir_server.app import build_server, is_loopback
from weir_server.interceptors import deadline

CODE = grpc.StatusCode
WEIR = Path(sys.executable).parent / "weir"


async def submitted(server: ServerUnderTest) -> str:
    """A task that waits for a worker for ever."""
    values = {"host": "here", "version": "1", "slots": 1, "queues": ["default"]}
    await server.runtime.fleet.register(new_id(), values, [ECHO])
    spec = task_pb2.TaskSpec(type="probe.echo")
    spec.input.update({"text": "hi"})
    return (await server.admin.tasks.SubmitTask(tasks_pb.SubmitTaskRequest(spec=spec))).task.id


def watch(client: Any, task_id: str) -> Any:
    return aiter(client.tasks.WatchTask(tasks_pb.WatchTaskRequest(task_id=task_id), timeout=30))


class TestOpenStreams:
    """What an open stream may give is looked at again: it ends within 2 s."""

    async def test_a_session_that_ends_takes_its_streams_along(self, server: ServerUnderTest):
        ann = await server.user("ann", "viewer")
        stream = watch(ann, await submitted(server))
        await anext(stream)
        await ann.users.Logout(pb.LogoutRequest())
        async with asyncio.timeout(2):
            error = await refused(stream)
        assert (error.code, error.reason) == (CODE.UNAUTHENTICATED, "TOKEN_REVOKED")

    async def test_so_does_a_right_that_is_taken(self, server: ServerUnderTest):
        ann = await server.user("ann", "viewer", "default")
        stream = watch(ann, await submitted(server))
        await anext(stream)
        # Elsewhere the right is still held, but the task is of this project.
        taken = delete(role_binding).where(role_binding.c.project == "default")
        await server.runtime.db.write(lambda tx: tx.execute(taken))
        async with asyncio.timeout(2):
            error = await refused(stream)
        assert (error.code, error.reason) == (CODE.PERMISSION_DENIED, "PERMISSION_MISSING")
        assert error.metadata["project"] == "default"

    async def test_an_access_token_that_runs_out_ends_none(self, settings: Settings):
        short = settings.model_copy(update={"access_token_life": timedelta(seconds=2)})
        async with Runtime.open(short) as parts, running(parts) as (server, channel):
            await parts.people.users.bootstrap(PASSWORD)
            admin = await sign_in(channel, "admin", PASSWORD)
            whole = ServerUnderTest(server, parts, channel, admin, admin)
            task_id = await submitted(whole)
            stream = watch(admin, task_id)
            await anext(stream)
            async with asyncio.timeout(10):
                while True:
                    error = await _error(admin.users.GetUser(pb.GetUserRequest(user_id="self")))
                    if error is not None:
                        break
                    await asyncio.sleep(0.05)
            assert error.code() == CODE.UNAUTHENTICATED
            # The stream lives on, and tells of what happens now.
            again = await sign_in(channel, "admin", PASSWORD)
            await again.tasks.CancelTask(tasks_pb.CancelTaskRequest(task_id=task_id))
            async with asyncio.timeout(10):
                last = [each async for each in stream][-1]
            assert last.event.state.to_state == task_pb2.TASK_STATE_CANCELLED

    async def test_one_whose_caller_goes_away_is_no_fault_of_the_servers(self, server: ServerUnderTest):
        task_id = await submitted(server)
        for step in range(60):
            call = server.admin.tasks.WatchTask(tasks_pb.WatchTaskRequest(task_id=task_id), timeout=30)
            reading = asyncio.create_task(_error(call.read()))
            await asyncio.sleep(step / 4000)
            call.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        method = "/weir.v1.TaskService/WatchTask"
        async with asyncio.timeout(30):
            while server.metric("weir_open_calls", kind="stream"):
                await asyncio.sleep(0.01)
        assert server.metric("weir_calls_total", method=method, code="CANCELLED") > 0
        assert server.metric("weir_calls_total", method=method, code="INTERNAL") == 0


class TestWait:
    async def test_it_adds_to_the_servers_own_limit(
        self, server: ServerUnderTest, monkeypatch: pytest.MonkeyPatch
    ):
        task_id = await submitted(server)
        monkeypatch.setattr(deadline, "SECONDS", 0.5)
        request = tasks_pb.GetTaskRequest(task_id=task_id)
        request.wait.FromSeconds(1)
        assert (await server.admin.tasks.GetTask(request)).task.id == task_id


class TestDrain:
    async def test_streams_are_told_to_resume_elsewhere(self, server: ServerUnderTest):
        stream = watch(server.admin, await submitted(server))
        await anext(stream)
        await server.server.drain(5)
        error = await refused(stream)
        assert (error.code, error.reason) == (CODE.UNAVAILABLE, "DRAINING")

    async def test_an_accepted_call_ends_in_its_time(self, server: ServerUnderTest):
        task_id = await submitted(server)
        request = tasks_pb.GetTaskRequest(task_id=task_id)
        request.wait.FromSeconds(1)
        call = asyncio.create_task(_answer(server.admin.tasks.GetTask(request)))
        async with asyncio.timeout(5):
            while server.metric("weir_open_calls", kind="unary") < 1:
                await asyncio.sleep(0.01)
        await server.server.drain(10)
        assert (await call).task.id == task_id

    async def test_no_call_is_taken_after(self, server: ServerUnderTest):
        await server.server.drain(0)
        error = await refused(server.admin.users.GetUser(pb.GetUserRequest(user_id="self"), timeout=3))
        assert error.code == CODE.UNAVAILABLE


class TestStart:
    @pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0", "example.org:0", "192.0.2.1:0"])
    async def test_plain_text_for_others_needs_a_word(self, settings: Settings, listen: str):
        async with Runtime.open(settings.model_copy(update={"listen": listen})) as parts:
            with pytest.raises(SystemExit, match="WEIR_INSECURE"):
                await build_server(parts).start()

    async def test_metrics_in_plain_text_need_it_too(self, settings: Settings):
        async with Runtime.open(settings.model_copy(update={"http_listen": "0.0.0.0:0"})) as parts:
            with pytest.raises(SystemExit, match="WEIR_HTTP_LISTEN"):
                await build_server(parts).start()

    async def test_with_that_word_it_starts(self, settings: Settings):
        wide = settings.model_copy(update={"listen": "0.0.0.0:0", "insecure": True})
        async with Runtime.open(wide) as parts, running(parts) as (server, _):
            assert server.port

    async def test_a_taken_port_is_said(self, settings: Settings, server: ServerUnderTest):
        taken = settings.model_copy(update={"listen": server.address})
        async with Runtime.open(taken) as parts:
            with pytest.raises(SystemExit, match="is the port taken"):
                await build_server(parts).start()

    @pytest.mark.parametrize(
        "listen, expected",
        [
            ("127.0.0.1:1", True),
            ("127.9.9.9:1", True),
            ("[::1]:1", True),
            ("localhost:1", True),
            ("unix:/tmp/x", True),
            ("0.0.0.0:1", False),
            ("10.0.0.1:1", False),
            ("localhost.example.org:1", False),
        ],
    )
    def test_what_only_this_machine_can_reach(self, listen: str, *, expected: bool):
        assert is_loopback(listen) is expected


class TestHttp:
    async def test_liveness_and_metrics(self, settings: Settings):
        with_http = settings.model_copy(update={"http_listen": "127.0.0.1:0"})
        async with Runtime.open(with_http) as parts, running(parts) as (server, channel):
            await parts.people.users.bootstrap(PASSWORD)
            await sign_in(channel, "admin", PASSWORD)
            base = f"http://127.0.0.1:{server.http_port}"
            assert await asyncio.to_thread(_get, f"{base}/healthz") == (200, "ok\n")
            status, text = await asyncio.to_thread(_get, f"{base}/metrics")
            assert status == 200
            assert 'weir_calls_total{code="OK",method="/weir.v1.UserService/Login"} 1.0' in text
            assert (await asyncio.to_thread(_get, f"{base}/etc/passwd"))[0] == 404

    async def test_a_head_without_an_end_is_cut_off(self, settings: Settings):
        with_http = settings.model_copy(update={"http_listen": "127.0.0.1:0"})
        async with Runtime.open(with_http) as parts, running(parts) as (server, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.http_port)
            writer.write(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 5000)
            async with asyncio.timeout(4):
                assert await reader.read() == b""
            writer.close()


class TestCommand:
    async def test_it_serves_until_sigterm(self, database_url: str, redis_url: str, tmp_path: Path):
        port = _free_port()
        given = {
            "WEIR_DATABASE_URL": database_url,
            "WEIR_REDIS_URL": redis_url,
            "WEIR_MASTER_KEY": MASTER_KEY,
            "WEIR_DATA_DIR": str(tmp_path),
            "WEIR_LISTEN": f"127.0.0.1:{port}",
            "WEIR_LOG_FORMAT": "json",
            "WEIR_ADMIN_PASSWORD": PASSWORD,
        }
        upgrade = await _weir("db", "upgrade", **given)
        assert upgrade == (0, "the database is at the newest revision; user 'admin' was made\n", "")
        process = await asyncio.create_subprocess_exec(
            WEIR, "server", env=os.environ | given, stderr=asyncio.subprocess.PIPE
        )
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel, asyncio.timeout(30):
            await channel.channel_ready()
            await sign_in(channel, "admin", PASSWORD)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(15):
            _, log = await process.communicate()
        assert process.returncode == 0, log.decode()
        lines = [json.loads(line) for line in log.splitlines()]
        assert {"weir.access", "weir_server.app"} <= {line["logger"] for line in lines}
        assert PASSWORD not in log.decode()

    async def test_what_is_not_set_is_named(self, tmp_path: Path):
        bare = {"WEIR_DATABASE_URL": "", "WEIR_REDIS_URL": "", "WEIR_MASTER_KEY": ""}
        status, _, told = await _weir("server", **bare)
        assert status == 1
        assert "WEIR_DATABASE_URL, WEIR_REDIS_URL, WEIR_MASTER_KEY" in told


async def _weir(*arguments: str, **environment: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        WEIR,
        *arguments,
        env=os.environ | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def _answer(call: Any) -> Any:
    return await call


async def _error(call: Any) -> grpc.aio.AioRpcError | None:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error
    return None


def _get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - the test's own server
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
