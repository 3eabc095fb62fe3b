"""The log of a process, as `configure` sends it to standard error."""

import json
import logging
import re
import sys
from collections.abc import Generator
from typing import Any

import pytest

from weir_core import logs
from weir_core.config import Settings


@pytest.fixture(autouse=True)
def _handlers_back() -> Generator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def log(capsys: pytest.CaptureFixture[str], **settings: Any) -> list[str]:
    """The lines of a small story under these settings."""
    logs.configure(Settings(**settings))
    told = logging.getLogger("weir.story")
    told.debug("small talk")
    told.info("task %s is %s", "t1", "done", extra={"task": "t1", "seconds": 1.5})
    token = logs.request_id.set("r-1")
    try:
        int("broken\nin two")
    except ValueError:
        told.exception("it failed")
    finally:
        logs.request_id.reset(token)
    sys.stderr.flush()
    return capsys.readouterr().err.splitlines()


class TestJson:
    def test_is_one_object_a_line_with_what_is_known(self, capsys: pytest.CaptureFixture[str]):
        first, second = map(json.loads, log(capsys, log_format="json"))
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first.pop("time"))
        assert first == {
            "level": "INFO",
            "logger": "weir.story",
            "message": "task t1 is done",
            "task": "t1",
            "seconds": 1.5,
        }
        assert (second["level"], second["message"], second["request"]) == ("ERROR", "it failed", "r-1")
        assert second["exception"].endswith(
            "ValueError: invalid literal for int() with base 10: 'broken\\nin two'"
        )

    def test_what_json_has_no_word_for_is_told_as_text(self, capsys: pytest.CaptureFixture[str]):
        logs.configure(Settings(log_format="json"))
        logging.getLogger("weir").info("odd", extra={"thing": {1, 2}, "error": KeyError("k")})
        line = json.loads(capsys.readouterr().err)
        assert (line["thing"], line["error"]) == ("{1, 2}", "'k'")

    @pytest.mark.parametrize("value", [2**70, "half of a pair: \ud800"])
    def test_takes_what_its_fast_writer_refuses(self, capsys: pytest.CaptureFixture[str], value: Any):
        logs.configure(Settings(log_format="json"))
        logging.getLogger("weir").info("odd", extra={"thing": value})
        assert json.loads(capsys.readouterr().err)["thing"] == value


class TestText:
    def test_is_a_line_for_people(self, capsys: pytest.CaptureFixture[str]):
        lines = log(capsys, log_format="text")
        assert re.fullmatch(r"\d{4}-\S+Z INFO weir\.story: task t1 is done task=t1 seconds=1\.5", lines[0])
        assert lines[1].endswith("ERROR weir.story: it failed")
        assert lines[-1].startswith("ValueError: invalid literal")


class TestLevel:
    def test_is_obeyed(self, capsys: pytest.CaptureFixture[str]):
        assert "small talk" in log(capsys, log_level="DEBUG")[0]
        assert "it failed" in log(capsys, log_level="ERROR")[0]
