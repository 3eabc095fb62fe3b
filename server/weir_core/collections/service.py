"""Collections, as callers use them."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Final
from uuid import UUID

import pyarrow as pa
from sqlalchemy import Row
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.collections import repository, run_repository
from weir_core.collections.connections import demand, demand_source, name_key, require_connector
from weir_core.collections.guards import Check
from weir_core.collections.models import (
    BY_CURSOR,
    Collection,
    Connector,
    NewCollection,
    SyncMode,
    collection,
)
from weir_core.collections.settings import check_collection
from weir_core.columns import MICROSECOND
from weir_core.datasets import repository as datasets
from weir_core.datasets.cursors import as_json, as_scalar, is_state
from weir_core.datasets.manifest import column_type
from weir_core.datasets.values import CursorValue
from weir_core.db import Database
from weir_core.errors import (
    Conflict,
    EtagMismatch,
    InUse,
    InvalidArgument,
    NameTaken,
    NotFound,
    StateConflict,
)
from weir_core.filtering import Filterable, id_value, parse, to_sql
from weir_core.idempotency import RequestKey, request_key
from weir_core.ids import new_id
from weir_core.paging import Page
from weir_core.principals import Caller
from weir_core.tasks.states import TERMINAL
from weir_core.users.permissions import DEFAULT_PROJECT
from weir_core.users.projects import Projects

_TRIES: Final = 5
COLLECTION_FILTERS: Final = {
    "project": Filterable(collection.c.project),
    "name": Filterable(collection.c.name),
    "connection_id": Filterable(collection.c.connection_id, id_value),
}


@dataclass(frozen=True, slots=True)
class Expected:
    """The cursor that a caller takes for the current one."""

    cursor: CursorValue | None


class CollectionService:
    """What is read over a connection, how, and into which dataset."""

    def __init__(self, db: Database, projects: Projects) -> None:
        self._db = db
        self._projects = projects

    async def create_collection(self, caller: Caller, new: NewCollection, request_id: str = "") -> Collection:
        """Store a collection, and its dataset where that does not exist."""
        new = replace(new, project=new.project or DEFAULT_PROJECT, dataset=new.dataset or new.name)
        demand(caller, "collections.write", new.project)
        demand(caller, "connections.use", new.project)
        key = request_key(caller.principal, "CreateCollection", request_id, _collection_content(new))
        if made := await self._collection_of(key):
            return made
        await self._check_collection(new)
        collection_id = new_id()

        async def work(tx: AsyncConnection) -> None:
            # A connection that is deleted at this moment is not used any more.
            if await repository.lock_connection(tx, new.connection_id) is None:
                raise NotFound("connection", new.connection_id)
            dataset_id = await _take_dataset(tx, new, collection_id)
            if not await repository.insert_collection(
                tx, collection_id, new, dataset_id=dataset_id, creator=caller.principal, key=key
            ):
                raise NameTaken("collection", new.name)

        try:
            await self._db.write(work)
        except (NameTaken, InUse):
            if made := await self._collection_of(key):
                return made
            raise
        return await self.get_collection(caller, collection_id, "collections.write")

    async def get_collection(
        self, caller: Caller, collection_id: UUID, permission: str = "collections.read"
    ) -> Collection:
        """A collection with its last run; NotFound where the caller may not see it."""
        async with self._db.read() as tx:
            found = await repository.get_collection(tx, collection_id)
            if found is None or not caller.holds(permission, found.project):
                raise NotFound("collection", collection_id)
            return (await _with_last_runs(tx, [found]))[0]

    async def list_collections(self, caller: Caller, page: Page, filter_text: str) -> list[Collection]:
        """Collections by name; one more than the page holds, where there is one."""
        conditions = to_sql(parse(filter_text), COLLECTION_FILTERS)
        projects = caller.projects("collections.read")
        async with self._db.read() as tx:
            found = await repository.list_collections(tx, projects, conditions, name_key(page), page.size + 1)
            return await _with_last_runs(tx, found)

    async def update_collection(
        self,
        caller: Caller,
        collection_id: UUID,
        etag: str,
        change: Callable[[Collection], NewCollection],
    ) -> Collection:
        """Change a collection by a function of what it is; project and dataset stay."""
        for _ in range(_TRIES):
            found = await self.get_collection(caller, collection_id, "collections.write")
            if etag and etag != found.etag:
                raise EtagMismatch("collection", collection_id)
            new = replace(change(found), project=found.project, dataset=found.dataset)
            if new.connection_id != found.connection_id:
                demand(caller, "connections.use", found.project)
            _check_cursor_stays(found, new)
            await self._check_collection(new)
            if await self._changed(found, new):
                return await self.get_collection(caller, collection_id, "collections.write")
        raise Conflict("the collection is changed by others all the time; call again")

    async def delete_collection(self, caller: Caller, collection_id: UUID, etag: str = "") -> None:
        """Delete a collection that has no run in progress; its dataset stays, and another may write it."""

        async def work(tx: AsyncConnection) -> None:
            row = await repository.lock_collection(tx, collection_id)
            project = await repository.project_of_collection(tx, collection_id)
            if project is None or not caller.holds("collections.write", project):
                raise NotFound("collection", collection_id)
            if row is None:
                return
            if etag and etag != str(row.revision):
                raise EtagMismatch("collection", collection_id)
            await demand_no_run(tx, row)
            gone = {"is_delete": True, "live": None}
            await repository.update_collection(tx, collection_id, gone)
            await datasets.update_dataset(tx, row.dataset_id, {"collection_id": None})

        await self._db.write(work)

    async def set_cursor(
        self,
        caller: Caller,
        collection_id: UUID,
        cursor: CursorValue | None,
        expected: Expected | None = None,
    ) -> Collection:
        """Set how far a collection has come; None: nowhere yet. Where an unfinished run was is forgotten."""

        async def work(tx: AsyncConnection) -> None:
            row = await repository.lock_collection(tx, collection_id)
            if row is None or not caller.holds("collections.write", row.project):
                raise NotFound("collection", collection_id)
            if not row.cursor_field:
                raise InvalidArgument.at("cursor", "the collection goes forward by no cursor field")
            kind = await column_type(tx, row.dataset_id, row.cursor_field)
            wanted = _as_kept("cursor", cursor, kind)
            if expected is not None and row.cursor != wanted:
                before = _as_kept("expected_cursor", expected.cursor, kind)
                if row.cursor != before:
                    raise Conflict(f"the cursor is {row.cursor!r}, not {before!r}; read it again")
            await demand_no_run(tx, row)
            await repository.update_collection(
                tx, collection_id, {"cursor": wanted, "pending": None, "known": None}
            )

        await self._db.write(work)
        return await self.get_collection(caller, collection_id, "collections.write")

    async def _changed(self, found: Collection, new: NewCollection) -> bool:
        async def work(tx: AsyncConnection) -> bool:
            if await repository.lock_connection(tx, new.connection_id) is None:
                raise NotFound("connection", new.connection_id)
            values = {**repository.collection_values(new), "known": None}
            return await repository.change_collection(tx, found, values)

        try:
            return await self._db.write(work)
        except IntegrityError:
            raise NameTaken("collection", new.name) from None

    async def check_new(self, new: NewCollection) -> None:
        """Refuse a collection that could not be stored."""
        await self._check_collection(new)

    async def _collection_of(self, key: RequestKey | None) -> Collection | None:
        if key is None:
            return None
        async with self._db.read() as tx:
            found = await repository.collection_of_request(tx, key)
            return (await _with_last_runs(tx, [found]))[0] if found else None

    async def _check_collection(self, new: NewCollection) -> None:
        await self._projects.require(new.project)
        async with self._db.read() as tx:
            source = await repository.get_connection(tx, new.connection_id)
            if source is None or source.project != new.project:
                raise NotFound("connection", new.connection_id)
            demand_source(source.connector, "collection.connection_id")
            known = await require_connector(tx, source.connector)
        _check_mode(known, new)
        _check_stream(known, new)
        check_collection(known.name, known.collection_schema, new.settings)


def _check_cursor_stays(found: Collection, new: NewCollection) -> None:
    """A cursor says nothing of another field: it would leave records out, or read them twice."""
    if found.cursor is not None and new.cursor_field != found.cursor_field:
        raise InvalidArgument.at(
            "collection.cursor_field",
            f"can't change while the cursor is {found.cursor!r}, which is of {found.cursor_field!r}; "
            "set it to none with SetCursor first",
        )


async def demand_no_run(tx: AsyncConnection, row: Row[Any]) -> None:
    """StateConflict while a run of the collection, or a backfill, goes on."""
    ids = [run_id for run_id in (row.last_run_id, row.backfill_run_id) if run_id]
    for run in (await run_repository.runs_by_id(tx, ids)).values():
        if run.state not in TERMINAL:
            raise StateConflict(
                f"run {run.id} of the collection goes on; wait for its end, or cancel it with CancelTask",
                state=run.state.name,
                allowed=", ".join(sorted(state.name for state in TERMINAL)),
            )


def _as_kept(field: str, cursor: CursorValue | None, kind: pa.DataType | None) -> CursorValue | None:
    """A cursor as a run would have left it."""
    if cursor is None or kind is None or is_state(cursor):
        return cursor
    try:
        return as_json(as_scalar(cursor, kind))
    except ValueError as error:
        raise InvalidArgument.at(field, str(error)) from None


def _check_mode(known: Connector, new: NewCollection) -> None:
    if new.mode not in known.modes:
        modes = ", ".join(mode.name for mode in known.modes)
        raise InvalidArgument.at(
            "collection.mode", f"the connector {known.name!r} serves {modes}, not {new.mode.name}"
        )
    mode = new.mode.name
    if new.mode in BY_CURSOR and not new.cursor_field:
        raise InvalidArgument.at("collection.cursor_field", f"must name a column in mode {mode}")
    if new.mode not in BY_CURSOR and new.cursor_field:
        raise InvalidArgument.at(
            "collection.cursor_field", f"is for the modes INCREMENTAL and MERGE, not {mode}; leave it empty"
        )
    if new.mode is SyncMode.MERGE and not new.key_fields:
        raise InvalidArgument.at("collection.key_fields", "must name the columns of the key in mode MERGE")
    only_merge = {"key_fields": new.key_fields, "deleted_field": new.deleted_field, "lag": new.lag}
    for field, value in only_merge.items():
        if value and new.mode is not SyncMode.MERGE:
            raise InvalidArgument.at(f"collection.{field}", f"is for mode MERGE, not {mode}; leave it unset")
    for at, guard in enumerate(new.guards):
        if guard.check is Check.MAX_AGE and not new.cursor_field:
            raise InvalidArgument.at(f"collection.guards[{at}].max_age", "needs a cursor field")


def _check_stream(known: Connector, new: NewCollection) -> None:
    if new.stream and not known.can_discover:
        raise InvalidArgument.at(
            "collection.stream", f"the connector {known.name!r} has no streams; leave it empty"
        )


async def _take_dataset(tx: AsyncConnection, new: NewCollection, collection_id: UUID) -> UUID:
    dataset_id = new_id()
    if await datasets.insert_dataset(tx, dataset_id, new.project, new.dataset, collection_id):
        return dataset_id
    there = await datasets.lock_by_name(tx, new.project, new.dataset)
    if there is None or there.collection_id is not None:
        owner = "" if there is None else str(there.collection_id)
        raise InUse(
            f"the dataset {new.dataset!r} is written by another collection; name another one in `dataset`",
            by=f"collection {owner}",
        )
    await datasets.update_dataset(tx, there.id, {"collection_id": collection_id})
    return there.id


async def _with_last_runs(tx: AsyncConnection, found: list[Collection]) -> list[Collection]:
    wanted = [one.last_run_id for one in found if one.last_run_id is not None]
    runs = await run_repository.runs_by_id(tx, wanted) if wanted else {}
    return [replace(one, last_run=runs.get(one.last_run_id)) if one.last_run_id else one for one in found]


def _collection_content(new: NewCollection) -> Any:
    return {
        "project": new.project,
        "name": new.name,
        "connection_id": str(new.connection_id),
        "settings": new.settings,
        "mode": new.mode.name,
        "stream": new.stream,
        "cursor_field": new.cursor_field,
        "key_fields": list(new.key_fields),
        "deleted_field": new.deleted_field,
        "lag": new.lag // MICROSECOND,
        "schema_policy": new.schema_policy.name,
        "guards": [asdict(guard) for guard in new.guards],
        "dataset": new.dataset,
    }
