"""The process in which the connector `sql` talks to a database.

What it is to do comes as one line of JSON on standard input, password and all;
frames go out on standard output. It ends with its worker: when standard input
is closed, and at the latest when the kernel tells that the parent is dead.
"""

import os
import socket
import sys
import threading
from collections.abc import Mapping
from typing import Any, BinaryIO

import orjson

from weir_workers.connectors import sql_frames as frames
from weir_workers.connectors.errors import SourceError
from weir_workers.connectors.sql_parts import ends_of_parts
from weir_workers.connectors.sql_place import Place
from weir_workers.connectors.sql_plan import Asked, Span
from weir_workers.connectors.sql_reading import Job, Sizes, SqlReading
from weir_workers.connectors.sql_tables import Database, Table, failure, ordered
from weir_workers.wards.processes import die_with


def main() -> None:
    """Do what the line says, and tell how it went."""
    die_with(int(sys.argv[1]))
    to = os.fdopen(os.dup(1), "wb")
    # A library that prints must not get between the frames.
    os.dup2(2, 1)
    order = orjson.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_worker, daemon=True).start()
    place = Place(**order["place"])
    try:
        _do(place, order, to)
        frames.send(to, frames.DONE, b"")
    except SourceError as error:
        frames.send(to, frames.FAILED, orjson.dumps([error.kind, error.message, error.code, error.host]))
    except BrokenPipeError:
        return
    except MemoryError:
        told = ["RESOURCE", "the rows do not fit into memory", "sql.memory", place.host]
        frames.send(to, frames.FAILED, orjson.dumps(told))
    except Exception as error:  # noqa: BLE001 - its text may hold what is secret, its type does not
        told = failure(place, "INVALID_INPUT", "driver", f"the driver failed: {type(error).__name__}")
        frames.send(to, frames.FAILED, orjson.dumps([told.kind, told.message, told.code, told.host]))


def _do(place: Place, order: Mapping[str, Any], to: BinaryIO) -> None:
    database = _connected(place, order["addresses"])
    try:
        match order["verb"]:
            case "check":
                pass
            case "discover":
                tables = database.tables()
                frames.send(to, frames.STREAMS, orjson.dumps([_told(table) for table in tables]))
            case "cut":
                table = _table(place, database, order)
                ends = ends_of_parts(database, place.dialect, table, _job(order))
                frames.send(to, frames.PARTS, orjson.dumps(ends))
            case _:
                table = _table(place, database, order)
                SqlReading(place, database, table, _job(order), to).run()
    finally:
        database.close()


def _connected(place: Place, addresses: list[str]) -> Database:
    """A session with the first address that answers."""
    match place.dialect:
        case "sqlite":
            from weir_workers.connectors.sql_sqlite import SQLite

            return SQLite(place)
        case "mysql":
            from weir_workers.connectors.sql_mysql import MySQL

            return MySQL(place, _dialled(place, addresses))
        case "postgresql":
            from weir_workers.connectors.sql_postgres import PostgreSQL

            with _dialled(place, addresses) as end:
                address = end.getpeername()[0]
            return PostgreSQL(place, address)


def _dialled(place: Place, addresses: list[str]) -> socket.socket:
    error: OSError | None = None
    for address in addresses:
        try:
            return socket.create_connection((address, place.port), place.timeout)
        except OSError as refused:
            error = refused
    said = (error.strerror if error is not None else None) or "no answer"
    raise failure(place, "DEPENDENCY", "connect", f"can't connect to {place.host}:{place.port}: {said}")


def _table(place: Place, database: Database, order: Mapping[str, Any]) -> Table:
    if order["query"]:
        return database.query(order["query"])
    found = database.tables(order["stream"])
    exact = [table for table in found if table.name == order["stream"]] or found
    if not exact:
        raise failure(place, "INVALID_INPUT", "missing", f"there is no table or view {order['stream']!r}")
    return exact[0]


def _job(order: Mapping[str, Any]) -> Job:
    schema = frames.schema_of(order["schema"]) if order["schema"] else None
    return Job(
        schema,
        declared=order["declared"],
        asked=Asked(**order["asked"]),
        key=tuple(order["key"]),
        span=Span(**order.get("part", {})),
        limit=order["limit"],
        position=order.get("position"),
        fast=order.get("fast", True),
        sizes=Sizes(**order["sizes"]),
    )


def _told(table: Table) -> list[Any]:
    import pyarrow as pa

    columns = [column for column in table.columns if not pa.types.is_null(column.kind)]
    schema = pa.schema([pa.field(column.name, column.kind, column.nullable) for column in columns])
    return [table.name, frames.schema_text(schema), ordered(table), table.key, table.estimate]


def _end_with_worker() -> None:
    # The worker writes nothing more: what comes is its end.
    os.read(0, 1)
    os._exit(0)


if __name__ == "__main__":
    main()
