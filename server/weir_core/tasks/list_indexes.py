"""By which index a list of tasks is read: MySQL and MariaDB must be told, SQLite finds it."""

import functools
from typing import Any

from sqlalchemy import Column, Select, literal_column
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import BinaryExpression, BooleanClauseList

from weir_core.tasks.models import task

_DIALECTS = ("mysql", "mariadb")


def for_first_page(tx: AsyncConnection, query: Select[Any], conditions: list[Any]) -> Select[Any]:
    """The query for the newest tasks that meet the conditions.

    Left alone, the database walks through all tasks by id, which takes long where what is looked for is
    rare. Only where all that an index finds has one value does it lie in the list's order.
    """
    return _force(tx, query, _ordered(_compared(conditions) & _equal_to_one(conditions)))


async def for_further_page(tx: AsyncConnection, query: Select[Any], conditions: list[Any]) -> Select[Any]:
    """The query, which has a bound on the id as well.

    Left alone, the database walks the index of an equality from its end, through all pages before this one,
    instead of taking a range of it. With several indexes to choose from it may do so still, where it finds
    the equality of one and the range of another the cheapest. So it is asked for the best one without the
    bound, and told to take that.
    """
    indexes = _ordered(_compared(conditions))
    if len(indexes) > 1 and tx.dialect.name in _DIALECTS:
        asked = _force(tx, _Explained(literal_column("1")).select_from(task).where(*conditions), indexes)
        plan = (await tx.execute(asked)).mappings()
        # An intersection of indexes is told as all their names.
        best = next((str(step["key"]).split(",")[0] for step in plan if step["table"] == task.name), "")
        indexes = (best,) if best in indexes else indexes
    return _force(tx, query, indexes)


class _Explained(Select[Any]):
    """A query that is asked how it would be done."""

    inherit_cache = True


@compiles(_Explained)
def _explain(query: _Explained, compiler: SQLCompiler, **options: Any) -> str:
    return f"EXPLAIN FORMAT=TRADITIONAL {compiler.visit_select(query, **options)}"


def _force(tx: AsyncConnection, query: Select[Any], indexes: tuple[str, ...]) -> Select[Any]:
    if not indexes or tx.dialect.name not in _DIALECTS:
        return query
    return query.with_hint(task, f"FORCE INDEX ({', '.join(indexes)})", tx.dialect.name)


def _compared(conditions: list[Any]) -> frozenset[str]:
    """The task's columns in the conditions."""
    return frozenset(
        element.name
        for condition in conditions
        for element in visitors.iterate(condition)
        if isinstance(element, Column) and element.table is task
    )


def _equal_to_one(conditions: list[Any]) -> set[str]:
    """The columns that must equal one value, whatever else holds."""
    found: set[str] = set()
    for condition in conditions:
        if isinstance(condition, BooleanClauseList) and condition.operator is operators.and_:
            found |= _equal_to_one(list(condition.clauses))
        elif isinstance(condition, BinaryExpression) and condition.operator is operators.eq:
            left = condition.left
            found |= {left.name} if isinstance(left, Column) and left.table is task else set()
    return found


@functools.lru_cache(256)
def _ordered(compared: frozenset[str]) -> tuple[str, ...]:
    """The indexes that give a list its order within what is compared."""
    return tuple(
        str(index.name)
        for index in task.indexes
        if (columns := [column.name for column in index.columns])[-1] == "id"
        and compared >= set(columns[:-1])
    )
