"""Statements of hot paths: compiled once a database, and sent through the driver.

SQLAlchemy builds, looks up and wraps a statement each time it is run, which
takes three times as long as the query. A `Prepared` keeps what came out of it
the first time: the text, the order of the values, and how each column's type
writes and reads them. It runs in a transaction of `Database` like any other
statement, and fails with the same errors.
"""

import collections
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from sqlalchemy import Dialect, Executable
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

Values = Mapping[str, Any]
_Process = Callable[[Any], Any]
# The columns are known at run time only.
_tuple: Any = collections.namedtuple  # noqa: PYI024 - as said


class Prepared:
    """One statement, on SQLite another one where it must be; its values are named by `bindparam`s."""

    def __init__(self, statement: Executable, sqlite: Executable | None = None) -> None:
        self._statement = statement
        self._sqlite = statement if sqlite is None else sqlite
        self._forms: dict[str, _Form] = {}

    async def rows(self, tx: AsyncConnection, **values: Any) -> list[Any]:
        """What a SELECT finds, as named tuples of its columns."""
        form = self._form(tx)
        given = form.write(values)
        async with _driver(tx, form.text) as connection:
            if tx.dialect.name == "sqlite":
                found = await connection.execute_fetchall(form.text, given)
            else:
                async with connection.cursor() as cursor:
                    await cursor.execute(form.text, given)
                    found = await cursor.fetchall()
        return [form.read(row) for row in found]

    async def run(self, tx: AsyncConnection, **values: Any) -> int:
        """Run a statement that changes rows; how many it met."""
        form = self._form(tx)
        given = form.write(values)
        async with _driver(tx, form.text) as connection, connection.cursor() as cursor:
            await cursor.execute(form.text, given)
            return cursor.rowcount

    async def run_many(self, tx: AsyncConnection, values: Sequence[Values]) -> None:
        """Run it for each; an INSERT goes as one statement of many rows."""
        if values:
            form = self._form(tx)
            given = [form.write(each) for each in values]
            async with _driver(tx, form.text) as connection, connection.cursor() as cursor:
                await cursor.executemany(form.text, given)

    def _form(self, tx: AsyncConnection) -> "_Form":
        form = self._forms.get(tx.dialect.name)
        if form is None:
            statement = self._sqlite if tx.dialect.name == "sqlite" else self._statement
            form = self._forms[tx.dialect.name] = _Form(statement, tx.dialect)
        return form


class PreparedMany:
    """A statement about a list of things: one form for each size, rounded up to a power of two."""

    def __init__(self, build: Callable[[int], Any]) -> None:
        self._build = build
        self._sizes: dict[int, Prepared] = {}

    def sized(self, **lists: Sequence[Any]) -> tuple[Prepared, dict[str, Any]]:
        """The statement for lists of one length, and its values `name_0`, …; the last ones fill up."""
        last = len(next(iter(lists.values()))) - 1
        size = 1 << last.bit_length()
        prepared = self._sizes.get(size)
        if prepared is None:
            prepared = self._sizes[size] = Prepared(self._build(size))
        places = [min(place, last) for place in range(size)]
        return prepared, {
            f"{name}_{number}": items[place]
            for name, items in lists.items()
            for number, place in enumerate(places)
        }


class _Form:
    """A statement as one database wants it."""

    def __init__(self, statement: Any, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        assert not compiled.post_compile_params, "a list in a statement makes its text anew each time"
        self.text: Final[str] = compiled.string
        self._names: list[str] = list(compiled.positiontup or ())
        self._fixed: dict[str, Any] = {
            name: bind.effective_value for name, bind in compiled.binds.items() if not bind.required
        }
        self._write: list[_Process | None] = [
            compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect) for name in self._names
        ]
        columns: list[Any] = list(getattr(statement, "selected_columns", ()))
        self._row = _tuple("Row", [column.key for column in columns])
        self._read: list[tuple[int, _Process]] = [
            (place, process)
            for place, column in enumerate(columns)
            if (process := column.type.dialect_impl(dialect).result_processor(dialect, None))
        ]

    def write(self, values: Values) -> tuple[Any, ...]:
        """The values in the statement's order, as the driver takes them."""
        fixed = self._fixed
        raw = [values[name] if name in values else fixed[name] for name in self._names]
        return tuple(
            value if process is None else process(value)
            for value, process in zip(raw, self._write, strict=True)
        )

    def read(self, raw: Sequence[Any]) -> Any:
        """A row, as its columns' types read it."""
        row = list(raw)
        for place, process in self._read:
            if row[place] is not None:
                row[place] = process(row[place])
        return self._row._make(row)


@asynccontextmanager
async def _driver(tx: AsyncConnection, text: str) -> AsyncGenerator[Any]:
    """The driver's own connection; what fails on it fails as in SQLAlchemy."""
    assert tx.sync_connection
    connection: Any = tx.sync_connection.connection.driver_connection
    errors: Any = tx.dialect.loaded_dbapi
    try:
        yield connection
    except errors.Error as error:
        lost = tx.dialect.is_disconnect(error, connection, None)
        if lost:
            await tx.invalidate()
        raise DBAPIError.instance(
            text, None, error, errors.Error, connection_invalidated=lost, dialect=tx.dialect
        ) from error
    except Exception as error:
        # What a driver raises on a connection that breaks under its hands is any error there is.
        await tx.invalidate()
        raise OperationalError(text, None, error, connection_invalidated=True) from error
    except BaseException:
        # Broken off in the middle: nobody knows what the connection would answer next.
        await tx.invalidate()
        raise
