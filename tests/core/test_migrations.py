"""The tables in the code and those that the migrations make are the same, on both databases."""

import pytest
from alembic.util import CommandError
from sqlalchemy import text

from tests.fixtures.database import MariaDB
from weir_core import db


class TestCheck:
    async def test_tables_and_migrations_agree(self, database_url: str):
        await db.check(database_url)

    @pytest.mark.parametrize(
        "drift",
        [
            "ALTER TABLE session ADD COLUMN extra INTEGER",
            "DROP TABLE session",
            "DROP INDEX ix_session_user_id_id",
            "ALTER TABLE session RENAME COLUMN client_name TO client",
        ],
    )
    async def test_drift_is_told(self, empty_database_url: str, drift: str):
        await db.upgrade(empty_database_url)
        if empty_database_url.startswith("mysql") and drift.startswith("DROP INDEX"):
            drift += " ON session"
        await _run(empty_database_url, drift)
        with pytest.raises(CommandError, match="New upgrade operations detected"):
            await db.check(empty_database_url)

    @pytest.mark.parametrize(
        "column",
        [
            "client_name VARCHAR(100) NOT NULL",
            "client_name VARCHAR(200) COLLATE utf8mb4_general_ci NOT NULL",
            "client_name TEXT NOT NULL",
            "user_id BINARY(8) NOT NULL",
            "generation BIGINT NOT NULL",
            "create_time INTEGER NOT NULL",
            "create_time BIGINT",
        ],
    )
    async def test_a_column_of_another_type_is_told(self, mariadb: MariaDB, column: str):
        # SQLite can't change a column's type.
        url = await mariadb.empty()
        await db.upgrade(url)
        await _run(url, f"ALTER TABLE session MODIFY COLUMN {column}")
        with pytest.raises(CommandError, match="New upgrade operations detected"):
            await db.check(url)


class TestUpgrade:
    async def test_a_second_upgrade_changes_nothing(self, empty_database_url: str):
        await db.upgrade(empty_database_url)
        await db.upgrade(empty_database_url)
        await db.check(empty_database_url)

    async def test_an_upgrade_has_nothing_to_warn_of(
        self, empty_database_url: str, caplog: pytest.LogCaptureFixture
    ):
        await db.upgrade(empty_database_url)
        assert [record for record in caplog.records if record.levelname == "WARNING"] == []


async def _run(url: str, statement: str) -> None:
    database = db.Database(url)
    try:
        await database.write(lambda tx: tx.execute(text(statement)))
    finally:
        await database.close()
