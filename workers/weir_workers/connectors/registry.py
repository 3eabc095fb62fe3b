"""Finds the connectors that are installed."""

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from weir_workers.connectors.contract import Connector

GROUP = "weir.connectors"


class ConnectorUnknown(LookupError):
    """No such connector is installed here."""


def installed() -> Mapping[str, Connector]:
    """All installed connectors by name."""
    return {point.name: point.load()() for point in entry_points(group=GROUP)}


def connector(name: str) -> Connector:
    """The connector with that name."""
    found = installed()
    if name not in found:
        raise ConnectorUnknown(
            f"there is no connector {name!r}; installed are {', '.join(sorted(found)) or 'none'}"
        )
    return found[name]


def connection_schema(connector: Connector) -> dict[str, Any]:
    """JSON schema of a connection's settings and, marked `writeOnly`, its secrets."""
    return connector.connection_settings.model_json_schema()


def collection_schema(connector: Connector) -> dict[str, Any]:
    """JSON schema of a collection's settings."""
    return connector.collection_settings.model_json_schema()
