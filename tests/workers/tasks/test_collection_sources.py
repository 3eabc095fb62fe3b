"""The task `collection.run` over databases and files: nothing is lost, nothing comes twice."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.collecting import EDITOR_RIGHTS
from tests.fixtures.engine import Engine, person
from tests.fixtures.hands import Hands
from tests.fixtures.sql_sources import SqlSource
from weir_core.collections.models import Collection, NewCollection, NewConnection, SyncMode
from weir_core.tasks.states import TaskState
from weir_workers.connectors.sql import SqlConnector
from weir_workers.tasks import collection as tasks

ROWS = 60_000
QUERY = {
    "query": "SELECT id, word FROM things",
    "key": ["id"],
    "columns": [{"name": "id", "type": "int64"}, {"name": "word", "type": "string"}],
}


@pytest.fixture
async def hands(engine: Engine) -> Hands:
    """A worker with small segments, for a caller who may collect."""
    runtime = await engine.another(segment_rows=1000)
    made = Hands(runtime, person(everywhere=set(EDITOR_RIGHTS)))
    await made.register()
    return made


async def collection(
    hands: Hands, connector: str, connection: tuple[dict[str, Any], dict[str, str]], **wanted: Any
) -> Collection:
    collecting = hands.runtime.collecting
    new = NewConnection("", "source", connector, *connection, allow_private_addresses=True)
    source = await collecting.connections.create_connection(hands.caller, new)
    asked = NewCollection("", "things", source.id, wanted.pop("settings", {}), **wanted)
    return await collecting.collections.create_collection(hands.caller, asked)


def filled(source: SqlSource) -> SqlSource:
    source.run("CREATE TABLE things (id INTEGER PRIMARY KEY, word VARCHAR(200))")
    source.fill("things", [(number, f"{number:0180}") for number in range(ROWS)])
    return source


class TestDatabases:
    async def test_a_run_that_is_cut_off_goes_on_behind_its_last_segment(
        self, hands: Hands, sql_source: SqlSource
    ):
        filled(sql_source)
        made = await collection(
            hands,
            "sql",
            (sql_source.settings, sql_source.secrets),
            mode=SyncMode.FULL,
            settings=QUERY,
        )
        run_id = await hands.start(made)
        await hands.break_off(run_id, "segment 2 committed")
        await hands.leave(run_id, TaskState.QUEUED)
        output = await hands.work(run_id)
        assert any("goes on after segment" in line for line in hands.told.lines)
        assert output.records_written == ROWS
        assert await hands.ids(made.dataset_id) == list(range(ROWS))

    async def test_parts_side_by_side_stay_as_they_were_cut(
        self, hands: Hands, sql_source: SqlSource, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(tasks, "connector", lambda _: SqlConnector(part=9_000))
        filled(sql_source)
        made = await collection(
            hands,
            "sql",
            (sql_source.settings, sql_source.secrets),
            mode=SyncMode.APPEND,
            settings={**QUERY, "connections": 3},
        )
        run_id = await hands.start(made)
        await hands.break_off(run_id, "segment 12 committed")
        # Cut anew, the parts would be others.
        sql_source.run("DELETE FROM things WHERE id < 5000")
        sql_source.fill("things", [(number, "late") for number in range(ROWS, ROWS + 100)])
        await hands.leave(run_id, TaskState.QUEUED)
        output = await hands.work(run_id)
        assert output.records_written == ROWS + 100
        assert await hands.ids(made.dataset_id) == list(range(ROWS + 100))

    async def test_later_runs_read_what_is_new(self, hands: Hands, sql_source: SqlSource):
        sql_source.run("CREATE TABLE things (id INTEGER PRIMARY KEY, word VARCHAR(200))")
        sql_source.fill("things", [(number, "a") for number in range(10)])
        made = await collection(
            hands,
            "sql",
            (sql_source.settings, sql_source.secrets),
            mode=SyncMode.INCREMENTAL,
            settings=QUERY,
            cursor_field="id",
        )
        await hands.work(await hands.start(made))
        sql_source.fill("things", [(number, "b") for number in range(10, 15)])
        output = await hands.work(await hands.start(made))
        assert output.records_read == 5
        assert await hands.ids(made.dataset_id) == list(range(15))


class TestFiles:
    async def test_later_runs_read_new_files_only(
        self, hands: Hands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        folder = tmp_path / "sources"
        folder.mkdir()
        monkeypatch.setenv("WEIR_SOURCE_ROOTS", str(folder))
        put(folder / "a.csv", "id,word\n1,a\n2,b\nbad,c\n", hour=1)
        made = await collection(
            hands,
            "files",
            ({"url": f"file://{folder}"}, {}),
            mode=SyncMode.INCREMENTAL,
            cursor_field="_file_time",
            settings={
                "files": ["*.csv"],
                "columns": [{"name": "id", "type": "int64"}, {"name": "word", "type": "string"}],
            },
        )
        first = await hands.work(await hands.start(made))
        assert (first.records_written, first.records_quarantined) == (2, 1)
        put(folder / "0.csv", "id,word\n3,c\n", hour=2)
        second = await hands.work(await hands.start(made))
        assert (second.records_read, second.records_written) == (1, 1)
        assert await hands.ids(made.dataset_id) == [1, 2, 3]
        third = await hands.work(await hands.start(made))
        assert third.records_read == 0


def put(path: Path, text: str, *, hour: int) -> None:
    path.write_text(text)
    stamp = datetime(2024, 1, 1, hour, tzinfo=UTC).timestamp()
    os.utime(path, (stamp, stamp))
