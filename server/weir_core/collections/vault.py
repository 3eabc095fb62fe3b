"""The secrets of connections, as inputs of tasks refer to them: by the connection's name and the key."""

from collections.abc import Collection

from weir_core.collections import repository
from weir_core.collections.connections import opened
from weir_core.db import Database
from weir_core.secrets import SecretBox


class ConnectionVault:
    """Reads them anew at each call: a rotated secret counts from then on."""

    def __init__(self, db: Database, box: SecretBox) -> None:
        self._db = db
        self._box = box

    async def keys(self, project: str, connections: Collection[str]) -> dict[str, list[str]]:
        """The names of the secrets that there are, by connection."""
        async with self._db.read() as tx:
            rows = await repository.connections_named(tx, project, connections)
        return {row.name: row.secret_names for row in rows}

    async def values(self, project: str, connections: Collection[str]) -> dict[str, dict[str, str]]:
        """The secrets in clear, by connection."""
        async with self._db.read() as tx:
            rows = await repository.connections_named(tx, project, connections)
        return {row.name: opened(self._box, row.id, row.secrets) for row in rows}
