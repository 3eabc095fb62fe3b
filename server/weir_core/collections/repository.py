"""All SQL about connectors, connections and collections."""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, Row, Select, and_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.collections.guards import Check, Guard
from weir_core.collections.models import (
    Collection,
    Connection,
    ConnectionCheck,
    Connector,
    NewCollection,
    NewConnection,
    Politeness,
    SyncMode,
    collection,
    connection,
    connector,
)
from weir_core.columns import MICROSECOND, insert_new
from weir_core.datasets.models import dataset
from weir_core.datasets.values import SchemaPolicy
from weir_core.idempotency import RequestKey, request_values
from weir_core.principals import Principal, creator_of, creator_values

_CHECK = TypeAdapter(ConnectionCheck)


async def save_connector(tx: AsyncConnection, brought: Connector) -> None:
    """Store what a worker tells of a connector."""
    values: dict[str, Any] = {
        "description": brought.description,
        "version": brought.version,
        "connection_schema": brought.connection_schema,
        "collection_schema": brought.collection_schema,
        "modes": [mode.name for mode in brought.modes],
        "can_discover": brought.can_discover,
        "can_pace": brought.can_pace,
        "update_time": datetime.now(UTC),
    }
    # Another worker may bring the same at the same moment.
    await insert_new(tx, connector, values | {"name": brought.name})
    await tx.execute(update(connector).where(connector.c.name == brought.name).values(**values))


async def get_connector(tx: AsyncConnection, name: str) -> Connector | None:
    """One connector."""
    row = (await tx.execute(select(connector).where(connector.c.name == name))).first()
    return _connector(row) if row else None


async def list_connectors(
    tx: AsyncConnection, conditions: list[ColumnElement[bool]], after: str, limit: int
) -> list[Connector]:
    """Connectors by name."""
    query = select(connector).where(connector.c.name > after, *conditions)
    return [_connector(row) for row in await tx.execute(query.order_by(connector.c.name).limit(limit))]


async def insert_connection(
    tx: AsyncConnection,
    connection_id: UUID,
    new: NewConnection,
    *,
    sealed: bytes | None,
    creator: Principal,
    key: RequestKey | None,
) -> bool:
    """Store a connection; False where its name or the request id is taken."""
    values: dict[str, Any] = {
        "id": connection_id,
        "project": new.project,
        "name": new.name,
        "connector": new.connector,
        "settings": new.settings,
        "secrets": sealed,
        "secret_names": sorted(new.secrets),
        "allow_private_addresses": new.allow_private_addresses,
        "politeness": asdict(new.politeness),
        "revision": 1,
        "create_time": datetime.now(UTC),
        "is_delete": False,
        "live": True,
    }
    return await insert_new(tx, connection, values | creator_values(creator) | request_values(key))


async def get_connection(tx: AsyncConnection, connection_id: UUID) -> Connection | None:
    """One connection, without its secrets."""
    query = select(connection).where(connection.c.id == connection_id, connection.c.live)
    row = (await tx.execute(query)).first()
    return _connection(row) if row else None


async def change_connection(tx: AsyncConnection, before: Connection, values: dict[str, Any]) -> bool:
    """Set columns of a connection that is as it was; False where another change came before."""
    same = and_(connection.c.id == before.id, connection.c.live, connection.c.revision == before.revision)
    # How another revision was tried says nothing of this one.
    changed = values | {
        "revision": before.revision + 1,
        "update_time": datetime.now(UTC),
        "last_check": None,
    }
    return (await tx.execute(update(connection).where(same).values(**changed))).rowcount == 1


async def project_of_connection(tx: AsyncConnection, connection_id: UUID) -> str | None:
    """The project of a connection, deleted or not."""
    return (await tx.execute(select(connection.c.project).where(connection.c.id == connection_id))).scalar()


async def lock_connection(tx: AsyncConnection, connection_id: UUID) -> Row[Any] | None:
    """The row of a connection, held until the transaction ends."""
    query = select(connection).where(connection.c.id == connection_id, connection.c.live)
    return (await tx.execute(query.with_for_update())).first()


