"""Weir: submit tasks, watch them live and read collected records back.

The names below are loaded when they are first used: who needs only the messages or `weir.task` pays
for no more.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from weir import errors as errors
    from weir import types as types
    from weir.aio.client import AsyncClient as AsyncClient
    from weir.aio.handles import AsyncRunHandle as AsyncRunHandle
    from weir.aio.handles import AsyncTaskHandle as AsyncTaskHandle
    from weir.blocking.client import Client as Client
    from weir.blocking.handles import RunHandle as RunHandle
    from weir.blocking.handles import TaskHandle as TaskHandle
    from weir.changes import SnapshotStart as SnapshotStart

_HOMES = {
    "AsyncClient": "weir.aio.client",
    "AsyncRunHandle": "weir.aio.handles",
    "AsyncTaskHandle": "weir.aio.handles",
    "Client": "weir.blocking.client",
    "RunHandle": "weir.blocking.handles",
    "SnapshotStart": "weir.changes",
    "TaskHandle": "weir.blocking.handles",
}


def __getattr__(name: str) -> Any:
    if name in {"errors", "types"}:
        return import_module(f"weir.{name}")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'weir' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES, "errors", "types"])
