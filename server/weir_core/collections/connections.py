"""Connectors and connections, as callers and workers use them."""

import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.collections import repository
from weir_core.collections.models import (
    Connection,
    ConnectionChange,
    Connector,
    NewConnection,
    connection,
    connector,
)
from weir_core.collections.settings import check_connection, check_secret_set
from weir_core.db import Database
from weir_core.errors import (
    Conflict,
    EtagMismatch,
    InUse,
    InvalidArgument,
    NameTaken,
    NotFound,
    PermissionMissing,
)
from weir_core.filtering import Filterable, parse, to_sql
from weir_core.idempotency import RequestKey, request_key
from weir_core.ids import new_id
from weir_core.paging import Page
from weir_core.principals import Caller
from weir_core.secrets import SecretBox
from weir_core.users.permissions import DEFAULT_PROJECT
from weir_core.users.projects import Projects

_TRIES: Final = 5
CONNECTOR_FILTERS: Final = {"name": Filterable(connector.c.name)}
CONNECTION_FILTERS: Final = {
    "project": Filterable(connection.c.project),
    "name": Filterable(connection.c.name),
    "connector": Filterable(connection.c.connector),
}


def secrets_place(connection_id: UUID) -> str:
    """Where the secrets of a connection are kept, as the secret box wants it."""
    return f"connection/{connection_id}"


async def secrets_of(tx: AsyncConnection, box: SecretBox, connection_id: UUID) -> dict[str, str]:
    """The secrets of a connection, in clear: for who is about to use them."""
    return opened(box, connection_id, await repository.sealed_secrets(tx, connection_id))


def opened(box: SecretBox, connection_id: UUID, sealed: bytes | None) -> dict[str, str]:
    """The secrets of a connection, in clear, from what is stored."""
    return orjson.loads(box.open(sealed, secrets_place(connection_id))) if sealed else {}


