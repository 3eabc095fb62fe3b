"""What the scenarios visit is all that there is."""

import re

from tests.faults.scenarios.failpoints import FAILPOINTS
from tests.tools.guard import ROOT

# The scenario `collect` has a stale worker come by there.
_NO_PLACE_TO_DIE = {"fence.refused"}


def test_every_failpoint_is_visited():
    files = [path for folder in ("server", "workers") for path in (ROOT / folder).rglob("*.py")]
    there = {name for path in files for name in re.findall(r'\breach\("([\w.]+)"\)', path.read_text())}
    assert there - _NO_PLACE_TO_DIE == {name for names in FAILPOINTS.values() for name in names}
