"""`weir db` on both databases."""

import pytest
from sqlalchemy import text

from tests.fixtures.cli import Weir
from tests.fixtures.database import MariaDB
from weir_core import db
from weir_core.users.credentials import Passwords

PASSWORD = "correct horse battery"


async def ask(url: str, query: str) -> list[str]:
    database = db.Database(url)
    try:
        async with database.read() as tx:
            return list((await tx.execute(text(query))).scalars())
    finally:
        await database.close()


async def change(url: str, statement: str) -> None:
    database = db.Database(url)
    try:
        await database.write(lambda tx: tx.execute(text(statement)))
    finally:
        await database.close()


class TestUpgrade:
    async def test_makes_the_tables_and_once_the_first_user(
        self, weir_program: Weir, empty_database_url: str
    ):
        without = weir_program("db", "upgrade", WEIR_DATABASE_URL=empty_database_url)
        assert (without.status, without.out) == (0, "the database is at the newest revision\n")
        assert await ask(empty_database_url, "SELECT name FROM `user`") == []

        variables = {"WEIR_DATABASE_URL": empty_database_url, "WEIR_ADMIN_PASSWORD": PASSWORD}
        first = weir_program("db", "upgrade", **variables)
        assert (first.status, first.out) == (
            0,
            "the database is at the newest revision; user 'admin' was made\n",
        )
        again = weir_program("db", "upgrade", **variables | {"WEIR_ADMIN_PASSWORD": "another password"})
        assert (again.status, again.out) == (0, "the database is at the newest revision\n")

        assert await ask(empty_database_url, "SELECT name FROM project ORDER BY name") == [
            "default",
            "system",
        ]
        (stored,) = await ask(empty_database_url, "SELECT password_hash FROM `user` WHERE name = 'admin'")
        passwords = Passwords()
        assert await passwords.check(stored, PASSWORD)
        passwords.close()

    async def test_says_where_a_newer_version_has_been(self, weir_program: Weir, empty_database_url: str):
        await db.upgrade(empty_database_url)
        await change(empty_database_url, "UPDATE alembic_version SET version_num = '9999'")
        refused = weir_program("db", "upgrade", WEIR_DATABASE_URL=empty_database_url)
        assert refused.status == 1
        assert refused.err.startswith(
            "weir: the database is at revision 9999, which this version of Weir does not"
        )


class TestCheck:
    async def test_tells_what_is_to_be_done(self, weir_program: Weir, empty_database_url: str):
        lacking = weir_program("db", "check", WEIR_DATABASE_URL=empty_database_url)
        assert (lacking.status, lacking.err) == (
            1,
            "weir: the database lacks the newest migrations; run: weir db upgrade\n",
        )
        await db.upgrade(empty_database_url)
        well = weir_program("db", "check", WEIR_DATABASE_URL=empty_database_url)
        assert (well.status, well.out) == (0, "tables and migrations agree\n")
        await change(empty_database_url, "ALTER TABLE session ADD COLUMN extra INTEGER")
        differs = weir_program("db", "check", WEIR_DATABASE_URL=empty_database_url)
        assert differs.status == 1
        assert "tables and migrations differ: " in differs.err
        assert "remove_column" in differs.err
        assert "extra" in differs.err


class TestRefusal:
    """One sentence, without what is secret."""

    @pytest.mark.parametrize("verb", ["upgrade", "check"])
    def test_of_a_database_that_does_not_answer(self, weir_program: Weir, verb: str):
        url = "mysql+asyncmy://weir:s3cret@127.0.0.1:1/weir"
        refused = weir_program("db", verb, WEIR_DATABASE_URL=url)
        assert refused.status == 1
        assert refused.err.startswith("weir: the database of WEIR_DATABASE_URL can't be used: ")
        assert refused.err.endswith("; see: weir doctor\n")
        assert "s3cret" not in refused.err

    async def test_of_a_wrong_password(self, weir_program: Weir, mariadb: MariaDB):
        url = (
            (await mariadb.fresh()).replace("://", "://nobody:s3cret@", 1).replace("s3cret@root@", "s3cret@")
        )
        refused = weir_program("db", "upgrade", WEIR_DATABASE_URL=url)
        assert refused.status == 1
        assert "s3cret" not in refused.err

    def test_of_a_folder_that_is_not_there(self, weir_program: Weir):
        refused = weir_program("db", "upgrade", WEIR_DATABASE_URL="sqlite+aiosqlite:////nowhere/weir.db")
        assert (refused.status, "the folder /nowhere does not exist; make it" in refused.err) == (1, True)

    def test_where_no_database_is_named(self, weir_program: Weir):
        refused = weir_program("db", "upgrade")
        assert (refused.status, refused.err.startswith("not set: WEIR_DATABASE_URL")) == (1, True)

    def test_of_a_password_that_is_too_short(self, weir_program: Weir):
        refused = weir_program(
            "db", "upgrade", WEIR_DATABASE_URL="sqlite+aiosqlite:///x.db", WEIR_ADMIN_PASSWORD="short"
        )
        assert "WEIR_ADMIN_PASSWORD has 5 characters; a password has 12 to 256" in refused.err
