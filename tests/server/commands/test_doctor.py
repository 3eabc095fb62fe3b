"""`weir doctor`: each thing that it looks at, there and missing."""

import asyncio
import json
import socket
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.cli import Ran, Weir
from tests.fixtures.server import ServerUnderTest
from tests.fixtures.stores import SECRET, Bucket
from tests.tools.processes import MARK


def findings(ran: Ran) -> dict[str, dict[str, Any]]:
    """By what was looked at, without the variable that marks what tests start."""
    return {each["what"]: each for each in ran.lines if MARK not in each["found"]}


@pytest.fixture
def docker(tmp_path: Path) -> Generator[str]:
    """An engine's socket that answers as Docker does."""
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(path))
        engine.listen()

        def answer() -> None:
            caller, _ = engine.accept()
            with caller:
                caller.recv(4096)
                body = json.dumps({"Version": "27.1.1"})
                caller.sendall(f"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{body}".encode())

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"unix://{path}"
        thread.join()


async def test_finds_all_of_a_running_installation(
    weir_program: Weir, server: ServerUnderTest, database_url: str, redis_url: str, docker: str
):
    ran = await run(
        weir_program,
        "doctor",
        "--json",
        WEIR_DATABASE_URL=database_url,
        WEIR_REDIS_URL=redis_url,
        WEIR_ENDPOINT=server.address,
        DOCKER_HOST=docker,
    )
    found = findings(ran)
    assert [each for each in found.values() if not each["ok"]] == []
    assert ran.status == 0
    assert "its tables are up to date" in found["database"]["found"]
    assert ("SQLite" in found["database"]["found"]) == database_url.startswith("sqlite")
    assert found["redis"]["found"].split()[0] in {"Redis", "Valkey"}
    assert found["server"]["found"] == f"SERVING at {server.address}"
    assert found["docker"]["found"].startswith("Docker 27.1.1 at ")
    assert "weir-server" in found["packages"]["found"]


def test_says_of_an_empty_machine_what_there_is_and_what_to_do(weir_program: Weir):
    ran = weir_program("doctor", "--address", "127.0.0.1:1", DOCKER_HOST="unix:///nowhere.sock")
    assert ran.status == 0
    lines = ran.out.splitlines()
    assert "`weir up` makes a SQLite file of its own" in next(each for each in lines if "database" in each)
    assert "Valkey" in next(each for each in lines if "redis" in each)
    at = next(number for number, each in enumerate(lines) if each.startswith("-        server"))
    assert lines[at : at + 2] == [
        "-        server     none answers at 127.0.0.1:1",
        "           start one: weir up",
    ]
    assert any(each.startswith("-        docker     none at /nowhere.sock") for each in lines)


def test_names_what_is_missing_and_the_command_that_helps(weir_program: Weir):
    ran = weir_program(
        "doctor",
        "--json",
        WEIR_DATABASE_URL="mysql+asyncmy://weir:s3cret@127.0.0.1:1/weir",
        WEIR_REDIS_URL="redis://:s3cret@127.0.0.1:1/0",
    )
    found = findings(ran)
    assert ran.status == 1
    assert found["database"]["advice"].endswith("then: weir db upgrade")
    assert "WEIR_REDIS_URL" in found["redis"]["advice"]
    assert (found["database"]["ok"], found["redis"]["ok"]) == (False, False)
    assert "s3cret" not in ran.out + ran.err


async def test_tries_the_bucket(weir_program: Weir, bucket: Bucket):
    given = {f"WEIR_{name.upper()}": value for name, value in bucket.settings.items()}
    found = findings(await run(weir_program, "doctor", "--json", **given))["store"]
    assert (found["ok"], bucket.keys()) == (True, set())
    ran = await run(weir_program, "doctor", "--json", **given | {"WEIR_STORE": "s3://nothing-here"})
    found = findings(ran)["store"]
    assert found["found"] == "the store s3://nothing-here refuses: NoSuchBucket; there is no such bucket"
    assert (found["ok"], ran.status, SECRET in ran.out + ran.err) == (False, 1, False)


async def test_tells_tables_that_are_not_the_newest(weir_program: Weir, tmp_path: Path):
    url = f"sqlite+aiosqlite:///{tmp_path / 'weir.db'}"
    ran = weir_program("doctor", "--json", WEIR_DATABASE_URL=url)
    found = findings(ran)["database"]
    assert (ran.status, found["ok"], found["advice"]) == (1, False, "weir db upgrade")


def test_names_settings_that_can_not_be_and_those_that_nothing_reads(weir_program: Weir):
    ran = weir_program("doctor", WEIR_LEASE="soon", WEIR_SLOT="8", WEIR_XYZZY="1")
    assert ran.status == 1
    assert "MISSING  settings   WEIR_LEASE: must be a length of time" in ran.out
    assert "WEIR_SLOT is not known\n           did you mean WEIR_SLOTS?" in ran.out
    assert "WEIR_XYZZY is not known\n           nothing reads it; unset it" in ran.out


async def run(program: Weir, *arguments: str, **variables: str) -> Ran:
    """Beside the server, which lives in this process."""
    return await asyncio.to_thread(program, *arguments, **variables)
