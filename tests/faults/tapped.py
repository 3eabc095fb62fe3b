"""Real taps from the package registry, each with a source on this machine that takes its time."""

import asyncio
import json
import re
import secrets
import subprocess
import sys
from bisect import bisect_right
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

from aiohttp import web
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from tests.faults.services import Service
from weir.types import SyncMode

_BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)
_LATENCY: Final = 0.12
_WORDS: Final = "word " * 40
_PAGE: Final = 50
_TABLE: Final = """id INT PRIMARY KEY AUTO_INCREMENT, at DATETIME NOT NULL, name VARCHAR(50) NOT NULL,
words VARCHAR(300) NOT NULL, INDEX (at)"""
_FIRST_USER: Final = datetime(2013, 1, 1, tzinfo=UTC)
_BETWEEN: Final = re.compile(r"updated_at:\{(\S+)\s+TO (\S+)\]")


class Source(Protocol):
    """Has records with the ids 1 to `count`."""

    count: int

    async def grow(self, count: int) -> None:
        """Have so many records more."""
        ...


@dataclass
class Tapped:
    """A collection over a tap."""

    name: str
    connector: str
    source: Source
    settings: Callable[[], dict[str, Any]]
    """The connection's, as they must be for what there is now."""
    secrets: dict[str, str]
    stream: str
    mode: SyncMode.ValueType
    cursor_field: str
    batch: int
    """How many records the source grows by in a round."""
    asked: Callable[[], int] | None = None
    """How many pages were asked for: the sign of being under way, of a tap whose STATE comes at its end."""

    @property
    def allowed(self) -> list[str]:
        """What an operator has to allow."""
        told = self.settings()
        return [told["package"], *told.get("more_packages", []), *filter(None, [told.get("manifest")])]


@dataclass
class Shelf:
    """Books over HTTP, in the order of `at`, a minute apart; who asks shows a key."""

    url: str = ""
    count: int = 0
    asked: int = 0
    key: str = field(default_factory=lambda: secrets.token_hex(8))

    async def grow(self, count: int) -> None:
        """Have so many books more."""
        self.count += count

    async def serve(self, request: web.Request) -> web.Response:
        """A page of what lies between two times."""
        if request.headers.get("X-Key") != self.key:
            return web.Response(status=401)
        self.asked += 1
        await asyncio.sleep(_LATENCY)
        asked = request.query
        first = _number(asked["since"]) if "since" in asked else 1
        end = min(_number(asked["until"]) if "until" in asked else self.count + 1, self.count + 1)
        number = int(asked.get("page", 1))
        begin = first + (number - 1) * _PAGE
        books = [_book(one) for one in range(begin, min(begin + _PAGE, end))]
        return web.json_response({"books": books, "next": number + 1 if begin + _PAGE < end else None})


