"""Runs of a tap: its worker is killed, and the next one goes on from the tap's STATE."""

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path
from uuid import UUID

from tests.fixtures import fake_tap
from tests.fixtures.collecting import EDITOR_RIGHTS
from tests.fixtures.engine import person
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


def write(folder: Path, count: int) -> None:
    rows = ({"id": one, "name": f"n{one}", "at": None} for one in range(count))
    (folder / "rows").write_text("".join(json.dumps(one) + "\n" for one in rows))


async def tap(hands: Hands, program: Path, mode: SyncMode) -> Collection:
    config = {"file": str(program.parent / "rows"), "hang_at": 70, "child": str(program.parent / "child")}
    secrets = {"config_secrets": '{"auth": {"token": "hunter2"}}'}
    settings = {"executable": str(program), "config": config}
    collecting = hands.runtime.collecting
    new = NewConnection("", "tap", "singer", settings, secrets, allow_private_addresses=True)
    source = await collecting.connections.create_connection(hands.caller, new)
    wanted = NewCollection("", "rows", source.id, {}, mode, stream="rows", cursor_field="id")
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
    collection = await tap(hands, program, SyncMode.INCREMENTAL)
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
