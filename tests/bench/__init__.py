"""Benchmarks: what Weir takes for a thing, beside a reference that is measured in the same run.

    make bench                                    # all of them
    make bench ARGS="calls start --quick"         # some, in about a minute
    make bench ARGS="collect sql progress read"   # collections, at 500,000 records and 1,000,000 rows
    make bench ARGS="read --quick --rows 200000"  # one, with other numbers of records
    python -m tests.bench --help

Server, worker and references run in processes of their own, on a private MariaDB that flushes every commit
and a private Valkey. A goal is printed beside each ratio and never asserted: machines differ.
"""

import os

# This process forks before gRPC's threads matter; what it starts begins anew.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
