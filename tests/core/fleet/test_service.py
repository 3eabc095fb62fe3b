"""Workers that start, and what they bring."""

import asyncio
from dataclasses import replace

import pytest

from tests.fixtures.engine import ECHO, Engine
from weir_core.fleet.service import SchemaChanged
from weir_workers.connectors.declaration import declarations

_MANY = 6


class TestRegister:
    async def test_many_workers_bring_the_same_new_types_at_once(self, engine: Engine):
        runtimes = [await engine.another() for _ in range(_MANY)]
        workers = [Engine(runtime, engine.stack, engine.settings) for runtime in runtimes]
        await asyncio.gather(*(worker.worker(ECHO) for worker in workers))
        assert (await engine.runtime.fleet.get_type("probe.echo")).worker_count == _MANY

    async def test_many_workers_bring_the_same_new_connectors_at_once(self, engine: Engine):
        runtimes = [await engine.another() for _ in range(_MANY)]
        await asyncio.gather(
            *(each.collecting.connections.register_connectors(declarations()) for each in runtimes)
        )

    async def test_another_schema_under_a_known_version_is_refused(self, engine: Engine):
        await engine.worker(ECHO)
        changed = {"type": "object", "properties": {"text": {"type": "integer"}}, "required": ["text"]}
        with pytest.raises(SchemaChanged, match="declare it with version=2"):
            await engine.worker(replace(ECHO, input_schema=changed))