class ConnectionService:
    """The outside systems that can be read."""

    def __init__(self, db: Database, box: SecretBox, projects: Projects) -> None:
        self._db = db
        self._box = box
        self._projects = projects
        self._digest_key = box.derive("request content")

    async def register_connectors(self, connectors: Sequence[Connector]) -> None:
        """Store the connectors that a starting worker has."""

        async def work(tx: AsyncConnection) -> None:
            for brought in sorted(connectors, key=lambda brought: brought.name):
                await repository.save_connector(tx, brought)

        await self._db.write(work)

    async def list_connectors(self, page: Page, filter_text: str) -> list[Connector]:
        """Connectors by name; one more than the page holds, where there is one."""
        conditions = to_sql(parse(filter_text), CONNECTOR_FILTERS)
        after = str(page.key[0]) if page.key else ""
        async with self._db.read() as tx:
            return await repository.list_connectors(tx, conditions, after, page.size + 1)

    async def create_connection(self, caller: Caller, new: NewConnection, request_id: str = "") -> Connection:
        """Store a connection; its secrets are encrypted from the first row."""
        new = replace(new, project=new.project or DEFAULT_PROJECT)
        demand(caller, "connections.write", new.project)
        if new.allow_private_addresses:
            demand(caller, "connections.private", new.project)
        key = request_key(caller.principal, "CreateConnection", request_id, self._content(new))
        if made := await self._connection_of(key):
            return made
        await self._check_connection(new)
        connection_id = new_id()
        sealed = self._sealed(connection_id, new.secrets)

        async def work(tx: AsyncConnection) -> None:
            if not await repository.insert_connection(
                tx, connection_id, new, sealed=sealed, creator=caller.principal, key=key
            ):
                raise NameTaken("connection", new.name)

        try:
            await self._db.write(work)
        except NameTaken:
            if made := await self._connection_of(key):
                return made
            raise
        return await self.get_connection(caller, connection_id, "connections.write")

    async def get_connection(
        self, caller: Caller, connection_id: UUID, permission: str = "connections.read"
    ) -> Connection:
        """A connection without its secrets; NotFound where the caller may not see it."""
        async with self._db.read() as tx:
            found = await repository.get_connection(tx, connection_id)
        if found is None or not caller.holds(permission, found.project):
            raise NotFound("connection", connection_id)
        return found

    async def list_connections(self, caller: Caller, page: Page, filter_text: str) -> list[Connection]:
        """Connections by name; one more than the page holds, where there is one."""
        conditions = to_sql(parse(filter_text), CONNECTION_FILTERS)
        projects = caller.projects("connections.read")
        async with self._db.read() as tx:
            return await repository.list_connections(tx, projects, conditions, name_key(page), page.size + 1)

    async def update_connection(
        self,
        caller: Caller,
        connection_id: UUID,
        etag: str,
        change: Callable[[Connection], ConnectionChange],
    ) -> Connection:
        """Change a connection by a function of what it is; secrets that are kept are kept as they are."""
        for _ in range(_TRIES):
            found = await self.get_connection(caller, connection_id, "connections.write")
            if etag and etag != found.etag:
                raise EtagMismatch("connection", connection_id)
            changed = change(found)
            new = changed.wanted
            if new.allow_private_addresses and not found.allow_private_addresses:
                demand(caller, "connections.private", found.project)
            async with self._db.read() as tx:
                kept = await secrets_of(tx, self._box, connection_id)
            secrets = {name: kept[name] for name in changed.kept_secrets if name in kept} | new.secrets
            new = replace(new, secrets=secrets, project=found.project, connector=found.connector)
            await self._check_connection(new)
            values = {
                "name": new.name,
                "settings": new.settings,
                "secrets": self._sealed(connection_id, secrets),
                "secret_names": sorted(secrets),
                "allow_private_addresses": new.allow_private_addresses,
                "politeness": asdict(new.politeness),
            }
            if await self._changed(found, values):
                return await self.get_connection(caller, connection_id, "connections.write")
        raise Conflict("the connection is changed by others all the time; call again")

    async def delete_connection(self, caller: Caller, connection_id: UUID, etag: str = "") -> None:
        """Delete a connection that no collection uses; one that was deleted before stays so."""

        async def work(tx: AsyncConnection) -> None:
            row = await repository.lock_connection(tx, connection_id)
            project = await repository.project_of_connection(tx, connection_id)
            if project is None or not caller.holds("connections.write", project):
                raise NotFound("connection", connection_id)
            if row is None:
                return
            if etag and etag != str(row.revision):
                raise EtagMismatch("connection", connection_id)
            if user := await repository.name_of_user(tx, connection_id):
                raise InUse(f"collection {user!r} reads over it; delete that first", by=f"collection {user}")
            await repository.delete_connection(tx, connection_id)

        await self._db.write(work)

    async def _changed(self, found: Connection, values: dict[str, Any]) -> bool:
        try:
            return await self._db.write(lambda tx: repository.change_connection(tx, found, values))
        except IntegrityError:
            raise NameTaken("connection", values["name"]) from None

    def _sealed(self, connection_id: UUID, secrets: dict[str, str]) -> bytes | None:
        return self._box.seal(orjson.dumps(secrets), secrets_place(connection_id)) if secrets else None

    async def check_new(self, new: NewConnection) -> None:
        """Refuse a connection that could not be stored."""
        await self._check_connection(new)

    async def _connection_of(self, key: RequestKey | None) -> Connection | None:
        if key is None:
            return None
        async with self._db.read() as tx:
            return await repository.connection_of_request(tx, key)

    async def _check_connection(self, new: NewConnection) -> None:
        await self._projects.require(new.project)
        if not new.connector:
            check_secret_set(new)
            return
        async with self._db.read() as tx:
            known = await require_connector(tx, new.connector)
        check_connection(known.name, known.connection_schema, new.settings, new.secrets)
        if new.politeness.max_per_minute and not known.can_pace:
            raise InvalidArgument.at(
                "connection.politeness.max_per_minute",
                f"must be 0: the connector {known.name} does not ask by single requests",
            )

    def _content(self, new: NewConnection) -> Any:
        # A plain hash of a weak secret could be guessed from a copy of the database.
        digests = {
            name: hmac.new(self._digest_key, value.encode(), hashlib.sha256).hexdigest()
            for name, value in new.secrets.items()
        }
        return {
            "project": new.project,
            "name": new.name,
            "connector": new.connector,
            "settings": new.settings,
            "secrets": digests,
            "allow_private_addresses": new.allow_private_addresses,
            "politeness": asdict(new.politeness),
        }


def name_key(page: Page) -> tuple[str, UUID] | None:
    """The key of the last entry shown, in a list by name."""
    return (str(page.key[0]), UUID(page.key[1])) if page.key else None


def demand(caller: Caller, permission: str, project: str) -> None:
    """Refuse a caller without the permission in the project that its request names."""
    if not caller.holds(permission, project):
        raise PermissionMissing(permission, project)


def demand_source(connector: str, field: str) -> None:
    """Refuse a connection that is only a set of secrets where something is to be read over it."""
    if not connector:
        raise InvalidArgument.at(
            field, "without a connector it is a set of secrets for tasks, and nothing is read over it"
        )


async def require_connector(tx: AsyncConnection, name: str) -> Connector:
    """A connector that a worker has brought."""
    found = await repository.get_connector(tx, name)
    if found is None:
        known = [one.name for one in await repository.list_connectors(tx, [], "", 20)]
        raise InvalidArgument.at(
            "connection.connector",
            f"no worker has brought a connector {name!r}; known are {', '.join(known) or 'none yet'}",
        )
    return found
