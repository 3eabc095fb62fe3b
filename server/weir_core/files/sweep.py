"""Removes files that an attempt made which is not its task's newest any more, and content without a row.

Rows go first, in a transaction, and their content after it: a crash between the two leaves content
without a row, and that is looked for too.
"""

from itertools import islice
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.db import Database
from weir_core.files import repository
from weir_core.files.models import FOLDER, Owner, owner_of
from weir_core.files.repository import Unsettled
from weir_core.stores.contract import ObjectStore
from weir_core.stores.threads import in_thread
from weir_core.stores.walks import Walks

_BATCH: Final = 500


class FileSweep:
    """Sweeps rows and content. Any number of processes may do it at a time."""

    def __init__(self, db: Database, store: ObjectStore) -> None:
        self._db = db
        self._store = store
        self._walks = Walks()

    async def sweep(self) -> int:
        """Sweep once; the number of contents deleted. Many files are walked through less often."""
        deleted = await self.sweep_superseded()
        return deleted + await self._walks.walk(self.sweep_orphans)

    async def sweep_superseded(self) -> int:
        """Delete files of attempts that another one has followed; those of ended tasks are left alone."""
        deleted, after = 0, None
        while True:
            async with self._db.read() as tx:
                found = await repository.unsettled(tx, after, _BATCH)
            if not found:
                return deleted
            deleted += await self._settle(found)
            after = found[-1].id

    async def sweep_orphans(self) -> int:
        """Delete content without a row that no live attempt can still make a file of."""
        paths, deleted = (stored.name for stored in self._store.files(FOLDER)), 0
        while batch := await in_thread(lambda: list(islice(paths, _BATCH))):
            deleted += await self._delete(await self._orphans(batch))
        return deleted

    async def _settle(self, found: list[Unsettled]) -> int:
        gone = [each for each in found if not each.stays]
        ended = [each.id for each in found if each.stays and each.ended]

        async def work(tx: AsyncConnection) -> None:
            await repository.delete_files(tx, [each.id for each in gone])
            await repository.settle(tx, ended)

        if gone or ended:
            await self._db.write(work)
        return await self._delete([each.path for each in gone])

    async def _delete(self, paths: list[str]) -> int:
        for path in paths:
            await in_thread(self._store.delete, path)
        return len(paths)

    async def _orphans(self, paths: list[str]) -> list[str]:
        """Those without a row. Attempts are read first: what ends in between has its row by then."""
        owners = {path: owner for path in paths if (owner := owner_of(path))}
        async with self._db.read() as tx:
            newest = await repository.newest_attempts(tx, {owner.task_id for owner in owners.values()})
            known = await repository.known(tx, {_file_id(path) for path in owners})
        return [
            path
            for path, owner in owners.items()
            if _file_id(path) not in known and not _may_write(owner, newest)
        ]


def _may_write(owner: Owner, newest: dict[UUID, int]) -> bool:
    """True where the attempt is the newest one of a task that goes on."""
    return newest.get(owner.task_id) == owner.attempt


def _file_id(path: str) -> UUID:
    return UUID(path.rpartition(".")[2])
