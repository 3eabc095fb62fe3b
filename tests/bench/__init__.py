"""Benchmarks: what Weir takes for a thing, beside a reference that is measured in the same run.

    make bench                                    # all of them
    make bench ARGS="calls start --quick"         # some, in about a minute
    python -m tests.bench --help

Server, worker and references run in processes of their own, on a private MariaDB that flushes every commit
and a private Valkey. A goal is printed beside each ratio and never asserted: machines differ.
"""

import os

# This process forks before gRPC's threads matter; what it starts begins anew.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
