"""Removes what no version of a dataset shows any more, or never did.

Rows go first, in a transaction, and their files after it: a crash between the
two leaves a file without a row, and such files are looked for too.
"""

from datetime import timedelta
from itertools import islice
from time import time
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.collections import run_repository as runs
from weir_core.collections.models import SyncMode
from weir_core.collections.run_repository import Residue
from weir_core.datasets import repository
from weir_core.db import Database
from weir_core.stores.contract import ObjectStore, StoredFile
from weir_core.stores.threads import in_thread
from weir_core.stores.walks import Walks

_BATCH = 500
_RUNS = 20


class DatasetSweep:
    """Sweeps segments, files and quarantine. Any number of processes may do it at a time."""

    def __init__(
        self,
        db: Database,
        store: ObjectStore,
        *,
        replaced_after: timedelta = timedelta(hours=1),
        orphaned_after: timedelta = timedelta(minutes=15),
    ) -> None:
        self._db = db
        self._store = store
        self._replaced_after = replaced_after
        self._orphaned_after = orphaned_after
        self._walks = Walks()

    async def sweep(self) -> int:
        """Sweep once, each kind in bounded portions; the number of files deleted.

        Many files are walked through less often.
        """
        deleted = await self.sweep_replaced()
        deleted += await self.sweep_residue()
        await self.sweep_deleted()
        return deleted + await self._walks.walk(self.sweep_orphans)

    async def sweep_replaced(self) -> int:
        """Delete segments that a full run replaced a while ago; their versions can't be read any more."""

        async def work(tx: AsyncConnection) -> list[str]:
            found = await repository.retired(tx, self._replaced_after, _BATCH)
            for dataset_id in sorted({row.dataset_id for row in found}):
                oldest = max(row.to_version for row in found if row.dataset_id == dataset_id)
                await repository.expire_versions(tx, dataset_id, oldest)
            await repository.delete_segments(tx, [row.id for row in found])
            return [row.path for row in found]

        deleted = await self._delete(await self._db.write(work))
        await self._db.write(self._sweep_hidden)
        return deleted

    async def _sweep_hidden(self, tx: AsyncConnection) -> None:
        """Forget which rows were hidden in versions that can't be read any more."""
        found = await repository.retired_hidden(tx, self._replaced_after, _BATCH)
        for dataset_id in sorted({row.dataset_id for row in found}):
            oldest = max(row.to_version for row in found if row.dataset_id == dataset_id)
            await repository.expire_versions(tx, dataset_id, oldest)
        await repository.delete_hidden(tx, [row.id for row in found])

    async def sweep_residue(self) -> int:
        """Delete what full runs that did not succeed have left, and quarantine that was replaced."""
        async with self._db.read() as tx:
            ended = await runs.residues(tx, _RUNS)
        return sum([await self._sweep_run(residue) for residue in ended])

    async def sweep_deleted(self) -> None:
        """Forget the quarantine of datasets that were deleted."""

        async def work(tx: AsyncConnection) -> None:
            for dataset_id in await repository.deleted_with_rejects(tx, _RUNS):
                if await repository.delete_rejects(tx, repository.of_dataset(dataset_id), _BATCH) < _BATCH:
                    await repository.update_dataset(tx, dataset_id, {"quarantine_count": 0})

        await self._db.write(work)

    async def sweep_orphans(self) -> int:
        """Delete files without a manifest row that no live attempt can still name there."""
        files = await in_thread(self._old_files)
        deleted = 0
        for start in range(0, len(files), _BATCH):
            deleted += await self._delete(await self._orphans(files[start : start + _BATCH]))
        await in_thread(self._store.delete_unfinished, self._orphaned_after.total_seconds())
        return deleted

    async def _sweep_run(self, residue: Residue) -> int:
        async def work(tx: AsyncConnection) -> list[str]:
            if residue.finished:
                replaced = residue.mode is SyncMode.FULL
                old = repository.before_generation(residue.dataset_id, residue.generation)
                rejects = await repository.delete_rejects(tx, old, _BATCH) if replaced else 0
                paths = list[str]()
            else:
                found = await repository.unpublished(tx, residue.id, _BATCH)
                await repository.delete_segments(tx, [row.id for row in found])
                paths = [row.path for row in found]
                rejects = await repository.delete_rejects(tx, repository.of_run(residue.id), _BATCH)
            if max(len(paths), rejects) < _BATCH:
                await runs.update_run(tx, residue.id, {"residue": False})
            return paths

        return await self._delete(await self._db.write(work))

    def _old_files(self) -> list[StoredFile]:
        limit = time() - self._orphaned_after.total_seconds()
        old = (file for file in self._store.files("datasets") if file.modified < limit)
        return list(islice(old, 100_000))

    async def _orphans(self, files: list[StoredFile]) -> list[str]:
        owners = {file.name: owner for file in files if (owner := _owner(file.name))}
        async with self._db.read() as tx:
            # Attempts first: one that ends in between has committed what it will.
            live = await runs.live_attempts(tx, sorted({run for run, _ in owners.values()}))
            known = await repository.known_paths(tx, list(owners))
        return [
            name for name, (run, attempt) in owners.items() if name not in known and live.get(run) != attempt
        ]

    async def _delete(self, names: list[str]) -> int:
        for name in names:
            await in_thread(self._store.delete, name)
        return len(names)


def _owner(name: str) -> tuple[UUID, int] | None:
    """Run and attempt that a segment's name tells; None where it is no such name."""
    try:
        _, _, run, file = name.split("/")
        return UUID(run), int(file.split("-")[0])
    except ValueError:
        return None
