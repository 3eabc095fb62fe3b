"""Whether the database needs work before anything starts.

Looked up with the standard library: to load the core and Alembic for it would double the time of a start.
"""

import re
import sqlite3
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from weir_server.embedded.failures import UpFailed

_REVISION: Final = re.compile(r"^(?:down_)?revision\b[^=]*= *[\"']([^\"']+)[\"']", re.MULTILINE)
_OWN: Final = re.compile(r"^revision\b[^=]*= *[\"']([^\"']+)[\"']", re.MULTILINE)


def is_prepared(database: Path) -> bool:
    """True where the newest migration has run and there is a user."""
    if not database.exists():
        return False
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=rw", uri=True)) as connection:
        try:
            stands = {row[0] for row in connection.execute("SELECT version_num FROM alembic_version")}
            users = connection.execute('SELECT 1 FROM "user" LIMIT 1').fetchone()
        except sqlite3.OperationalError:
            return False
        except sqlite3.DatabaseError as error:
            raise UpFailed(
                f"{database}: {error}; put a copy of it back, or choose another --data-dir"
            ) from error
    return users is not None and stands == _newest()


def _newest() -> set[str]:
    """The revisions that no other one follows."""
    own: set[str] = set()
    named: list[str] = []
    for path in _versions().glob("*.py"):
        text = path.read_text()
        own.update(_OWN.findall(text))
        named += _REVISION.findall(text)
    return {revision for revision in own if named.count(revision) == 1}


def _versions() -> Path:
    core = find_spec("weir_core")
    assert core
    assert core.origin
    packaged = Path(core.origin).parent / "migrations"
    root = packaged if packaged.is_dir() else Path(core.origin).parents[2] / "migrations"
    return root / "versions"
