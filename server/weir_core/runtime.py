"""Builds what a process needs, once, from its settings."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from redis.asyncio import Redis, from_url

from weir_core.collections.collecting import Collecting
from weir_core.config import Settings
from weir_core.db import Database
from weir_core.events import LiveEvents
from weir_core.fleet.service import FleetService
from weir_core.paging import PageTokens
from weir_core.queue import Queue
from weir_core.schedules.scheduling import Scheduling
from weir_core.secrets import SecretBox
from weir_core.signals import Signals
from weir_core.tasks.execution import TaskExecution
from weir_core.tasks.history import History
from weir_core.tasks.service import TaskService
from weir_core.tasks.sweeping import Sweeper
from weir_core.tasks.watching import WatchHub
from weir_core.users.people import People


@dataclass(frozen=True, slots=True)
class Runtime:
    """The parts of a process, wired."""

    settings: Settings
    db: Database
    redis: "Redis"
    secrets: SecretBox
    pages: PageTokens
    queue: Queue
    signals: Signals
    fleet: FleetService
    tasks: TaskService
    execution: TaskExecution
    sweeper: Sweeper
    hub: WatchHub
    history: History
    people: People
    collecting: Collecting
    scheduling: Scheduling

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncGenerator["Runtime"]:
        """Build the parts; connections are opened when they are first used, and closed at the end."""
        db = Database(settings.database_url.get_secret_value())
        redis_url = settings.redis_url.get_secret_value()
        redis: Redis = from_url(redis_url, protocol=2, socket_timeout=5, socket_connect_timeout=5)
        queue = Queue(redis_url, settings.redis_prefix)
        runtime = cls.wire(settings, db, redis, queue)
        try:
            yield runtime
        finally:
            await runtime.people.close()
            await queue.close()
            await redis.aclose()
            await db.close()

    @classmethod
    def wire(cls, settings: Settings, db: Database, redis: "Redis", queue: Queue) -> "Runtime":
        """Put the parts together."""
        secrets = SecretBox.from_text(settings.master_key.get_secret_value())
        live = LiveEvents(redis, settings.redis_prefix)
        signals = Signals(redis, settings.redis_prefix)
        people = People.wire(settings, db, secrets)
        tasks = TaskService(db, queue, live, signals, people.projects)
        return cls(
            settings=settings,
            db=db,
            redis=redis,
            secrets=secrets,
            pages=PageTokens(secrets.derive("page tokens")),
            queue=queue,
            signals=signals,
            fleet=FleetService(db, settings.lease),
            tasks=tasks,
            execution=TaskExecution(db, live),
            sweeper=Sweeper(db, queue, live),
            hub=WatchHub(db, live),
            history=History(db, live),
            people=people,
            collecting=Collecting.wire(settings, db, secrets, tasks, people.projects),
            scheduling=Scheduling.wire(db, tasks),
        )