async def delete_connection(tx: AsyncConnection, connection_id: UUID) -> None:
    """Delete a connection, and forget its secrets."""
    gone = {"is_delete": True, "live": None, "secrets": None, "update_time": datetime.now(UTC)}
    await tx.execute(update(connection).where(connection.c.id == connection_id).values(**gone))


async def name_of_user(tx: AsyncConnection, connection_id: UUID) -> str | None:
    """The name of a collection that uses a connection."""
    query = select(collection.c.name).where(collection.c.connection_id == connection_id, collection.c.live)
    return (await tx.execute(query.limit(1))).scalar()


async def sealed_secrets(tx: AsyncConnection, connection_id: UUID) -> bytes | None:
    """The encrypted secrets of a connection."""
    return (await tx.execute(select(connection.c.secrets).where(connection.c.id == connection_id))).scalar()


async def connections_named(tx: AsyncConnection, project: str, names: Iterable[str]) -> list[Row[Any]]:
    """The rows of a project's connections with these names, encrypted secrets included."""
    wanted = connection.c.project == project, connection.c.name.in_(sorted(names)), connection.c.live
    return list(await tx.execute(select(connection).where(*wanted)))


async def note_check(tx: AsyncConnection, connection_id: UUID, revision: int, check: ConnectionCheck) -> None:
    """Keep how a try of a connection went, unless it was changed since."""
    await tx.execute(
        update(connection)
        .where(connection.c.id == connection_id, connection.c.live, connection.c.revision == revision)
        .values(last_check=_CHECK.dump_python(check, mode="json"))
    )


async def connection_of_request(tx: AsyncConnection, key: RequestKey) -> Connection | None:
    """The connection that a request made before; RequestIdReused where its content was another."""
    row = (await tx.execute(select(connection).where(connection.c.request_key == key.key))).first()
    if row is None:
        return None
    key.check(row.request_content)
    return _connection(row)


async def list_connections(
    tx: AsyncConnection,
    projects: list[str] | None,
    conditions: list[ColumnElement[bool]],
    after: tuple[str, UUID] | None,
    limit: int,
) -> list[Connection]:
    """Connections by name."""
    query = by_name(select(connection).where(connection.c.live, *conditions), connection, projects, after)
    return [_connection(row) for row in await tx.execute(query.limit(limit))]


async def insert_collection(
    tx: AsyncConnection,
    collection_id: UUID,
    new: NewCollection,
    *,
    dataset_id: UUID,
    creator: Principal,
    key: RequestKey | None,
) -> bool:
    """Store a collection; False where its name or the request id is taken."""
    values = collection_values(new) | {
        "id": collection_id,
        "project": new.project,
        "dataset_id": dataset_id,
        "revision": 1,
        "create_time": datetime.now(UTC),
        "is_delete": False,
        "live": True,
    }
    return await insert_new(tx, collection, values | creator_values(creator) | request_values(key))


def collection_values(new: NewCollection) -> dict[str, Any]:
    """What callers set of a collection and may change."""
    return {
        "name": new.name,
        "connection_id": new.connection_id,
        "stream": new.stream,
        "settings": new.settings,
        "mode": int(new.mode),
        "cursor_field": new.cursor_field,
        "key_fields": list(new.key_fields),
        "deleted_field": new.deleted_field,
        "lag": new.lag // MICROSECOND,
        "schema_policy": int(new.schema_policy),
        "guards": [asdict(guard) for guard in new.guards],
    }


async def change_collection(tx: AsyncConnection, before: Collection, values: dict[str, Any]) -> bool:
    """Set columns of a collection that is as it was; False where another change came before."""
    same = and_(collection.c.id == before.id, collection.c.live, collection.c.revision == before.revision)
    changed = values | {"revision": before.revision + 1, "update_time": datetime.now(UTC)}
    return (await tx.execute(update(collection).where(same).values(**changed))).rowcount == 1


async def project_of_collection(tx: AsyncConnection, collection_id: UUID) -> str | None:
    """The project of a collection, deleted or not."""
    return (await tx.execute(select(collection.c.project).where(collection.c.id == collection_id))).scalar()


_collections = select(collection, dataset.c.name.label("dataset_name")).join(
    dataset, dataset.c.id == collection.c.dataset_id
)


