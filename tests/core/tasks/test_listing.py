"""How deep pages of a long list are read: from where they begin, whatever the list was filtered by."""

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.fixtures.engine import Engine
from weir_core.ids import new_id
from weir_core.tasks import repository
from weir_core.tasks.models import task
from weir_core.tasks.states import TaskState

mariadb = pytest.mark.parametrize("database_kind", ["mariadb"], indirect=True)
ROWS, PLACE = 8_000, 7_200


async def rows_read(tx: AsyncConnection) -> int:
    """Rows that this connection has had its database look at."""
    told = await tx.execute(text("SHOW SESSION STATUS LIKE 'Handler_read%'"))
    return sum(int(row.Value) for row in told)


@mariadb
async def test_a_deep_page_costs_what_a_first_one_does(engine: Engine):
    await engine.worker()
    pattern = (await engine.submit()).task
    async with engine.runtime.db.read() as tx:
        row = (await tx.execute(select(task).where(task.c.id == pattern.id))).mappings().one()
    ids = [new_id() for _ in range(ROWS)]
    same = dict(row) | {"state": TaskState.SUCCEEDED.value, "request_key": None}
    rows = [
        same | {"id": each, "project": "default" if number % 4 else "other"}
        for number, each in enumerate(ids)
    ]

    async def fill(tx: AsyncConnection) -> None:
        await tx.execute(insert(task), rows)

    await engine.runtime.db.write(fill)
    after = ids[ROWS - PLACE]
    one = task.c.project.in_(["default"])
    async with engine.runtime.db.read() as tx:
        await tx.execute(text("ANALYZE TABLE task"))
        for name, conditions in {
            "project": [one],
            "creator": [task.c.creator_id == same["creator_id"]],
            "creator, project": [task.c.creator_id == same["creator_id"], one],
            "type, creator": [task.c.type == pattern.type, task.c.creator_id == same["creator_id"]],
            "type, state, project": [task.c.type == pattern.type, task.c.state == same["state"], one],
            "queue, creator, project": [
                task.c.queue == pattern.queue,
                task.c.creator_id == same["creator_id"],
                one,
            ],
        }.items():
            before = await rows_read(tx)
            found = await repository.list_tasks(tx, conditions, after, 10)
            assert len(found) == 10, name
            assert await rows_read(tx) - before < 100, name