def _number(time: str) -> int:
    """The first book from a time on."""
    found = datetime.fromisoformat(time)
    since = (found if found.tzinfo else found.replace(tzinfo=UTC)) - _BEGIN
    return max(1, -(-since // timedelta(minutes=1)))


def _time(number: int) -> str:
    return (_BEGIN + timedelta(minutes=number)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _book(number: int) -> dict[str, Any]:
    return {"id": number, "at": _time(number), "name": f"book {number}", "words": _WORDS}


def by_windows(shelf: Shelf, schemas: Path) -> Tapped:
    """tap-rest-api: windows of ten hours, with a STATE after each."""
    kinds = {"id": "integer", "at": "string", "name": "string", "words": "string"}
    properties = {name: {"type": ["null", kind]} for name, kind in kinds.items()}
    (schemas / "books.json").write_text(json.dumps({"type": "object", "properties": properties}))
    query = "page={current_page_one_base}&since={start_datetime}&until={end_datetime}"

    def settings() -> dict[str, Any]:
        config = {
            "url": f"{shelf.url}/books?{query}",
            "streams": "books",
            "schema_dir": str(schemas),
            "record_list_level": "books[*]",
            "datetime_keys": {"books": "at"},
            "start_datetime": _time(0),
            "end_datetime": _time(shelf.count + 1),
            "items_per_page": _PAGE,
            "window_size_hours": 10,
            "assume_sorted": False,
        }
        return {"package": "tap-rest-api==0.2.22", "config": config}

    # It takes headers as a text.
    secret = {"http_headers": json.dumps({"X-Key": shelf.key})}
    return Tapped(
        "tap-rest-api",
        "singer",
        shelf,
        settings,
        {"config_secrets": json.dumps(secret)},
        "books",
        SyncMode.SYNC_MODE_INCREMENTAL,
        "at",
        6000,
    )


def by_pages(shelf: Shelf) -> Tapped:
    """tap-rest-api-msdk: from its replication key on, with a STATE at its end."""
    stream = {
        "name": "books",
        "path": "/books",
        "primary_keys": ["id"],
        "records_path": "$.books[*]",
        "replication_key": "at",
        "start_date": _time(0),
        "source_search_field": "since",
        "source_search_query": "$last_run_date",
    }

    def settings() -> dict[str, Any]:
        return {
            "package": "tap-rest-api-msdk==1.4.2",
            # It needs pkg_resources, which later ones do not have.
            "more_packages": ["setuptools==80.9.0"],
            "config": {"api_url": shelf.url, "next_page_token_path": "$.next", "streams": [stream]},
        }

    return Tapped(
        "tap-rest-api-msdk",
        "singer",
        shelf,
        settings,
        {"config_secrets": json.dumps({"headers": {"X-Key": shelf.key}})},
        "books",
        SyncMode.SYNC_MODE_INCREMENTAL,
        "at",
        2000,
        lambda: shelf.asked,
    )


@dataclass
class Table:
    """A table of MariaDB, three rows a second of `at`."""

    service: Service
    name: str
    count: int = 0
    password: str = field(default_factory=lambda: secrets.token_hex(8))

    async def grow(self, count: int) -> None:
        """Insert so many rows more."""
        rows = [
            {"at": _BEGIN.replace(tzinfo=None) + timedelta(seconds=number // 3), "name": f"n{number}"}
            for number in range(self.count, self.count + count)
        ]
        async with self._admin() as admin:
            for statement in self._begin() if self.count == 0 else ():
                await admin.execute(text(statement))
            insert = f"INSERT INTO shop.{self.name} (at, name, words) VALUES (:at, :name, :words)"
            await admin.execute(text(insert), [row | {"words": _WORDS} for row in rows])
        self.count += count

    def _begin(self) -> list[str]:
        who = f"{self.name}@localhost"
        return [
            "CREATE DATABASE IF NOT EXISTS shop",
            f"CREATE TABLE shop.{self.name} ({_TABLE})",
            f"CREATE USER {who} IDENTIFIED BY '{self.password}'",
            f"GRANT SELECT ON shop.* TO {who}",
        ]

    @asynccontextmanager
    async def _admin(self) -> AsyncGenerator[AsyncConnection]:
        engine = create_async_engine(self.service.told["mariadb_admin"].format(name="mysql"))
        try:
            async with engine.begin() as connection:
                yield connection
        finally:
            await engine.dispose()


def by_rows(table: Table, port: int, mode: SyncMode.ValueType) -> Tapped:
    """pipelinewise-tap-mysql: with a STATE after each thousand rows."""
    config = {"host": "127.0.0.1", "port": str(port), "user": table.name, "filter_dbs": "shop"}
    by_key = mode == SyncMode.SYNC_MODE_INCREMENTAL
    return Tapped(
        f"pipelinewise-tap-mysql, {'by key' if by_key else 'whole table'}",
        "singer",
        table,
        lambda: {
            "package": "pipelinewise-tap-mysql==1.6.0",
            "executable": "tap-mysql",
            "catalog": "properties",
            "config": config,
        },
        {"config_secrets": json.dumps({"password": table.password})},
        f"shop-{table.name}",
        mode,
        "at" if by_key else "",
        30_000,
    )


@dataclass
class Tenant:
    """Users over HTTP as Auth0 lists them, in the order of `updated_at`, about a third of a day apart.

    None changes at the moment at which a slice begins: the manifest itself passes over such a one, since
    its slices end a millisecond before that and begin behind it.
    """

    url: str = ""
    count: int = 0
    key: str = field(default_factory=lambda: secrets.token_hex(8))

    async def grow(self, count: int) -> None:
        """Have so many users more."""
        self.count += count

    async def serve(self, request: web.Request) -> web.Response:
        """A page of users, or the one organization with the one member that a check asks for."""
        if request.headers.get("Authorization") != f"Bearer {self.key}":
            return web.Response(status=401)
        path = request.path.removeprefix("/api/v2/")
        if path != "users":
            return web.json_response([{"id": "one", "user_id": "one", "client_id": "one"}])
        await asyncio.sleep(_LATENCY)
        after, until = _BETWEEN.fullmatch(request.query["q"]).groups()  # pyright: ignore[reportOptionalMemberAccess]
        first = bisect_right(range(1, self.count + 1), _moment(after), key=_updated) + 1
        end = bisect_right(range(1, self.count + 1), _moment(until), key=_updated) + 1
        begin = first + int(request.query.get("page", 0)) * _PAGE
        return web.json_response([_user(one) for one in range(begin, min(begin + _PAGE, end))])


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _updated(number: int) -> datetime:
    return _FIRST_USER + number * timedelta(hours=8, seconds=7)


def _user(number: int) -> dict[str, Any]:
    updated = _updated(number).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"user_id": f"auth0|{number}", "id": number, "updated_at": updated, "name": _WORDS}


def by_slices(tenant: Tenant, manifest: Path) -> Tapped:
    """The manifest of airbyte-source-auth0: slices of a year, with a STATE after each."""

    def settings() -> dict[str, Any]:
        config = {
            "base_url": tenant.url,
            "start_date": "2013-01-01T00:00:00.000Z",
            "credentials": {"auth_type": "oauth2_access_token"},
        }
        return {"package": "airbyte-cdk==7.39.1", "manifest": str(manifest), "config": config}

    return Tapped(
        "manifest of airbyte-source-auth0",
        "airbyte",
        tenant,
        settings,
        {"config_secrets": json.dumps({"credentials": {"access_token": tenant.key}})},
        "users",
        SyncMode.SYNC_MODE_INCREMENTAL,
        "updated_at",
        5000,
    )


def manifest_of_auth0(folder: Path) -> Path:
    """The manifest in the package, which is fetched without what it needs."""
    command = [sys.executable, "-m", "uv", "pip", "install", "-q", "--no-deps", "--target", str(folder)]
    subprocess.run([*command, "airbyte-source-auth0==0.5.16"], check=True)
    return folder / "source_auth0/manifest.yaml"
