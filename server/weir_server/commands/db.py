"""`weir db`: bring the database to the newest revision, and look for drift."""

import asyncio
import os
import secrets
import sys

import click

from weir_core.config import Settings, require


@click.group("db")
def command() -> None:
    """Look after the database."""


@command.command()
def upgrade() -> None:
    """Bring the database to the newest revision; with WEIR_ADMIN_PASSWORD set, make the first user."""
    settings = _settings()
    made = asyncio.run(_upgrade(settings, os.environ.get("WEIR_ADMIN_PASSWORD", "")))
    click.echo("the database is at the newest revision" + ("; user 'admin' was made" if made else ""))


@command.command()
def check() -> None:
    """Tell where tables and migrations differ; exit status 1 if they do."""
    from alembic.util import CommandError

    from weir_core import db

    settings = _settings()
    try:
        asyncio.run(db.check(settings.database_url.get_secret_value()))
    except CommandError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    click.echo("tables and migrations agree")


def _settings() -> Settings:
    settings = Settings.load()
    require(settings, "database_url")
    return settings


async def _upgrade(settings: Settings, admin_password: str) -> bool:
    from weir_core import db
    from weir_core.users.credentials import Passwords
    from weir_core.users.projects import Projects
    from weir_core.users.service import UserService

    url = settings.database_url.get_secret_value()
    await db.upgrade(url)
    database, passwords = db.Database(url), Passwords()
    try:
        # The key only matters for request ids, and there are none here.
        users = UserService(database, passwords, Projects(database), secrets.token_bytes(32))
        return await users.bootstrap(admin_password)
    finally:
        passwords.close()
        await database.close()
