"""What is done to a running site: kills, freezes, flushes and restarts, each written into the history."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress

from tests.faults.programs import Program
from tests.faults.services import Service
from tests.faults.site import Site

Deed = Callable[[], Awaitable[None]]


class Harm:
    """The deeds, on what chance chooses."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def every(self, seconds: float, deed: Deed, enough: asyncio.Event) -> None:
        """Do it again and again, whether what was done before is mended already or not; then mend all."""
        async with asyncio.TaskGroup() as group:
            while not await _within(seconds, enough):
                group.create_task(_done(deed))

    async def kill_worker(self, *, restart: bool = True) -> None:
        """kill -9 of a worker, and another start of it."""
        # One that is not up yet holds nothing.
        up = [worker for worker in self._site.workers if worker.up]
        if up:
            await self._kill("worker", self._site.chance.choice(up), restart=restart)

    async def restart_dead(self) -> None:
        """Start what was killed and not started again."""
        await asyncio.gather(*(program.start() for program in self._site.programs if not program.lives))

    async def kill_server(self) -> None:
        """kill -9 of a server, and another start of it."""
        await self._kill("server", self._site.chance.choice(self._site.servers))

    async def kill_scheduler(self) -> None:
        """kill -9 of a scheduler, and another start of it."""
        await self._kill("scheduler", self._site.chance.choice(self._site.schedulers))

    async def restart_server(self) -> None:
        """SIGTERM to a server, and another start of it."""
        server = self._site.chance.choice(self._site.servers)
        self._site.history.did("restart server", server.name)
        await server.stop()
        await server.start()

    async def restart_worker(self) -> None:
        """SIGTERM to a worker, and another start of it."""
        worker = self._site.chance.choice(self._site.workers)
        self._site.history.did("restart worker", worker.name)
        await worker.stop()
        await worker.start()

    async def freeze_worker(self, seconds: float) -> None:
        """SIGSTOP to a worker, and SIGCONT after so long; its children go on meanwhile."""
        await self._freeze("worker", self._site.chance.choice(self._site.workers), seconds)

    async def freeze_scheduler(self, seconds: float) -> None:
        """SIGSTOP to a scheduler, and SIGCONT after so long."""
        await self._freeze("scheduler", self._site.chance.choice(self._site.schedulers), seconds)

    async def flush(self) -> None:
        """FLUSHALL."""
        self._site.history.did("flush")
        await self._site.runtime.redis.flushall()

    async def restart_redis(self, down: float = 1.0) -> None:
        """kill -9 of Redis, and an empty one after so many seconds."""
        await self._restart(self._site.redis, "restart redis", down)

    async def restart_database(self, down: float = 1.0) -> None:
        """kill -9 of MariaDB, and its recovery after so many seconds."""
        await self._restart(self._site.database, "restart database", down)

    async def freeze(self, service: Service, seconds: float) -> None:
        """SIGSTOP to MariaDB or Redis, and SIGCONT after so many seconds."""
        self._site.history.did("freeze", service.kind)
        service.signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            service.signal(signal.SIGCONT)

    async def _kill(self, role: str, program: Program, *, restart: bool = True) -> None:
        ids = [program.worker_id()] if role == "worker" else []
        self._site.history.did(f"kill {role}", program.name, ids)
        await program.kill()
        if restart:
            await program.start()

    async def _freeze(self, role: str, program: Program, seconds: float) -> None:
        self._site.history.did(f"freeze {role}", program.name)
        program.signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            program.signal(signal.SIGCONT)

    async def _restart(self, service: Service, deed: str, down: float) -> None:
        self._site.history.did(deed)
        await service.kill()
        await asyncio.sleep(down)
        await service.start()


async def _done(deed: Deed) -> None:
    await deed()


async def _within(seconds: float, event: asyncio.Event) -> bool:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()
