"""`weir server`, `weir worker` and `weir scheduler`: what they say before they start, and how they end."""

import signal
import socket
from pathlib import Path

import pytest

from tests.fixtures.cli import Weir
from tests.fixtures.database import SQLite
from tests.fixtures.server import MASTER_KEY
from tests.fixtures.up import within


@pytest.fixture
async def variables(sqlite: SQLite, tmp_path: Path) -> dict[str, str]:
    """What a process needs; the Redis is not there, which must stop none."""
    return {
        "WEIR_DATABASE_URL": await sqlite.fresh(tmp_path),
        "WEIR_REDIS_URL": f"unix://{tmp_path / 'redis.sock'}",
        "WEIR_MASTER_KEY": MASTER_KEY,
        "WEIR_DATA_DIR": str(tmp_path / "data"),
    }


@pytest.mark.parametrize("command", ["server", "worker", "scheduler"])
def test_names_every_setting_that_is_missing(weir_program: Weir, command: str):
    ran = weir_program(command)
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("not set: WEIR_DATABASE_URL, WEIR_REDIS_URL, WEIR_MASTER_KEY (")


class TestServer:
    def test_refuses_plain_text_to_other_machines(self, weir_program: Weir, variables: dict[str, str]):
        ran = weir_program("server", "--listen", "0.0.0.0:0", **variables)
        assert ran.status == 1
        assert "WEIR_LISTEN '0.0.0.0:0' is not a loopback address" in ran.err
        assert "set WEIR_INSECURE=true" in ran.err

    def test_says_that_its_port_is_taken(self, weir_program: Weir, variables: dict[str, str]):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            ran = weir_program("server", "--listen", address, **variables)
        assert ran.status == 1
        assert ran.err.splitlines()[-1] == f"can't listen on '{address}'; is the port taken?"

    def test_refuses_a_key_that_is_none(self, weir_program: Weir, variables: dict[str, str]):
        ran = weir_program("server", **variables | {"WEIR_MASTER_KEY": "c2hvcnQ="})
        assert (ran.status, "WEIR_MASTER_KEY must be 32 bytes in base64" in ran.err) == (1, True)

    def test_runs_without_redis_and_ends_by_sigterm(self, variables: dict[str, str], tmp_path: Path):
        path = tmp_path / "grpc.sock"
        running = Weir(variables | {"WEIR_LISTEN": f"unix:{path}"}).start("server")
        within(path.exists)
        running.send_signal(signal.SIGTERM)
        _, said = running.communicate(timeout=60)
        assert running.returncode == 0
        assert b"draining" in said


def test_a_schedulers_and_a_workers_end_by_sigterm_is_a_good_one(variables: dict[str, str]):
    for words in (("scheduler",), ("worker", "--packs", "tests.packs.probes")):
        running = Weir(variables | {"WEIR_LOG_LEVEL": "DEBUG", "WEIR_DRAIN_GRACE": "1s"}).start(*words)
        assert running.stderr
        while b"scheduler" not in (line := running.stderr.readline()) and b"worker" not in line:
            assert line, words
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=60)
        assert running.returncode == 0, words
