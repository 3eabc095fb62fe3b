"""What the scenarios visit is all that there is."""

import re

from tests.faults.scenarios.failpoints import FAILPOINTS
from tests.tools.guard import ROOT

_ENGINE = (
    "server/weir_core/tasks",
    "server/weir_core/files",
    "server/weir_core/schedules",
    "workers/weir_workers",
)


def test_every_failpoint_of_the_engine_is_visited():
    files = [path for folder in _ENGINE for path in (ROOT / folder).rglob("*.py")]
    there = {name for path in files for name in re.findall(r'\breach\("([\w.]+)"\)', path.read_text())}
    assert there == {name for names in FAILPOINTS.values() for name in names}
