"""The blocking client is made from the other one; here is what its own `io` does, and each way once."""

import gc
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.sdk.fake import Fail, FakeServer, Silence
from tests.sdk.test_lists import page
from tests.sdk.test_records import arrow_messages, rows
from tests.sdk.test_sessions import EXPIRED, TASK, tokens
from tests.sdk.test_watch import LOST, item, last
from tests.sdk.test_watch_tasks import event, events
from weir import Client, errors, methods
from weir.v1.task_pb2 import Task
from weir.v1.task_service_pb2 import SubmitTaskResponse
from weir.v1.user_service_pb2 import LoginResponse, RefreshTokenResponse


class TestCalls:
    def test_are_repeated(self, server: FakeServer, blocking: Client):
        server.script(methods.SUBMIT_TASK, LOST, SubmitTaskResponse(task=Task(id="t1")))
        assert blocking.tasks.submit("demo.add").id == "t1"

    def test_end_at_the_deadline(self):
        with (
            socket.create_server(("127.0.0.1", 0)) as deaf,
            Client(f"127.0.0.1:{deaf.getsockname()[1]}") as client,
            pytest.raises(errors.DeadlineExceeded),
        ):
            client.tasks.get_task("t1", timeout=0.3)

    def test_raise_typed_errors(self, server: FakeServer, blocking: Client):
        server.script(methods.GET_TASK, Fail("NOT_FOUND", "NOT_FOUND"))
        with pytest.raises(errors.NotFound) as caught:
            blocking.tasks.get_task("t1")
        assert caught.value.request_id == "req-1"

    def test_page_by_themselves(self, server: FakeServer, blocking: Client):
        server.script(methods.LIST_TASKS, page("a", following="p2"), page("b"))
        assert [task.id for task in blocking.tasks.list_tasks()] == ["a", "b"]

    def test_a_closed_client_says_so(self, server: FakeServer):
        client = Client(server.address)
        client.close()
        with pytest.raises(errors.ClientError, match="closed"):
            client.tasks.get_task("t1")

    def test_a_fork_is_an_error_and_no_hang(
        self, server: FakeServer, blocking: Client, monkeypatch: pytest.MonkeyPatch
    ):
        server.script(methods.GET_TASK, TASK)
        blocking.tasks.get_task("t1")
        monkeypatch.setattr(os, "getpid", lambda: -1)
        with pytest.raises(errors.ClientError, match="fork"):
            blocking.tasks.get_task("t1")


class TestSession:
    def test_many_threads_sign_in_once_and_renew_once(self, server: FakeServer):
        server.script(methods.LOGIN, LoginResponse(tokens=tokens("one")))
        server.script(methods.REFRESH_TOKEN, RefreshTokenResponse(tokens=tokens("two")))
        server.script(methods.GET_TASK, lambda _: TASK if server.calls[-1].token == "two" else EXPIRED)
        with (
            Client(server.address, user="ana", password="secret") as client,
            ThreadPoolExecutor(8) as pool,
        ):
            client.tasks.get_task("t1")
            list(pool.map(client.tasks.get_task, ["t1"] * 16))
        assert len(server.requests(methods.LOGIN)) == 1
        assert len(server.requests(methods.REFRESH_TOKEN)) == 1

    def test_signing_in_counts_towards_the_deadline(self, server: FakeServer):
        server.script(methods.LOGIN, lambda _: server.silent.wait(5) and LoginResponse())
        with Client(server.address, user="ana", password="secret") as client:
            with pytest.raises(errors.DeadlineExceeded):
                client.tasks.get_task("t1", timeout=0.3)
            assert not server.silent.is_set()
            server.silent.set()


class TestStreams:
    def test_a_watch_goes_on_where_the_connection_broke(self, server: FakeServer, blocking: Client):
        server.script(methods.WATCH_TASK, [item(1), item(2), LOST], [item(3), last(4)])
        assert [event.seq for event in blocking.tasks.watch("t1")] == [1, 2, 3, 4]

    def test_so_does_one_of_many_tasks(self, server: FakeServer, blocking: Client):
        server.script(methods.WATCH_TASKS, [events("t1", 1, token="a"), LOST], [events("t2", 5), Silence()])
        with blocking.tasks.watch_tasks("project = lab") as watch:
            assert [(next(watch), next(watch))] == [(event("t1", 1), event("t2", 5))]
        assert [request.resume_token for request in server.requests(methods.WATCH_TASKS)] == ["", "a"]

    def test_silence_is_a_broken_connection(
        self, server: FakeServer, blocking: Client, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr("weir.blocking.watch.SILENCE", 0.2)
        server.script(methods.WATCH_TASK, [item(1), Silence()], [last(2)])
        assert [event.seq for event in blocking.tasks.watch("t1")] == [1, 2]

    def test_leaving_early_ends_the_call(self, server: FakeServer, blocking: Client):
        server.script(methods.WATCH_TASK, [item(1), Silence()])
        with blocking.tasks.watch("t1") as watch:
            next(watch)
        assert server.ended.wait(5)

    def test_a_forgotten_watch_leaves_no_call_and_no_thread(self, server: FakeServer, blocking: Client):
        server.script(methods.WATCH_TASK, [item(1), Silence()])
        watch = blocking.tasks.watch("t1")
        next(watch)
        del watch
        gc.collect()
        assert server.ended.wait(5)
        for thread in threading.enumerate():
            if thread.name == "weir-silence":
                thread.join(5)
        assert "weir-silence" not in {thread.name for thread in threading.enumerate()}

    def test_records_come_as_rows_and_as_arrow(self, server: FakeServer, blocking: Client):
        server.script(methods.READ_RECORDS, [rows(1), LOST], [rows(2)])
        server.script(methods.READ_ARROW, arrow_messages([1], [2]))
        assert [row["id"] for row in blocking.collections.read_records("d1")] == [1, 2]
        assert blocking.collections.read_arrow("d1").column("id").to_pylist() == [1, 2]
        assert [batch.num_rows for batch in blocking.collections.read_batches("d1")] == [1, 1]
