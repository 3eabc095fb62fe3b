"""Secrets that inputs refer to: they reach the handler, and nothing that is kept or shown."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import zstandard
from redis.asyncio import from_url
from sqlalchemy import select

from tests.fixtures.scheduling import administrator
from tests.fixtures.workers import Fleet
from tests.workers.looking import until
from weir_core.collections.models import Connection, ConnectionChange, NewConnection
from weir_core.columns import metadata
from weir_core.tasks.models import Failure
from weir_core.tasks.states import FailureKind, TaskState
from weir_core.tasks.submitting import NewTask

TELL = ("secretive.tell", "secretive.tell_blocking")
# How any of these begins is found wherever one is written, quoted, escaped or cut.
BEGINNING = "Zq9vK"
TOKEN = BEGINNING + "-wéll\"kept\\se'cret"
REFUSED = "refused-" + BEGINNING
# By then what is done after the submit is done.
SOON = timedelta(seconds=1.5)
PEM = f"-----BEGIN\n{BEGINNING}IIEvQIBADANBg\n{BEGINNING}kqhkiG9w0BAQEF\n-----END"


@pytest.fixture
async def acme(fleet: Fleet, tmp_path: Path) -> Connection:
    """A set of secrets, and a worker with the tasks that tell them."""
    fleet.printed = tmp_path / "printed"
    fleet.engine.caller = await administrator(fleet.engine.runtime)
    await fleet.worker("tests.packs.secretive")
    secrets = {"token": TOKEN, "bad": REFUSED, "pem": PEM, "pin": "123"}
    return await fleet.engine.runtime.collecting.connections.create_connection(
        fleet.engine.caller, NewConnection("", "acme", "", {}, secrets)
    )


def of(key: str) -> dict[str, str]:
    return {"$secret": f"acme/{key}"}


def digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


async def failure(fleet: Fleet, name: str, way: str, key: str = "token") -> Failure:
    ended = await fleet.run(name, {"token": of(key), "way": way})
    assert ended.state is TaskState.FAILED, way
    assert ended.failure is not None
    return ended.failure


@pytest.fixture
async def overheard(redis_url: str) -> AsyncGenerator[list[str]]:
    """Whatever is sent to Redis, though it stays there for a moment only."""
    heard: list[str] = []
    redis: Any = from_url(redis_url, protocol=2)

    async def listen(monitor: Any) -> None:
        async for sent in monitor.listen():
            heard.append(sent["command"])  # noqa: PERF401 - what was heard must be there at once

    async with redis.monitor() as monitor:
        listening = asyncio.create_task(listen(monitor))
        yield heard
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
    await redis.aclose()


async def kept(fleet: Fleet) -> AsyncGenerator[tuple[str, str]]:
    """All that the database and the store have: where, and what it is unpacked."""
    async with fleet.engine.runtime.db.read() as tx:
        for table in metadata.sorted_tables:
            for row in await tx.execute(select(table)):
                for value in row:
                    yield f"table {table.name}", unpacked(value)
    for path in fleet.engine.settings.data_dir.rglob("*"):
        if path.is_file():
            yield "file", unpacked(path.read_bytes())


def unpacked(value: Any) -> str:
    if not isinstance(value, bytes):
        return str(value)
    with contextlib.suppress(zstandard.ZstdError):
        value = zstandard.ZstdDecompressor().decompress(value)
    return value.decode(errors="replace")


@pytest.mark.usefixtures("acme")
async def test_p12_the_value_reaches_the_handler_and_nothing_else(
    fleet: Fleet, overheard: list[str], tmp_path: Path
):
    for name in TELL:
        ended = await fleet.run(name, {"token": of("token"), "pins": [of("pin"), of("token")]})
        assert ended.output == {
            "digest": digest(TOKEN),
            # Three letters stand in too many words to be taken out.
            "texts": {"[redacted]": ["as [redacted]"], "pins": ["123", "[redacted]"]},
        }, ended.failure
        assert ended.input == {"token": of("token"), "pins": [of("pin"), of("token")]}
        many = await fleet.run(name, {"token": of("pem")})
        assert many.output is not None
        assert many.output["digest"] == digest(PEM)
        large = await fleet.run(name, {"token": of("token"), "way": "large"})
        assert large.output_file_id is not None
        await fleet.run(name, {"token": of("token"), "way": "artifact"})

        raised = await failure(fleet, name, "raise")
        assert (raised.kind, raised.message) == (FailureKind.USER_ERROR, "KeyError: '[redacted]'")
        failed = await failure(fleet, name, "fail")
        assert (failed.message, failed.code, failed.detail["host"]) == ("[redacted]",) * 3
        refused = await failure(fleet, name, "return", "bad")
        assert refused.kind is FailureKind.INVALID_INPUT
        assert refused.message == "input.token: Value error, [redacted] is not good"

        for way in ("checkpoint", "within"):
            stopped = await failure(fleet, name, way)
            assert "keep the secret 'acme/token' in clear" in stopped.message
        parent = await fleet.run(name, {"token": of("token"), "way": "child"})
        assert parent.output is not None
        assert parent.output["digest"] == digest(TOKEN)
    assert "'acme/token'" in (await failure(fleet, TELL[0], "labels")).message
    assert (await failure(fleet, TELL[1], "exit")).code == "exit.3"
    await fleet.run(TELL[0], {"token": of("token"), "way": "task"})

    found = [each async for each in kept(fleet)] + [("redis", text) for text in overheard]
    assert [(where, text) for where, text in found if BEGINNING in text] == []
    for place in ("table task", "table task_event", "redis", "file"):
        assert [text for where, text in found if where == place and "[redacted]" in text], place
    worker = fleet.running[-1]
    worker.terminate()
    await until(lambda: worker.poll() is not None, "the worker ends, and what it printed is there")
    printed = (tmp_path / "printed").read_text()
    assert "printed [redacted]" in printed
    assert "nobody asks for [redacted]" in printed
    assert BEGINNING not in printed


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
async def test_an_attempt_gets_what_is_there_when_it_starts(fleet: Fleet, acme: Connection):
    runtime, caller = fleet.engine.runtime, fleet.engine.caller

    async def keep(**secrets: str) -> None:
        change = ConnectionChange(NewConnection("", "acme", "", {}, secrets), frozenset())
        await runtime.collecting.connections.update_connection(caller, acme.id, "", lambda _: change)

    async def later(name: str) -> UUID:
        kind = await runtime.tasks.newest_type(name)
        new = NewTask("default", name, {"token": of("token")}, start_after=datetime.now(UTC) + SOON)
        return (await runtime.tasks.submit(caller, new, kind)).task.id

    for name in TELL:
        await keep(token="first")
        task_id = await later(name)
        await keep(token="second")
        ended = await fleet.until(task_id, TaskState.SUCCEEDED)
        assert ended.output is not None
        assert ended.output["digest"] == digest("second")

        task_id = await later(name)
        await keep(other="third")
        ended = await fleet.until(task_id, TaskState.FAILED)
        assert ended.failure is not None
        assert (ended.failure.kind, ended.failure.code) == (FailureKind.INVALID_INPUT, "secret.missing")
        assert ended.failure.message == "input.token: connection 'acme' has no secret 'token'; it has other"
        assert ended.attempt == 1
