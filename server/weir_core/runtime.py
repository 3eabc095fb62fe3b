"""Builds what a process needs, once, from its settings."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from redis.asyncio import Redis

from weir_core.collections.collecting import Collecting
from weir_core.collections.trying import Trying
from weir_core.collections.vault import ConnectionVault
from weir_core.config import Settings
from weir_core.db import Database
from weir_core.events import LiveEvents
from weir_core.files.models import FileLimits
from weir_core.files.service import FileService
from weir_core.files.sweep import FileSweep
from weir_core.fleet.service import FleetService
from weir_core.fleet.witness import Witness
from weir_core.pacing import Pacing
from weir_core.paging import PageTokens
from weir_core.queue import Queue
from weir_core.redis import connect
from weir_core.schedules.scheduling import Scheduling
from weir_core.secrets import SecretBox
from weir_core.signals import Signals
from weir_core.stores.contract import ObjectStore
from weir_core.stores.opening import open_store
from weir_core.tasks.asking import Asking
from weir_core.tasks.changes import ChangeFeed
from weir_core.tasks.execution import TaskExecution
from weir_core.tasks.history import History
from weir_core.tasks.promotion import Promotion
from weir_core.tasks.retrying import Retrying
from weir_core.tasks.service import TaskService
from weir_core.tasks.stopping import Stopping
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
    pacing: Pacing
    store: ObjectStore
    fleet: FleetService
    witness: Witness
    tasks: TaskService
    stopping: Stopping
    promotion: Promotion
    execution: TaskExecution
    asking: Asking
    retrying: Retrying
    sweeper: Sweeper
    hub: WatchHub
    feed: ChangeFeed
    history: History
    people: People
    collecting: Collecting
    trying: Trying
    scheduling: Scheduling
    files: FileService
    file_sweep: FileSweep

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncGenerator["Runtime"]:
        """Build the parts; connections are opened when they are first used, and closed at the end."""
        db = Database(settings.database_url.get_secret_value())
        redis_url = settings.redis_url.get_secret_value()
        redis = connect(redis_url)
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
        promotion = Promotion(db, queue, live)
        history = History(db, live)
        feed = ChangeFeed(db)
        vault = ConnectionVault(db, secrets)
        tasks = TaskService(db, queue, promotion, people.projects, vault, retention=settings.task_retention)
        stopping = Stopping(db, signals, promotion)
        store = open_store(settings)
        hub = WatchHub(db, live, history, feed)
        collecting = Collecting.wire(settings, db, secrets, store, tasks=tasks, projects=people.projects)
        return cls(
            settings=settings,
            db=db,
            redis=redis,
            secrets=secrets,
            pages=PageTokens(secrets.derive("page tokens")),
            queue=queue,
            signals=signals,
            pacing=Pacing(redis, settings.redis_prefix),
            store=store,
            fleet=FleetService(db, settings.lease),
            witness=Witness(redis, settings.redis_prefix),
            tasks=tasks,
            stopping=stopping,
            promotion=promotion,
            execution=TaskExecution(db, live, promotion),
            asking=Asking(db, tasks, vault),
            retrying=Retrying(db, tasks),
            sweeper=Sweeper(db, queue, live, promotion),
            hub=hub,
            feed=feed,
            history=history,
            people=people,
            collecting=collecting,
            trying=Trying(db, secrets, collecting, tasks=tasks, stopping=stopping, hub=hub),
            scheduling=Scheduling.wire(settings, db, tasks, stopping),
            files=FileService(db, store, FileLimits.of(settings)),
            file_sweep=FileSweep(db, store),
        )
