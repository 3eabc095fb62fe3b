"""The tasks that come with Weir."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from weir_core.config import Settings
from weir_core.runtime import Runtime
from weir_workers.connectors.declaration import declarations
from weir_workers.tasks.collection import collection_run
from weir_workers.tasks.compaction import compact_dataset
from weir_workers.tasks.monitoring import monitor_source
from weir_workers.tasks.quarantine import resolve_quarantine
from weir_workers.tasks.retrying import retry_tasks
from weir_workers.tasks.trying import check_connection, preview_collection


@asynccontextmanager
async def resources() -> AsyncGenerator[Runtime]:
    """What the handlers share: the core's parts."""
    async with Runtime.open(Settings()) as runtime:
        yield runtime


def connectors() -> list[dict[str, Any]]:
    """What a worker tells of the installed connectors, as JSON."""
    return [asdict(each) for each in declarations()]


__all__ = [
    "check_connection",
    "collection_run",
    "compact_dataset",
    "connectors",
    "monitor_source",
    "preview_collection",
    "resolve_quarantine",
    "resources",
    "retry_tasks",
]
