"""Whether a start has to migrate, looked up without loading what migrates."""

import sqlite3
from pathlib import Path

import pytest

from tests.fixtures.database import SQLite
from weir_server.embedded.database import is_prepared
from weir_server.embedded.failures import UpFailed


@pytest.fixture
async def migrated(sqlite: SQLite, tmp_path: Path) -> Path:
    await sqlite.fresh(tmp_path)
    return tmp_path / "weir.sqlite"


def run(database: Path, statement: str) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute(statement)
    connection.close()


def add_user(database: Path) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        columns = [row[1] for row in connection.execute('PRAGMA table_info("user")')]
        connection.execute(
            f'INSERT INTO "user" ({", ".join(columns)}) VALUES ({", ".join("0" for _ in columns)})'
        )
    connection.close()


class TestIsPrepared:
    def test_not_where_there_is_no_database(self, tmp_path: Path):
        assert not is_prepared(tmp_path / "weir.db")
        assert not (tmp_path / "weir.db").exists()

    def test_not_where_it_is_empty(self, tmp_path: Path):
        (tmp_path / "weir.db").touch()
        assert not is_prepared(tmp_path / "weir.db")

    def test_not_where_there_is_no_user(self, migrated: Path):
        assert not is_prepared(migrated)

    def test_where_all_is_done(self, migrated: Path):
        add_user(migrated)
        assert is_prepared(migrated)

    def test_not_where_a_migration_is_missing(self, migrated: Path):
        add_user(migrated)
        run(migrated, "UPDATE alembic_version SET version_num = '0000'")
        assert not is_prepared(migrated)

    def test_says_where_the_file_is_no_database(self, tmp_path: Path):
        (tmp_path / "weir.db").write_bytes(b"something else, and long enough for a page" * 99)
        with pytest.raises(UpFailed, match=r"weir\.db: file is not a database; put a copy of it back"):
            is_prepared(tmp_path / "weir.db")
