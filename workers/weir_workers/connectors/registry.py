"""Finds the connectors that are installed, and looks at what came from elsewhere before it is used."""

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from inspect import isasyncgenfunction, iscoroutinefunction
from typing import Any, Final

from pydantic import BaseModel

from weir_core.collections.models import SyncMode
from weir_workers.connectors.contract import Connector

GROUP: Final = "weir.connectors"
_TEXTS: Final = ("description", "version")
_SETTINGS: Final = ("connection_settings", "collection_settings")


class ConnectorUnknown(LookupError):
    """No such connector is installed here."""


class ConnectorBroken(ConnectorUnknown):
    """What a package brings as a connector is none; the message names package and fault."""


def installed() -> Mapping[str, Connector]:
    """All installed connectors by name; ConnectorBroken."""
    return {name: _loaded(name) for name in sorted({point.name for point in entry_points(group=GROUP)})}


def connector(name: str) -> Connector:
    """The connector with that name; ConnectorUnknown, ConnectorBroken."""
    names = {point.name for point in entry_points(group=GROUP)}
    if name not in names:
        raise ConnectorUnknown(
            f"there is no connector {name!r}; installed are {', '.join(sorted(names)) or 'none'}"
        )
    return _loaded(name)


def connection_schema(connector: Connector) -> dict[str, Any]:
    """JSON schema of a connection's settings and, marked `writeOnly`, its secrets."""
    return connector.connection_settings.model_json_schema()


def collection_schema(connector: Connector) -> dict[str, Any]:
    """JSON schema of a collection's settings."""
    return connector.collection_settings.model_json_schema()


def _loaded(name: str) -> Connector:
    points = list(entry_points(group=GROUP, name=name))
    if len(points) > 1:
        brought = ", ".join(map(_package, points))
        raise ConnectorBroken(
            f"several packages bring a connector {name!r}: {brought}; uninstall all but one"
        )
    (point,) = points
    try:
        found: Any = point.load()()
    except Exception as error:
        raise ConnectorBroken(_said(point, f"can't be loaded: {type(error).__name__}: {error}")) from error
    if faults := _faults(name, found):
        raise ConnectorBroken(_said(point, "; ".join(faults)))
    return found


def _faults(name: str, found: Any) -> list[str]:
    """What a connector must have, and this one has not."""
    if not isinstance(found, Connector):
        return [f"{type(found).__name__} is no subclass of weir_workers.connector.Connector"]
    given: dict[str, Any] = {
        each: getattr(found, each, None) for each in ("name", "modes", *_TEXTS, *_SETTINGS)
    }
    faults = [] if given["name"] == name else [f"its `name` must be {name!r}, as its entry point has it"]
    faults += [f"its `{each}` must be text" for each in _TEXTS if not isinstance(given[each], str)]
    faults += [
        f"its `{each}` must be a pydantic model"
        for each in _SETTINGS
        if not (isinstance(given[each], type) and issubclass(given[each], BaseModel))
    ]
    modes = given["modes"]
    if not (isinstance(modes, frozenset | set) and modes and modes <= set(SyncMode.__members__)):
        faults.append(f"its `modes` must be a set of {', '.join(SyncMode.__members__)}")
    if not iscoroutinefunction(found.check):
        faults.append("its `check` must be an `async def`")
    if not isasyncgenfunction(found.read):
        faults.append("its `read` must be an `async def` that yields")
    return faults


def _said(point: EntryPoint, what: str) -> str:
    return f"the connector {point.name!r} of {_package(point)}, {point.value}: {what}"


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else point.value