async def get_collection(tx: AsyncConnection, collection_id: UUID) -> Collection | None:
    """One collection, without its last run."""
    query = _collections.where(collection.c.id == collection_id, collection.c.live)
    row = (await tx.execute(query)).first()
    return _collection(row) if row else None


async def collection_of_request(tx: AsyncConnection, key: RequestKey) -> Collection | None:
    """The collection that a request made before; RequestIdReused where its content was another."""
    row = (await tx.execute(_collections.where(collection.c.request_key == key.key))).first()
    if row is None:
        return None
    key.check(row.request_content)
    return _collection(row)


async def list_collections(
    tx: AsyncConnection,
    projects: list[str] | None,
    conditions: list[ColumnElement[bool]],
    after: tuple[str, UUID] | None,
    limit: int,
) -> list[Collection]:
    """Collections by name, without their last runs."""
    query = by_name(_collections.where(collection.c.live, *conditions), collection, projects, after)
    return [_collection(row) for row in await tx.execute(query.limit(limit))]


async def lock_collection(tx: AsyncConnection, collection_id: UUID) -> Row[Any] | None:
    """The row of a collection, held until the transaction ends."""
    query = select(collection).where(collection.c.id == collection_id, collection.c.live)
    return (await tx.execute(query.with_for_update())).first()


async def update_collection(tx: AsyncConnection, collection_id: UUID, values: dict[str, Any]) -> None:
    """Set columns of a collection."""
    await tx.execute(update(collection).where(collection.c.id == collection_id).values(**values))


def by_name(
    query: Select[Any], table: Any, projects: list[str] | None, after: tuple[str, UUID] | None
) -> Select[Any]:
    """Of what a query finds, that of some projects, by name, from after a key on."""
    if projects is not None:
        query = query.where(table.c.project.in_(projects))
    if after is not None:
        name, key = after
        query = query.where(or_(table.c.name > name, and_(table.c.name == name, table.c.id > key)))
    return query.order_by(table.c.name, table.c.id)


def _connector(row: Row[Any]) -> Connector:
    return Connector(
        name=row.name,
        description=row.description,
        version=row.version,
        connection_schema=row.connection_schema,
        collection_schema=row.collection_schema,
        modes=tuple(SyncMode[name] for name in row.modes),
        can_discover=bool(row.can_discover),
        can_pace=bool(row.can_pace),
    )


def _connection(row: Row[Any]) -> Connection:
    return Connection(
        id=row.id,
        project=row.project,
        name=row.name,
        connector=row.connector,
        settings=row.settings,
        secret_names=row.secret_names,
        allow_private_addresses=bool(row.allow_private_addresses),
        politeness=Politeness(**row.politeness) if row.politeness else Politeness(),
        revision=row.revision,
        creator=creator_of(row),
        create_time=row.create_time,
        update_time=row.update_time or row.create_time,
        last_check=None if row.last_check is None else _CHECK.validate_python(row.last_check),
    )


def _collection(row: Row[Any]) -> Collection:
    return Collection(
        id=row.id,
        project=row.project,
        name=row.name,
        connection_id=row.connection_id,
        stream=row.stream,
        settings=row.settings,
        mode=SyncMode(row.mode),
        cursor_field=row.cursor_field,
        key_fields=tuple(row.key_fields or ()),
        deleted_field=row.deleted_field,
        lag=row.lag * MICROSECOND,
        schema_policy=SchemaPolicy(row.schema_policy or SchemaPolicy.EVOLVE),
        guards=tuple(Guard(**kept | {"check": Check(kept["check"])}) for kept in row.guards or ()),
        dataset_id=row.dataset_id,
        dataset=row.dataset_name,
        cursor=row.cursor,
        last_run_id=_newest(row.last_run_id, row.backfill_run_id),
        revision=row.revision,
        creator=creator_of(row),
        create_time=row.create_time,
        update_time=row.update_time or row.create_time,
    )


def _newest(one: UUID | None, other: UUID | None) -> UUID | None:
    """The later of two ids, which are in the order of time."""
    return max(one, other) if one and other else one or other
