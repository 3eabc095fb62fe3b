"""All SQL about gates."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.columns import database_now, insert_new
from weir_core.prepared import PreparedMany
from weir_core.tasks.gates import Gate
from weir_core.tasks.models import gate, task
from weir_core.tasks.states import TaskState

_MINUTE = 60_000_000
_LIMITED = gate.c.paused | (gate.c.max_running > 0) | (gate.c.max_per_minute > 0)

_LIMITED_OF = PreparedMany(
    lambda count: select(gate.c.name).where(
        gate.c.name.in_([bindparam(f"name_{place}", type_=gate.c.name.type) for place in range(count)]),
        _LIMITED,
    )
)


def _gate(row: Row[Any]) -> Gate:
    return Gate(
        name=row.name,
        paused=bool(row.paused),
        pause_reason=row.pause_reason,
        max_running=row.max_running,
        max_per_minute=row.max_per_minute,
        running=row.running,
        waiting=row.waiting,
        minute=row.minute,
        started=row.started,
    )


async def get(tx: AsyncConnection, names: Iterable[str]) -> dict[str, Gate]:
    """Some gates, as far as there are such."""
    rows = await tx.execute(select(gate).where(gate.c.name.in_(sorted(set(names)))))
    return {row.name: _gate(row) for row in rows}


async def limited(tx: AsyncConnection, names: Iterable[str]) -> set[str]:
    """Those of some gates that limit anything."""
    query, values = _LIMITED_OF.sized(name=sorted(set(names)))
    return {row.name for row in await query.rows(tx, **values)}


async def paused(tx: AsyncConnection) -> set[str]:
    """The gates that are paused; a pause is rare."""
    return set((await tx.execute(select(gate.c.name).where(gate.c.paused))).scalars())


async def lock(tx: AsyncConnection, names: Iterable[str]) -> tuple[dict[str, Gate], int]:
    """Some gates, kept as they are until the transaction ends, and the minute by the database's clock."""
    wanted = sorted(set(names))
    for name in wanted:
        await tx.execute(update(gate).where(gate.c.name == name).values(waiting=gate.c.waiting))
    minute = (await tx.execute(select(database_now()))).scalar_one() // _MINUTE
    return await get(tx, wanted), minute


async def open_key(tx: AsyncConnection, name: str, limit: int) -> None:
    """Make the gate of a key where it is not there; the newest limit holds."""
    await insert_new(tx, gate, asdict(Gate(name, max_running=limit)))
    await tx.execute(
        update(gate).where(gate.c.name == name, gate.c.max_running != limit).values(max_running=limit)
    )


async def save(tx: AsyncConnection, gates: Iterable[Gate]) -> None:
    """Store gates that the transaction has locked; those of keys without use are removed."""
    for each in sorted(gates, key=lambda gate: gate.name):
        if each.idle:
            await tx.execute(delete(gate).where(gate.c.name == each.name))
        else:
            await tx.execute(update(gate).where(gate.c.name == each.name).values(**asdict(each)))


async def put(tx: AsyncConnection, name: str, changes: dict[str, Any]) -> Gate:
    """Set a gate's limits or pause; it is made where it is not there."""
    gates, _ = await lock(tx, [name])
    changed = {**asdict(gates.get(name) or Gate(name)), **changes}
    if name in gates:
        await tx.execute(update(gate).where(gate.c.name == name).values(**changed))
    else:
        await tx.execute(insert(gate).values(**changed))
    return Gate(**changed)


async def with_waiting(tx: AsyncConnection, limit: int) -> list[Gate]:
    """Gates at which tasks wait."""
    query = select(gate).where(gate.c.waiting > 0).order_by(gate.c.waiting.desc()).limit(limit)
    return [_gate(row) for row in await tx.execute(query)]


async def holders(tx: AsyncConnection, key: str, limit: int) -> list[UUID]:
    """Tasks that hold a key's gate, oldest first."""
    going = [int(state) for state in TaskState if TaskState.NONE < state < TaskState.SUCCEEDED]
    query = (
        select(task.c.id)
        .where(task.c.key_gate == key, task.c.state.in_(going), task.c.parked_on.is_distinct_from(key))
        .order_by(task.c.id)
        .limit(limit)
    )
    return list((await tx.execute(query)).scalars())
