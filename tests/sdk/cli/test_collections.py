"""`weir collections` and `weir datasets`, from a source to its records."""

import asyncio
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.fixtures.cli import Ran, Weir
from tests.fixtures.hands import NUMBERED
from tests.fixtures.http_source import HttpSource, status

SETTINGS = json.dumps(NUMBERED)


class Beside:
    """Runs the program beside the source, which lives in this process."""

    def __init__(self, weir: Weir, source: HttpSource) -> None:
        self._weir = weir
        self._settings = json.dumps({"base_url": source.url})

    async def __call__(self, *words: str | Path, **variables: str) -> Ran:
        return await asyncio.to_thread(self._weir, *words, **variables)

    async def collection(self, name: str, mode: str = "full") -> str:
        """The id of a new collection of the source, over a new connection of the same name."""
        options = ("--settings", self._settings, "--allow-private")
        assert (await self("collections", "create-connection", name, *options)).status == 0
        options = ("--connection", name, "--mode", mode, "--settings", SETTINGS, "--json")
        made = await self("collections", "create", name, *options)
        assert made.status == 0, made.err
        return made.document["id"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def beside(weir: Weir, http_source: HttpSource) -> Beside:
    return Beside(weir, http_source)


async def test_from_a_source_to_records(beside: Beside, http_source: HttpSource, tmp_path: Path):
    collection_id = await beside.collection("things")
    run = await beside("collections", "run", "things")
    assert run.status == 0, run.err
    assert "segment 1 committed: 35 records" in run.out
    assert json.loads(run.out.partition("SUCCEEDED\n")[2])["records_written"] == "35"

    *events, again = (await beside("collections", "run", collection_id, "--json")).lines
    assert (again["state"], again["collection_id"]) == ("TASK_STATE_SUCCEEDED", collection_id)
    assert events[-1]["task_id"] == again["id"]
    _, row, _ = (await beside("collections", "runs")).out.splitlines()
    assert row.split()[:4] == [again["id"], collection_id, "SUCCEEDED", "35"]
    shown = (await beside("collections", "get", "things")).document
    assert (shown["last_run"]["id"], shown["mode"]) == (again["id"], "SYNC_MODE_FULL")
    (listed,) = (await beside("collections", "list", "--filter", "name = things")).out.splitlines()[1:]
    assert listed.split() == [collection_id, "things", "FULL", "SUCCEEDED"]

    (dataset,) = (await beside("datasets", "list", "--filter", "name = things", "--json")).lines
    assert (dataset["id"], dataset["record_count"]) == (shown["last_run"]["dataset_id"], "35")
    table = (await beside("datasets", "read", "things", "--filter", "id >= 8 AND id < 11")).out
    assert table == "id  name\n8   record 8\n9   record 9\n10  record 10\n"
    lines = await beside("datasets", "read", dataset["id"], "--json")
    assert lines.lines == http_source.records
    some = await beside("datasets", "read", "things", "--columns", "name", "--limit", "2", "--json")
    assert some.lines == [{"name": "record 0"}, {"name": "record 1"}]

    for name, chosen, count in (("all", "id >= 0", 35), ("none", "id > 99", 0)):
        file = tmp_path / f"{name}.arrow"
        written = await beside("datasets", "read", "things", "--filter", chosen, "--arrow", file)
        assert (written.status, written.out, written.err) == (0, "", f"{count} records are in {file}\n")
        with pa.OSFile(str(file)) as opened:
            read = pa.ipc.open_file(opened).read_all()
        assert (read.num_rows, read.schema.names) == (count, ["id", "name"])
    assert names(tmp_path) == ["all.arrow", "none.arrow"]


async def test_a_run_that_fails_tells_the_cause(beside: Beside, http_source: HttpSource):
    await beside.collection("broken")
    http_source.faults[1] = [status(404)] * 9
    ran = await beside("collections", "run", "broken")
    assert ran.status == 3
    assert "404" in ran.err.splitlines()[0]
    assert "see its whole log with: weir tasks events " in ran.err
    run_id = (await beside("collections", "run", "broken", "--no-wait")).out.strip()
    assert (await beside("tasks", "result", run_id, "--json")).error["failure"]["http"]["status"] == 404


async def test_secrets_come_from_variables_and_are_never_shown(beside: Beside):
    words = (
        "collections",
        "create-connection",
        "guarded",
        "--settings",
        '{"base_url": "https://h", "auth": "bearer"}',
    )
    made = await beside(*words, "--secret", "token=API_TOKEN", API_TOKEN="s3cret-token")
    assert made.status == 0, made.err
    assert made.document["secret_names"] == ["token"]
    assert "s3cret-token" not in made.out + (await beside("collections", "connection", "guarded")).out
    refused = await beside(*words, "--secret", "token=NO_SUCH_VARIABLE")
    assert (refused.status, "names an environment variable that is set" in refused.err) == (2, True)


async def test_lists_for_a_person_and_a_program(beside: Beside):
    await beside("collections", "create-connection", "listed", "--settings", '{"base_url": "https://h"}')
    header, row = (await beside("collections", "connections", "--filter", "name = listed")).out.splitlines()
    assert (header.split(), row.split()[1:]) == (["ID", "NAME", "CONNECTOR"], ["listed", "http"])
    found = {each["name"]: each for each in (await beside("collections", "connectors", "--json")).lines}
    assert {"files", "http", "sql"} <= set(found)
    assert "SYNC_MODE_INCREMENTAL" in found["http"]["modes"]


@pytest.mark.parametrize(
    "words,code,text,helps",
    [
        (["collections", "run", "nix"], 6, "collection 'nix' does not exist", "weir collections list"),
        (["collections", "connection", "nix"], 6, "'nix' does not exist", "weir collections connections"),
        (["datasets", "read", "nix"], 6, "dataset 'nix' does not exist", "weir datasets list"),
        (["collections", "create-connection", "C!", "--settings", "{}"], 2, "connection.name", "--help"),
        (["collections", "create-connection", "c", "--settings", "{"], 2, "--settings is not JSON", "--help"),
    ],
)
def test_refusals(weir: Weir, words: list[str], code: int, text: str, helps: str):
    ran = weir(*words)
    assert (ran.status, ran.out) == (code, "")
    assert text in ran.err
    assert helps in ran.err


async def test_what_did_not_fit_is_shown_and_resolved_and_the_rest_exported(
    beside: Beside, http_source: HttpSource, tmp_path: Path
):
    http_source.records[3] = {"id": "three", "name": "odd"}
    await beside.collection("oddities")
    assert (await beside("collections", "run", "oddities")).status == 0
    _, row = (await beside("datasets", "quarantine", "oddities")).out.splitlines()
    assert row.split()[:3] == ["1", "4", "id"]
    dropped = await beside("datasets", "resolve", "oddities", "--discard", "--json")
    assert dropped.lines[-1]["discarded"] == 1
    assert (await beside("datasets", "quarantine", "oddities", "--json")).out == ""
    for kind in ("csv", "ndjson", "parquet"):
        file = tmp_path / f"things.{kind}"
        written = await beside("datasets", "export", "oddities", "-o", file, "--filter", "id < 3")
        assert (written.status, written.err) == (0, f"3 records are in {file}\n")
    assert (tmp_path / "things.csv").read_text() == '"id","name"\n' + "".join(
        f'{at},"record {at}"\n' for at in range(3)
    )
    assert [json.loads(line) for line in (tmp_path / "things.ndjson").read_text().splitlines()] == [
        {"id": at, "name": f"record {at}"} for at in range(3)
    ]
    assert pq.read_table(tmp_path / "things.parquet").column("id").to_pylist() == [0, 1, 2]
    assert (await beside("datasets", "export", "oddities", "-o", tmp_path / "things.xls")).status == 2


async def test_small_segments_are_put_together(beside: Beside, http_source: HttpSource):
    await beside.collection("log", "append")
    for _ in range(2):
        assert (await beside("collections", "run", "log")).status == 0
    compacted = await beside("datasets", "compact", "log", "--json")
    assert compacted.status == 0, compacted.err
    assert compacted.lines[-1] == {"left": 0, "made": 1, "replaced": 2}
    dataset = (await beside("datasets", "get", "log", "--json")).document
    assert (dataset["segment_count"], dataset["record_count"]) == (1, "70")
    assert (await beside("datasets", "read", "log", "--json")).lines == http_source.records * 2


async def test_they_are_changed_and_deleted_in_their_order(beside: Beside):
    await beside.collection("notes")
    changed = await beside("collections", "update", "notes", "--name", "other-notes", "--json")
    assert changed.document["name"] == "other-notes"
    refused = await beside("collections", "delete-connection", "notes")
    assert "other-notes" in refused.err
    assert (await beside("collections", "set-cursor", "other-notes", "--none")).status == 2
    assert (await beside("datasets", "delete", "notes")).status == 1
    assert (await beside("collections", "delete", "other-notes")).status == 0
    assert (await beside("collections", "delete-connection", "notes")).status == 0
    assert (await beside("datasets", "delete", "notes")).status == 0
    assert (await beside("datasets", "list", "--filter", "name = notes", "--json")).out == ""


async def test_a_connection_and_a_collection_are_tried(beside: Beside, http_source: HttpSource):
    http_source.records[1] = {"id": "odd", "name": "odd one"}
    await beside.collection("tried")
    assert (await beside("collections", "check", "tried", "--discover")).out.startswith("works, answered in")
    shown = await beside("collections", "preview", "tried", "-n", "2")
    assert shown.status == 0, shown.err
    assert [json.loads(line)["id"] for line in shown.out.splitlines()] == [0, 2]
    assert "would be quarantined (page 1, record 2): id:" in shown.err
    whole = (await beside("collections", "preview", "tried", "-n", "2", "--json")).document
    assert [len(whole["records"]), len(whole["quarantined"])] == [2, 1]

    http_source.faults[1] = [status(401), status(401)]
    refused = await beside("collections", "check", "tried")
    assert refused.status == 1
    assert "INVALID_INPUT: 127.0.0.1 answers '/' with 401" in refused.err
    failed = await beside("collections", "check", "tried", "--json")
    assert (failed.status, failed.document["check"]["failure"]["code"]) == (1, "http.401")
