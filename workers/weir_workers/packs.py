"""Finds the tasks of a pack: a module named by an entry point, or by its own name."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib import import_module
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any, Final

from weir.task import TaskDefinition, tasks_of

BUILTIN: Final = "builtin"


def load(pack: str) -> ModuleType:
    """The module of a pack; ImportError where there is none."""
    found = entry_points(group="weir.packs", name=pack)
    return next(iter(found)).load() if found else import_module(pack)


def definitions(module: ModuleType) -> dict[str, TaskDefinition]:
    """A pack's tasks by name; ValueError where two have the same one."""
    found: dict[str, TaskDefinition] = {}
    for definition in tasks_of(module):
        if definition.name in found:
            raise ValueError(f"{module.__name__} declares task {definition.name} twice")
        found[definition.name] = definition
    return found


@asynccontextmanager
async def resources(module: ModuleType) -> AsyncGenerator[Any]:
    """What the module's own `resources()` opens for its handlers; None where it has none."""
    opening = getattr(module, "resources", None)
    if opening is None:
        yield None
        return
    async with opening() as opened:
        yield opened


def connectors(module: ModuleType) -> list[dict[str, Any]]:
    """What the module's own `connectors()` tells of those that it reads with; none where it has none."""
    telling = getattr(module, "connectors", None)
    return [] if telling is None else telling()


def introduction(definition: TaskDefinition) -> dict[str, Any]:
    """What a worker tells of a task."""
    retry = definition.retry
    return {
        "name": definition.name,
        "version": definition.version,
        "description": definition.description,
        "input_schema": definition.input_model.model_json_schema(),
        "output_schema": definition.output_model.model_json_schema(mode="serialization"),
        "queue": definition.queue,
        "permission": definition.permission,
        "priority": definition.priority,
        "is_async": definition.is_async,
        "memory": definition.memory,
        "cpu_time": definition.cpu_time and definition.cpu_time.total_seconds(),
        "timeout": definition.timeout and definition.timeout.total_seconds(),
        "stall": definition.stall and definition.stall.total_seconds(),
        "grace": definition.grace.total_seconds(),
        "retry": {
            "max_attempts": retry.max_attempts,
            "initial_delay": retry.initial_delay.total_seconds(),
            "max_delay": retry.max_delay.total_seconds(),
            "multiplier": retry.multiplier,
        },
    }
