"""Loaded by each Python process that has this folder on its path; plants bugs where it is asked for."""

import os
import sys

# Children of workers, which run the handlers, have none of the code that is changed.
if os.environ.get("WEIR_PLANTED") and {"server", "worker", "scheduler"} & set(sys.orig_argv):
    from tests.faults import planted

    planted.plant()
