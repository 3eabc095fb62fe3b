"""P6 in its long form: 20 schedules of one fire a second for a minute, with a kill and a freeze of 20 s.

    python -m tests.faults.schedules

The short form is in the suite: this runs the same tests, for longer.
"""

import os
import sys

import pytest


def main() -> int:
    """Run the tests of the scheduler's processes over a minute."""
    os.environ["WEIR_TEST_SCHEDULES"] = "60"
    return pytest.main(
        ["tests/workers/test_scheduler.py", "-s", "-k", "killed_and_one_frozen", *sys.argv[1:]]
    )


if __name__ == "__main__":
    sys.exit(main())
