"""The services of one test run: MariaDB and Redis, for as long as the reader of our output lives.

    python -m tests.tools.services [--durable]

Prints one line of JSON when they answer: their URLs and versions. With `--durable`, for what is measured,
MariaDB flushes every commit to the disk and listens on a port as well; else neither, for tests. Ends, with
all that it started and the folder, when its standard input is closed, which the kernel does for a pytest
that was killed as well. With make's guard around, the folder lies in the guard's.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

from tests.tools.daemons import Missing, free_port
from tests.tools.guard import ROOT, clean
from tests.tools.mariadb import start_mariadb
from tests.tools.processes import adopt_orphans
from tests.tools.redis_server import start_redis


def main() -> int:
    """Start all, tell, and wait."""
    adopt_orphans()
    folder = Path(tempfile.mkdtemp(prefix="weir-"))
    try:
        print(json.dumps(_start(folder, durable="--durable" in sys.argv[1:])), flush=True)
        sys.stdin.buffer.read()
    except Missing as missing:
        print(json.dumps({"missing": str(missing)}), flush=True)
        return 1
    finally:
        clean(folder)
    return 0


def _start(folder: Path, *, durable: bool) -> dict[str, str]:
    os.environ["TMPDIR"] = str(folder)
    cache = ROOT / ".cache"
    for name in ("mariadb", "redis"):
        (folder / name).mkdir()
    _, redis = start_redis(folder / "redis")
    scratch = cache / f"partial-{folder.name}"
    port = free_port() if durable else 0
    _, mariadb = start_mariadb(folder / "mariadb", cache, scratch, durable=durable, port=port)
    return {"folder": str(folder), **redis, **mariadb}


if __name__ == "__main__":
    sys.exit(main())
