"""`weir up` from outside: one command, its folder, its processes, its end."""

import os
import signal
import socket
import stat
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

import weir
from tests.fixtures.up import Starter, WeirUp, cpu_seconds, runs, within
from weir.types import TaskState
from weir_server.embedded.failures import UpFailed
from weir_server.embedded.up import free_port

PASSWORD = "correct horse battery"
SERVING = health_pb2.HealthCheckResponse.SERVING
PROBES = {"WEIR_PACKS": "builtin,tests.packs.probes", "WEIR_LEASE": "4s", "WEIR_HEARTBEAT": "1s"}


def serving(address: str) -> bool:
    with grpc.insecure_channel(address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        try:
            return stub.Check(health_pb2.HealthCheckRequest(), timeout=5).status == SERVING
        except grpc.RpcError:
            return False


def admin(address: str, password: str = PASSWORD) -> weir.Client:
    return weir.Client(address, user="admin", password=password, timeout=30)


def seen_by_others(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.lstat().st_mode & 0o077 and not path.is_socket()]


def assert_starts_within_three_seconds_of_two_cores(weir_up: Starter) -> None:
    """By the processors' time, and of several starts the best: a clock tells of other work as well."""
    spent: list[float] = []
    while len(spent) < 5 and (not spent or min(spent) >= 3):
        up = weir_up.started[-1] if not spent else weir_up()
        up.ready()
        each = [cpu_seconds(pid) for pid in up.family() - {up.process.pid}]
        spent.append(cpu_seconds(up.process.pid) + max(*each, sum(each) / 2))
        weir_up.stop()
    assert min(spent) < 3


def test_from_the_first_start_to_the_second(weir_up: Starter):
    first = weir_up()
    address = first.ready()
    assert serving(address)
    password_file = first.data / "admin-password"
    assert f"the password is in {password_file}" in first.said()
    assert stat.S_IMODE(first.data.stat().st_mode) == 0o700
    assert seen_by_others(first.data) == []
    with admin(address, password_file.read_text().strip()) as client:
        task = client.tasks.submit("monitor.source", {"url": "http://127.0.0.1:1/"})
        client.users.create_user("ben", password=PASSWORD)

    rival = weir_up()
    assert rival.ends() == 1
    assert f"{first.data} is in use by another `weir up` (process {first.process.pid})" in rival.said()
    late = weir_up("--listen", address, data="other")
    assert late.ends() == 1
    assert f"--listen {address}: Address already in use; choose another" in late.said()

    family = first.family()
    assert len(family) > 4
    assert first.ends(signal.SIGTERM) == 0
    assert not any(map(runs, family))
    assert not (first.data / "run").exists()
    assert not (first.data / "processes.json").exists()

    second = weir_up()
    with admin(second.ready(), password_file.read_text().strip()) as client:
        assert client.tasks.get_task(task.id).task.spec.type == "monitor.source"
        assert [each.name for each in client.users.list_users()] == ["admin", "ben"]
    assert "password" not in second.said()
    assert_starts_within_three_seconds_of_two_cores(weir_up)


def test_what_is_killed_is_started_again_and_goes_on(weir_up: Starter):
    up = weir_up(WEIR_ADMIN_PASSWORD=PASSWORD, **PROBES)
    address = up.ready()
    assert not (up.data / "admin-password").exists()
    with admin(address) as client:
        within(lambda: len(up.pids()) == 5)
        before = up.pids()
        for name in ("redis", "worker", "scheduler", "server"):
            os.kill(before[name], signal.SIGKILL)
        within(lambda: len(up.pids()) == 5 and len(set(up.pids().values()) & set(before.values())) == 1)
        for name in ("redis", "worker", "scheduler", "server"):
            assert f"{name} was killed by signal 9; it starts again in 0.2 s" in up.said()
        within(partial(serving, address))
        task = client.tasks.submit("probe.echo", {"text": "still here"})
        assert task.result(60) == {"text": "still here"}
    assert up.ends(signal.SIGINT) == 0


def test_p10_kill_9_of_weir_up_leaves_nothing_and_the_next_start_works(weir_up: Starter, tmp_path: Path):
    # A folder that others may look into: what is in it is private all the same.
    (tmp_path / "data").mkdir(mode=0o755)
    up = weir_up(WEIR_ADMIN_PASSWORD=PASSWORD, **PROBES)
    with admin(up.ready()) as client:
        assert seen_by_others(up.data) == []
        task = client.tasks.submit("probe.until", {"path": str(tmp_path / "go")})
        within(lambda: client.tasks.get_task(task.id).task.state == TaskState.TASK_STATE_RUNNING)
    family = up.family()
    up.process.kill()
    assert up.process.wait() == -signal.SIGKILL
    within(lambda: not any(map(runs, family)))
    within(lambda: not (up.data / "run").exists())

    (tmp_path / "go").touch()
    again = weir_up(**PROBES)
    with admin(again.ready()) as client:
        assert client.tasks.result(task.id, 60)["attempt"] == 2


def test_a_signal_while_it_starts_ends_all(weir_up: Starter):
    up = weir_up()
    within((up.data / "processes.json").exists)
    assert up.ends(signal.SIGTERM) == 0
    assert "ready" not in up.out.read_text()
    assert not (up.data / "run").exists()


class TestRefusal:
    """One sentence that names what is wrong and what would be right; nothing is left running."""

    def refused(self, up: WeirUp, *texts: str) -> None:
        assert up.ends() != 0
        said = up.said()
        assert "Traceback" not in said
        for text in texts:
            assert text in said
        assert up.out.read_text() == ""
        assert not (up.data / "run").exists()

    def test_of_an_address(self, weir_up: Starter):
        up = weir_up("--listen", "localhost:http")
        self.refused(up, "--listen 'localhost:http' is no HOST:PORT, such as 127.0.0.1:7443")

    def test_of_a_folder_that_is_a_file(self, weir_up: Starter, tmp_path: Path):
        (tmp_path / "data").touch()
        self.refused(weir_up(), f"--data-dir {tmp_path / 'data'}", "choose a folder that you may write to")

    def test_of_a_database_of_ones_own(self, weir_up: Starter):
        up = weir_up(WEIR_DATABASE_URL="sqlite+aiosqlite:///x.db")
        self.refused(up, "WEIR_DATABASE_URL is set", "unset it, or start server, worker and scheduler")

    def test_of_a_setting(self, weir_up: Starter):
        up = weir_up(WEIR_SLOTS="many")
        self.refused(up, "WEIR_SLOTS", "valid integer", "not 'many'")

    def test_of_a_password(self, weir_up: Starter):
        up = weir_up(WEIR_ADMIN_PASSWORD="short")
        self.refused(up, "WEIR_ADMIN_PASSWORD has 5 characters; a password has 12 to 256")
        assert not (up.data / "admin-password").exists()

    def test_of_a_damaged_database(self, weir_up: Starter, tmp_path: Path):
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "weir.db").write_bytes(b"no database at all, but long enough" * 99)
        (tmp_path / "data" / "master.key").write_text("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
        self.refused(weir_up(), "weir.db: file is not a database", "put a copy of it back")

    def test_says_the_last_words_of_a_child_that_cannot_start(self, weir_up: Starter):
        up = weir_up(WEIR_PACKS="no.such.pack", WEIR_ADMIN_PASSWORD=PASSWORD)
        assert up.ends() == 1
        assert (
            f"worker ended with status 1; its last words, from {up.data / 'log' / 'worker.log'}" in up.said()
        )
        assert "weir worker: pack 'no.such.pack' did not start" in up.said()
        assert not (up.data / "run").exists()


class TestFreePort:
    @pytest.mark.parametrize("listen", ["7443", ":7443", "localhost:", "localhost:-1", "127.0.0.1:70000"])
    def test_wants_host_and_port(self, listen: str):
        with pytest.raises(UpFailed, match=f"--listen '{listen}' is no HOST:PORT, such as 127.0.0.1:7443"):
            free_port(listen)

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    def test_takes_a_free_one_for_0_and_tells_one_that_is_taken(self, host: str):
        address = free_port(f"{host}:0")
        name, _, port = address.rpartition(":")
        assert (name, free_port(address)) == (host, address)
        taken = f"--listen {address}: Address already in use; choose another"
        with socket.create_server((host, int(port))), pytest.raises(UpFailed, match=taken):
            free_port(address)
