"""`weir db`: bring the database to the newest revision, and look for drift."""

import asyncio
import logging
import os
import re
import secrets
from collections.abc import Awaitable
from pathlib import Path
from typing import Final, TypeVar

import click

from weir_core.config import Settings, require

T = TypeVar("T")

_SHORTEST_PASSWORD: Final = 12
_LONGEST_PASSWORD: Final = 256


@click.group("db")
def command() -> None:
    """Look after the database."""


@command.command()
def upgrade() -> None:
    """Bring the database to the newest revision; with WEIR_ADMIN_PASSWORD set, make the first user."""
    settings = _settings()
    made = asyncio.run(_explained(_upgrade(settings, _admin_password())))
    click.echo("the database is at the newest revision" + ("; user 'admin' was made" if made else ""))


@command.command()
def check() -> None:
    """Tell where tables and migrations differ; exit status 1 if they do."""
    from weir_core import db

    settings = _settings()
    asyncio.run(_explained(db.check(settings.database_url.get_secret_value())))
    click.echo("tables and migrations agree")


def _settings() -> Settings:
    settings = Settings.load()
    require(settings, "database_url")
    if folder := missing_folder(settings):
        raise click.ClickException(f"WEIR_DATABASE_URL: the folder {folder} does not exist; make it")
    # What the database remarks about the statements of a migration is nothing to act on.
    logging.getLogger("asyncmy").setLevel(logging.ERROR)
    return settings


def missing_folder(settings: Settings) -> Path | None:
    """The folder of a SQLite file, where it is not there."""
    from sqlalchemy import make_url

    url = make_url(settings.database_url.get_secret_value())
    folder = Path(url.database or "").absolute().parent
    return folder if url.get_backend_name() == "sqlite" and not folder.is_dir() else None


def _admin_password() -> str:
    given = os.environ.get("WEIR_ADMIN_PASSWORD", "")
    if given and not _SHORTEST_PASSWORD <= len(given) <= _LONGEST_PASSWORD:
        raise click.ClickException(
            f"WEIR_ADMIN_PASSWORD has {len(given)} characters; "
            f"a password has {_SHORTEST_PASSWORD} to {_LONGEST_PASSWORD}"
        )
    return given


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


async def _explained(work: Awaitable[T]) -> T:
    """What stands in the way, in plain words with what helps."""
    from alembic.util import CommandError
    from sqlalchemy.exc import DBAPIError

    from weir_core.errors import WeirError

    try:
        return await work
    except CommandError as error:
        raise click.ClickException(advice(str(error))) from None
    except DBAPIError as error:
        raise click.ClickException(
            f"the database of WEIR_DATABASE_URL can't be used: {_said(error.orig)}; see: weir doctor"
        ) from None
    except (WeirError, OSError) as error:
        raise click.ClickException(
            f"the database of WEIR_DATABASE_URL can't be used: {error}; see: weir doctor"
        ) from None


def _said(error: BaseException | None) -> str:
    return str(error.args[-1] if error and error.args else error)


def advice(said: str) -> str:
    """What to do about what Alembic says."""
    if unknown := re.search(r"Can't locate revision identified by '(\w+)'", said):
        return (
            f"the database is at revision {unknown[1]}, which this version of Weir does not know; "
            "run the version that brought it there, or a newer one"
        )
    if "not up to date" in said:
        return "the database lacks the newest migrations; run: weir db upgrade"
    return f"tables and migrations differ: {said}"
