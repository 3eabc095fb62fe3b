"""The connector `airbyte`, on a small source that behaves as real ones do."""

import json
import sys
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures import fake_source
from tests.workers.connectors.gathering import assert_resumes, gather, gather_with_stops, refusal
from weir_workers.connectors import tap_state
from weir_workers.connectors.airbyte import AirbyteConnector
from weir_workers.connectors.contract import Batch, Partition, Said, Source, Wanted
from weir_workers.connectors.errors import SourceError

AIRBYTE = AirbyteConnector()
Make = Callable[..., Source]
BY_ID = Wanted({}, stream="rows", cursor_field="id")
WHOLE = Wanted({}, stream="rows")
_MANIFEST = (
    "version: 6.60.0\nstreams: []\nconcurrency_level: {type: ConcurrencyLevel, default_concurrency: 8}\n"
)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    program, manifest = tmp_path / "source-fake", tmp_path / "shop.yaml"
    program.write_text(f"#!{sys.executable}\n" + Path(fake_source.__file__).read_text())
    program.chmod(0o755)
    manifest.write_text(_MANIFEST)
    monkeypatch.setenv("WEIR_TAPS", f"{program},{manifest}")
    monkeypatch.setattr(tap_state, "PORTION", 500)
    write(tmp_path, 45)

    def make(*, manifest: str = "", **config: Any) -> Source:
        given = {"file": str(tmp_path / "rows"), **config}
        settings = {"executable": str(program), "config": given, "idle_seconds": 5, "manifest": manifest}
        secret = json.dumps({"auth": {"token": "hunter2"}})
        return Source(settings, {"config_secrets": secret}, allow_private=True)

    return make


def write(folder: Path, count: int) -> None:
    rows = ({"id": one, "at": f"2026-01-01T00:00:{one % 60:02}Z"} for one in range(count))
    (folder / "rows").write_text("".join(json.dumps(one) + "\n" for one in rows))


class TestReading:
    async def test_all_records_come_once_with_the_types_of_their_schema(self, source: Make):
        got = await gather(AIRBYTE, source(), WHOLE)
        assert got.column("id") == list(range(45))
        assert [str(one.type) for one in got.schema] == ["int64", "timestamp[us, tz=UTC]"]
        # Asked for all, a source gives all again, whatever STATE it is given.
        assert got.positions[-1] == {"done": True}

    async def test_every_position_of_an_incremental_reading_leads_to_exactly_the_rest(self, source: Make):
        readings = await gather_with_stops(AIRBYTE, source(), BY_ID)
        assert readings[0].column("id") == list(range(45))
        assert len(readings) > 1
        assert_resumes(readings)

    async def test_the_next_run_reads_what_is_new(self, source: Make, tmp_path: Path):
        got = await gather(AIRBYTE, source(), BY_ID)
        cursor = got.positions[-1]["cursor"]
        assert cursor.startswith('state:{"state":{"id":44}')
        write(tmp_path, 50)
        later = await gather(AIRBYTE, source(), Wanted({}, stream="rows", cursor_field="id", cursor=cursor))
        assert later.column("id") == list(range(45, 50))

    async def test_of_a_source_that_fails_only_what_its_state_covers_is_given(self, source: Make):
        failure = {"message": "Something went wrong", "internal_message": "hunter2 has ended"}
        batches: list[Batch] = []
        with pytest.raises(SourceError, match=r"Something went wrong: \[redacted\] has ended") as caught:
            async with aclosing(
                AIRBYTE.read(source(fail_at=37, failure=failure), BY_ID, Partition())
            ) as items:
                batches += [item async for item in items if isinstance(item, Batch)]
        assert (caught.value.kind, caught.value.code) == ("DEPENDENCY", "tap.failed")

    async def test_a_config_that_is_wrong_is_not_tried_again(self, source: Make):
        failure = {"message": "no such shop", "failure_type": "config_error"}
        error = await refusal(AIRBYTE, source(fail_at=1, failure=failure), BY_ID)
        assert (error.kind, error.message) == ("INVALID_INPUT", "the tap failed: no such shop")

    async def test_what_does_not_fit_goes_to_quarantine(self, source: Make):
        got = await gather(AIRBYTE, source(nan_at=3), WHOLE)
        assert got.column("id") == [0, 1, 2, *range(4, 45)]
        assert [one.raw for one in got.rejects] == [b'{"id": NaN, "at": "2026-01-01T00:00:03Z"}']

    async def test_a_state_of_all_streams_is_refused(self, source: Make):
        assert (
            "one STATE for all streams" in (await refusal(AIRBYTE, source(global_state=True), BY_ID)).message
        )

    async def test_p12_what_it_logs_is_told_without_secrets(self, source: Make):
        async with aclosing(AIRBYTE.read(source(), WHOLE, Partition())) as items:
            said = [item.text async for item in items if isinstance(item, Said)]
        assert said == ["a library says hello", "a library says hello", "INFO: signed in with [redacted]"]


class TestAsking:
    async def test_a_check_says_what_the_source_says(self, source: Make):
        await AIRBYTE.check(source())
        with pytest.raises(SourceError, match=r"the tap failed: \[redacted\] is wrong") as caught:
            await AIRBYTE.check(source(refuse="hunter2 is wrong"))
        assert caught.value.kind == "INVALID_INPUT"

    async def test_streams_are_listed(self, source: Make):
        found = await AIRBYTE.discover(source())
        assert [(one.name, one.cursor_fields, one.key_fields) for one in found] == [
            ("rows", ("id",), ("id",)),
            ("others", (), ()),
        ]

    async def test_what_a_stream_can_not_do_is_named(self, source: Make):
        others = Wanted({}, stream="others", cursor_field="id")
        assert "can't be read INCREMENTAL" in (await refusal(AIRBYTE, source(), others)).message
        error = await refusal(AIRBYTE, source(), Wanted({}, stream="nothing"))
        assert (error.code, "others, rows" in error.message) == ("tap.stream", True)


class TestManifest:
    async def test_its_parts_are_read_one_after_another_and_any_config_is_right(
        self, source: Make, tmp_path: Path
    ):
        got = tmp_path / "got"
        await AIRBYTE.check(source(manifest=str(tmp_path / "shop.yaml"), manifest_to=str(got)))
        told = json.loads(got.read_text())
        assert told["concurrency_level"]["default_concurrency"] == 1
        assert told["spec"]["connection_specification"] == {"type": "object", "additionalProperties": True}
        assert (told["version"], told["streams"]) == ("6.60.0", [])

    async def test_what_the_operator_does_not_name_is_not_run(self, source: Make, tmp_path: Path):
        other = tmp_path / "other.yaml"
        other.write_text(_MANIFEST)
        error = await refusal(AIRBYTE, source(manifest=str(other)), WHOLE)
        assert (error.code, str(other) in error.message) == ("tap.refused", True)

    async def test_none_comes_in_by_the_config(self, source: Make):
        error = await refusal(AIRBYTE, source(__injected_declarative_manifest={"streams": []}), WHOLE)
        assert (error.code, "name a `manifest`" in error.message) == ("settings.invalid", True)

    @pytest.mark.parametrize("text", ["- a\n- b\n", "streams: [", "version: 1\n"])
    async def test_what_is_no_manifest_is_refused(self, source: Make, tmp_path: Path, text: str):
        path = tmp_path / "shop.yaml"
        path.write_text(text)
        assert (await refusal(AIRBYTE, source(manifest=str(path)), WHOLE)).code == "tap.manifest"
