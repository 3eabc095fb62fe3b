"""The connector `singer`, on a small tap that behaves as real ones do."""

import json
import sys
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures import fake_tap
from tests.workers.connectors.gathering import assert_resumes, gather, gather_with_stops, refusal
from weir_workers.connectors import tap_lines, tap_reading, tap_state
from weir_workers.connectors.contract import Batch, Partition, Said, Source, Wanted
from weir_workers.connectors.errors import SourceError
from weir_workers.connectors.singer import SingerConnector

TAP = SingerConnector()
Make = Callable[..., Source]
BY_ID = Wanted({}, stream="rows", cursor_field="id")
WHOLE = Wanted({}, stream="rows")


def rows(*numbers: int) -> list[dict[str, Any]]:
    return [{"id": one, "name": f"n{one}", "at": f"2026-01-01T00:00:{one % 60:02}Z"} for one in numbers]


@pytest.fixture
def tap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    program = tmp_path / "tap-fake"
    program.write_text(f"#!{sys.executable}\n" + Path(fake_tap.__file__).read_text())
    program.chmod(0o755)
    monkeypatch.setenv("WEIR_TAPS", str(program))
    write(tmp_path, *rows(*range(100)))

    def make(**config: Any) -> Source:
        given = {"file": str(tmp_path / "rows"), **config}
        secret = json.dumps({"auth": {"token": "hunter2"}})
        settings = {"executable": str(program), "config": given, "idle_seconds": 5}
        return Source(settings, {"config_secrets": secret}, allow_private=True)

    return make


def write(folder: Path, *given: dict[str, Any]) -> None:
    (folder / "rows").write_text("".join(json.dumps(one) + "\n" for one in given))


