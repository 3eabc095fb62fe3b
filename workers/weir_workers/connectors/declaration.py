"""What a worker tells the database of the connectors that it has."""

from weir_core.collections.models import Connector as Declared
from weir_core.collections.models import SyncMode
from weir_workers.connectors.registry import collection_schema, connection_schema, installed


def declarations() -> list[Declared]:
    """All installed connectors, with the JSON schemas of their settings."""
    return [
        Declared(
            name=name,
            description=found.description,
            version=found.version,
            connection_schema=connection_schema(found),
            collection_schema=collection_schema(found),
            modes=tuple(sorted(SyncMode[mode] for mode in found.modes)),
            can_discover=found.has_streams,
            can_pace=found.can_pace,
        )
        for name, found in installed().items()
    ]
