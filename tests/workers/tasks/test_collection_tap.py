"""Runs of a tap: its worker is killed, and the next one goes on from the tap's STATE."""

import asyncio
import json
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.fixtures import fake_tap
from tests.fixtures.collecting import EDITOR_RIGHTS
from tests.fixtures.engine import Engine, person
from tests.fixtures.hands import Hands
from tests.fixtures.workers import SECONDS, Fleet
from weir_core.collections.models import (
    Collection,
    Connection,
    ConnectionChange,
    NewCollection,
    NewConnection,
    SyncMode,
)
from weir_core.tasks.states import TaskState
from weir_workers.wards.processes import alive


async def start_worker(fleet: Fleet, program: Path) -> None:
    before = {worker.id for worker in await fleet.engine.runtime.fleet.active()}
    process = fleet.start("worker", WEIR_SEGMENT_ROWS="20", WEIR_TAPS=str(program))
    async with asyncio.timeout(SECONDS):
        while {worker.id for worker in await fleet.engine.runtime.fleet.active()} <= before:
            assert process.poll() is None, "the worker has ended"
            await asyncio.sleep(0.05)


def installed(folder: Path) -> Path:
    program = folder / "tap-fake"
    program.write_text(f"#!{sys.executable}\n" + Path(fake_tap.__file__).read_text())
    program.chmod(0o755)
    return program


def write(folder: Path, count: int, begin: int = 0, word: str = "n") -> None:
    rows = ({"id": one, "name": f"{word}{one}", "at": None} for one in range(begin, count))
    (folder / "rows").write_text("".join(json.dumps(one) + "\n" for one in rows))


async def tap(hands: Hands, program: Path, mode: SyncMode, **config: Any) -> Collection:
    config = {"file": str(program.parent / "rows"), **config}
    secrets = {"config_secrets": '{"auth": {"token": "hunter2"}}'}
    settings = {"executable": str(program), "config": config}
    collecting = hands.runtime.collecting
    new = NewConnection("", "tap", "singer", settings, secrets, allow_private_addresses=True)
    source = await collecting.connections.create_connection(hands.caller, new)
    cursor = "" if mode == SyncMode.FULL else "id"
    keys = ("id",) if mode == SyncMode.MERGE else ()
    wanted = NewCollection(
        "", "rows", source.id, {}, mode, stream="rows", key_fields=keys, cursor_field=cursor
    )
    return await collecting.collections.create_collection(hands.caller, wanted)


async def mend(hands: Hands, collection: Collection) -> None:
    """From now on the source does not hang."""

    def change(found: Connection) -> ConnectionChange:
        config = {key: value for key, value in found.settings["config"].items() if key == "file"}
        wanted = NewConnection(
            found.project,
            found.name,
            found.connector,
            found.settings | {"config": config},
            allow_private_addresses=True,
        )
        return ConnectionChange(wanted, frozenset({"config_secrets"}))

    await hands.runtime.collecting.connections.update_connection(
        hands.caller, collection.connection_id, "", change
    )


async def test_p11_a_killed_run_goes_on_from_the_state_of_its_tap(fleet: Fleet, tmp_path: Path):
    hands = Hands(fleet.engine.runtime, person(everywhere={*EDITOR_RIGHTS, "connections.private"}))
    program = installed(tmp_path)
    write(tmp_path, 100)
    await start_worker(fleet, program)
    killed = fleet.running[-1]
    collection = await tap(hands, program, SyncMode.INCREMENTAL, hang_at=70, child=str(tmp_path / "child"))
    run_id: UUID = await hands.start(collection)
    await fleet.said(run_id, "segment 1 committed")
    child = int((tmp_path / "child").read_text())
    assert alive([child])
    killed.kill()
    killed.wait()
    await mend(hands, collection)
    await start_worker(fleet, program)
    ended = await fleet.until(run_id, TaskState.SUCCEEDED, TaskState.FAILED)
    assert (ended.state, ended.attempt) == (TaskState.SUCCEEDED, 2)
    found = await hands.ids(collection.dataset_id)
    assert [one for one, count in Counter(found).items() if count > 1] == []
    assert found == list(range(100))
    assert not alive([child])
    kept = await hands.runtime.collecting.collections.get_collection(hands.caller, collection.id)
    assert str(kept.cursor).startswith('state:{"state":{"bookmarks":{"rows":{"id":99}}}')
    write(tmp_path, 120)
    again = await hands.start(collection)
    await fleet.until(again, TaskState.SUCCEEDED, TaskState.FAILED)
    assert await hands.ids(collection.dataset_id) == list(range(120))


async def test_p04_a_cancelled_run_leaves_nothing_of_its_tap(fleet: Fleet, tmp_path: Path):
    hands = Hands(fleet.engine.runtime, person(everywhere={*EDITOR_RIGHTS, "connections.private"}))
    program = installed(tmp_path)
    write(tmp_path, 100)
    await start_worker(fleet, program)
    collection = await tap(hands, program, SyncMode.INCREMENTAL, hang_at=70, child=str(tmp_path / "child"))
    run_id = await hands.start(collection)
    await fleet.said(run_id, "segment 1 committed")
    child = int((tmp_path / "child").read_text())
    grace = timedelta(seconds=5)
    await fleet.engine.runtime.stopping.cancel(fleet.engine.caller, run_id, "enough", grace)
    await fleet.until(run_id, TaskState.CANCELLED)
    assert not alive([child])


class TestModes:
    @pytest.fixture
    async def hands(self, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hands:
        monkeypatch.setenv("WEIR_TAPS", str(installed(tmp_path)))
        made = Hands(engine.runtime, person(everywhere={*EDITOR_RIGHTS, "connections.private"}))
        await made.register()
        return made

    async def test_a_full_run_shows_what_the_tap_has_now(self, hands: Hands, tmp_path: Path):
        collection = await tap(hands, tmp_path / "tap-fake", SyncMode.FULL)
        for begin, end in ((0, 50), (20, 60)):
            write(tmp_path, end, begin)
            await hands.work(await hands.start(collection))
            assert await hands.ids(collection.dataset_id) == list(range(begin, end))

    async def test_a_merge_keeps_the_newest_of_a_key(self, hands: Hands, tmp_path: Path):
        collection = await tap(hands, tmp_path / "tap-fake", SyncMode.MERGE)
        write(tmp_path, 50)
        await hands.work(await hands.start(collection))
        write(tmp_path, 60, word="m")
        await hands.work(await hands.start(collection))
        rows = {row["id"]: row["name"] for row in await hands.rows(collection.dataset_id)}
        # The tap gives what was at the border of its STATE once more.
        assert rows == {one: f"{'n' if one < 49 else 'm'}{one}" for one in range(60)}
        assert len(await hands.ids(collection.dataset_id)) == 60