async def broken(source: Source, batches: list[Batch]) -> None:
    async with aclosing(TAP.read(source, BY_ID, Partition())) as items:
        async for item in items:
            batches += [item] if isinstance(item, Batch) else []


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every few records are a portion."""
    monkeypatch.setattr(tap_state, "PORTION", 500)
    monkeypatch.setattr(tap_state, "HELD", 1500)


class TestReading:
    async def test_all_records_come_once_with_the_types_of_their_schema(self, tap: Make):
        got = await gather(TAP, tap(), WHOLE)
        assert got.column("id") == list(range(100))
        assert [str(one.type) for one in got.schema] == ["int64", "string", "timestamp[us, tz=UTC]"]
        assert got.counts.records == 100
        assert got.positions[-1]["done"]

    @pytest.mark.usefixtures("small")
    async def test_every_position_of_an_incremental_reading_leads_to_exactly_the_rest(self, tap: Make):
        readings = await gather_with_stops(TAP, tap(), BY_ID)
        assert readings[0].column("id") == list(range(100))
        assert all("cursor" in one for one in readings[0].positions)
        assert_resumes(readings)

    @pytest.mark.usefixtures("small")
    async def test_every_position_of_a_tap_without_states_leads_to_exactly_the_rest(self, tap: Make):
        readings = await gather_with_stops(TAP, tap(), WHOLE)
        assert [one.get("rows") for one in readings[0].positions[:-1]] != [None, None]
        assert_resumes(readings)

    @pytest.mark.usefixtures("small")
    async def test_a_state_of_a_whole_table_that_leads_to_its_start_is_no_place_to_go_on_at(
        self, tap: Make, tmp_path: Path
    ):
        write(tmp_path, *rows(*range(150)))
        whole_state = {"version": 1795683606817, "initial_full_table_complete": True}
        readings = await gather_with_stops(TAP, tap(whole_state=whole_state, state_every=120), WHOLE)
        assert readings[0].column("id") == list(range(150))
        assert_resumes(readings)

    @pytest.mark.usefixtures("small")
    async def test_a_tap_that_gives_other_records_again_is_refused(self, tap: Make):
        whole = await gather(TAP, tap(shuffle=True), WHOLE)
        with pytest.raises(SourceError, match="did not give the same records") as caught:
            await gather(TAP, tap(shuffle=True), WHOLE, whole.positions[0])
        assert caught.value.code == "tap.replay"

    async def test_the_next_run_reads_what_is_new(self, tap: Make, tmp_path: Path):
        got = await gather(TAP, tap(), BY_ID)
        write(tmp_path, *rows(*range(100)), {"id": 99, "name": "another", "at": None}, *rows(100, 101))
        wanted = Wanted({}, stream="rows", cursor_field="id", cursor=got.positions[-1]["cursor"])
        later = await gather(TAP, tap(), wanted)
        assert [(one["id"], one["name"]) for one in later.rows] == [
            (99, "another"),
            (100, "n100"),
            (101, "n101"),
        ]
        again = Wanted({}, stream="rows", cursor_field="id", cursor=later.positions[-1]["cursor"])
        assert (await gather(TAP, tap(), again)).rows == []

    async def test_what_comes_after_the_last_state_of_a_tap_that_ends_well_is_there(self, tap: Make):
        got = await gather(TAP, tap(at_end=False, state_every=40), BY_ID)
        assert got.column("id") == list(range(100))
        assert got.positions[-1]["done"]

    async def test_a_tap_without_records_needs_no_state(self, tap: Make, tmp_path: Path):
        write(tmp_path)
        assert (await gather(TAP, tap(), BY_ID)).rows == []
        write(tmp_path, *rows(1))
        error = await refusal(TAP, tap(at_end=False), BY_ID)
        assert (error.code, "no STATE" in error.message) == ("tap.state", True)

    async def test_records_may_bear_either_name_of_their_stream(self, tap: Make):
        assert len((await gather(TAP, tap(named="a table"), BY_ID)).rows) == 100

    async def test_what_a_slow_tap_gives_does_not_wait_for_much_of_it(
        self, tap: Make, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(tap_reading, "_WAIT_SECONDS", 0.1)
        monkeypatch.setattr(tap_reading, "_LOOK_SECONDS", 60)
        got = await gather(TAP, tap(pause=0.01), BY_ID)
        assert got.column("id") == list(range(100))
        assert len(got.positions) > 2

    async def test_of_a_tap_that_breaks_only_what_its_state_covers_is_given(self, tap: Make):
        batches: list[Batch] = []
        with pytest.raises(SourceError, match="exit code 1: the source went away"):
            await broken(tap(die_at=37), batches)
        assert [one for batch in batches for one in batch.records.column("id").to_pylist()] == list(range(30))
        rest = await gather(TAP, tap(), BY_ID, batches[-1].position)
        assert rest.column("id") == list(range(30, 100))

    async def test_what_does_not_fit_goes_to_quarantine(self, tap: Make, tmp_path: Path):
        write(tmp_path, *rows(0, 1), {"id": "two"}, *rows(3, 4))
        got = await gather(TAP, tap(nan_at=3), WHOLE)
        assert got.column("id") == [0, 1, 4]
        assert [json.loads(one.raw)["id"] for one in got.rejects] == ["two", 3]

    async def test_a_record_that_is_too_long_goes_to_quarantine_cut(
        self, tap: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(tap_lines, "LONGEST", 1000)
        write(tmp_path, *rows(0), rows(1)[0] | {"name": "x" * 2_000_000}, *rows(2))
        got = await gather(TAP, tap(), WHOLE)
        assert got.column("id") == [0, 2]
        [reject] = got.rejects
        assert (len(reject.raw), reject.reason) == (1000, "the message is too long")

    async def test_a_new_field_becomes_a_column_where_columns_may_grow(self, tap: Make, tmp_path: Path):
        write(tmp_path, *rows(0), rows(1)[0] | {"more": 5})
        got = await gather(TAP, tap(), Wanted({}, stream="rows", evolve=True))
        assert [one.get("more") for one in got.rows] == [None, 5]

    async def test_a_limit_ends_the_tap(self, tap: Make):
        got = await gather(TAP, tap(hang_at=50), Wanted({}, stream="rows", limit=20))
        assert 20 <= len(got.rows) <= 50


class TestProcess:
    async def test_p12_what_it_says_is_told_without_secrets(self, tap: Make):
        async with aclosing(TAP.read(tap(odd=["Loading hunter2…"]), WHOLE, Partition())) as items:
            said = [item.text async for item in items if isinstance(item, Said)]
        assert "signed in with [redacted]" in said
        assert "Loading [redacted]…" in said

    async def test_records_of_other_streams_are_told_once(self, tap: Make):
        other = json.dumps({"type": "RECORD", "stream": "others", "record": {}})
        async with aclosing(TAP.read(tap(odd=[other, other]), WHOLE, Partition())) as items:
            said = [item.text async for item in items if isinstance(item, Said)]
        assert said.count("records of the stream 'others' are passed over") == 1

    async def test_a_silent_tap_is_ended(self, tap: Make):
        source = tap(hang_at=3)
        silent = Source({**source.settings, "idle_seconds": 1}, source.secrets, allow_private=True)
        assert (await refusal(TAP, silent, WHOLE)).code == "tap.timeout"

    async def test_streams_are_listed(self, tap: Make):
        found = await TAP.discover(tap())
        assert [(one.name, one.cursor_fields, one.key_fields) for one in found] == [
            ("rows", ("id",), ("id",)),
            ("others", ("id",), ("id",)),
        ]

    async def test_a_stream_that_is_not_there_is_named(self, tap: Make):
        error = await refusal(TAP, tap(), Wanted({}, stream="nothing"))
        assert (error.code, "rows" in error.message) == ("tap.stream", True)


class TestWalls:
    async def test_what_the_operator_does_not_name_is_not_run(
        self, tap: Make, monkeypatch: pytest.MonkeyPatch
    ):
        source = tap()
        monkeypatch.setenv("WEIR_TAPS", "tap-other")
        assert (await refusal(TAP, source, WHOLE)).code == "tap.refused"
        package = Source({"package": "tap-fake==1.0"}, {}, allow_private=True)
        assert (await refusal(TAP, package, WHOLE)).code == "tap.refused"

    async def test_a_tap_needs_the_permission_to_dial_anywhere(self, tap: Make):
        source = tap()
        walled = Source(source.settings, source.secrets)
        assert (await refusal(TAP, walled, WHOLE)).code == "address.refused"

    @pytest.mark.parametrize(
        "package", ["-r /etc/passwd", "tap-x @ file:///x", "https://x/y.whl", "a;b", "../x"]
    )
    async def test_a_package_is_a_name(self, package: str):
        error = await refusal(TAP, Source({"package": package}, {}, allow_private=True), WHOLE)
        assert error.code == "settings.invalid"

    async def test_a_plain_cursor_is_refused(self, tap: Make):
        wanted = Wanted({}, stream="rows", cursor_field="id", cursor=5)
        assert "is its STATE" in (await refusal(TAP, tap(), wanted)).message
