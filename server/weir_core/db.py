"""The database: one way in for MySQL, MariaDB and SQLite.

Work that writes is a function of a connection, given to `Database.write`: it
runs in one transaction, and runs again as a whole where the database says that
two transactions met. SQLite has one writer at a time: a file lock, taken before
BEGIN IMMEDIATE, queues writers of all processes (busy_timeout polls and is
unfair).
"""

import asyncio
import fcntl
import os
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import URL, Connection, Dialect, event, make_url
from sqlalchemy.engine.interfaces import IsolationLevel
from sqlalchemy.exc import DBAPIError, InterfaceError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from weir_core.errors import Conflict, DependencyDown

if TYPE_CHECKING:
    from alembic.config import Config

T = TypeVar("T")
Work = Callable[[AsyncConnection], Awaitable[T]]

TRIES: Final = 4
_READ_SECONDS: Final = 10.0
_WRITE_SECONDS: Final = 15.0
# Deadlock, lock wait timeout, and MariaDB's "record has changed since last read".
_MET: Final = {1213, 1205, 1020}
# Too many connections, shutdown in progress; from 2000 on the client speaks of its connection.
_DOWN: Final = {1040, 1053}
_CLIENT_LOST: Final = 2000
_HUNG_UP: Final = 2013
# A connection that was used so lately is taken to stand.
_RESTED_SECONDS: Final = 1.0
# To intersect two long index ranges takes longer than to walk the one that gives the order. A process that
# was frozen inside a transaction must not keep others from its rows; MySQL has no such limit.
_MYSQL_SESSION: Final = (
    "SET SESSION innodb_lock_wait_timeout = 3, time_zone = '+00:00', "
    "optimizer_switch = 'index_merge_intersection=off'"
    " /*M!100304 , idle_write_transaction_timeout = 10 */"
)


class Database:
    """Connections to one database."""

    def __init__(self, url: str, *, pool_size: int = 8) -> None:
        self.url = make_url(url)
        self._lock: _FileLock | None = None
        if self.is_sqlite:
            self._reader = _sqlite_engine(self.url, begin="BEGIN", pool_size=pool_size)
            self._writer = _sqlite_engine(self.url, begin="BEGIN IMMEDIATE", pool_size=1)
            self._lock = _FileLock(Path(f"{self.url.database}.lock"))
        else:
            self._reader = _mysql_engine(self.url, pool_size, isolation="AUTOCOMMIT")
            self._writer = _mysql_engine(self.url, pool_size, isolation="READ COMMITTED")

    @property
    def is_sqlite(self) -> bool:
        """True: SQLite; False: MySQL or MariaDB."""
        return self.url.get_backend_name() == "sqlite"

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncConnection]:
        """A connection for reads; each statement sees what is committed when it begins."""
        cancels = _cancels()
        try:
            # Running out of time is an OSError as well.
            async with asyncio.timeout(_READ_SECONDS), self._reader.connect() as connection:
                _pass_cancel(cancels)
                yield connection
        except (OperationalError, InterfaceError, PoolTimeout, OSError) as error:
            _pass_cancel(cancels)
            raise _translate(error) from error

    async def write(self, work: Work[T], *, tries: int = TRIES) -> T:
        """Run `work` in a transaction; again, as often as is said, where it met another one."""
        limit = asyncio.timeout(_WRITE_SECONDS)
        try:
            async with limit:
                return await self._write(work, tries)
        except TimeoutError:
            if limit.expired():
                raise DependencyDown("db") from None
            raise

    async def _write(self, work: Work[T], tries: int) -> T:
        cancels = _cancels()
        for attempt in range(tries):
            try:
                if self._lock is None:
                    return await self._once(work)
                async with self._lock.held():
                    return await self._once(work)
            except (OperationalError, InterfaceError, PoolTimeout, OSError) as error:
                _pass_cancel(cancels)
                if not (_met(error) or _lost(error)) or attempt == tries - 1:
                    raise _translate(error) from error
            await asyncio.sleep(random.uniform(0.005, 0.05) * 2**attempt)
        raise AssertionError

    async def _once(self, work: Work[T]) -> T:
        cancels = _cancels()
        async with self._writer.connect() as connection:
            _pass_cancel(cancels)
            await connection.begin()
            result = await work(connection)
            try:
                await connection.commit()
            except DBAPIError as error:
                if _lost(error):
                    # It may have been done: only the caller can tell whether once more would do harm.
                    raise DependencyDown("db") from error
                raise
            return result

    async def close(self) -> None:
        """Close all connections."""
        await self._reader.dispose()
        await self._writer.dispose()


class _FileLock:
    """A lock between processes whose waiters queue in the kernel."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = asyncio.Lock()
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="sqlite-lock")

    @asynccontextmanager
    async def held(self) -> AsyncGenerator[None]:
        async with self._turn:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            await self._take(descriptor)
            try:
                yield
            finally:
                os.close(descriptor)

    async def _take(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting = asyncio.get_running_loop().run_in_executor(
                self._threads, fcntl.flock, descriptor, fcntl.LOCK_EX
            )
            try:
                await asyncio.shield(waiting)
            except asyncio.CancelledError:
                waiting.add_done_callback(lambda _: os.close(descriptor))
                raise


def _mysql_engine(url: URL, pool_size: int, *, isolation: IsolationLevel) -> AsyncEngine:
    engine = create_async_engine(
        url,
        isolation_level=isolation,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=5,
        pool_recycle=1800,
        # Every use ends with a commit or a rollback of its own: a further one is a round trip for nothing.
        pool_reset_on_return=None,
        skip_autocommit_rollback=True,
        connect_args={"connect_timeout": 5, "charset": "utf8mb4"},
    )

    def connected(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute(_MYSQL_SESSION)
        cursor.close()

    def connect(dialect: Dialect, _record: object, given: Any, named: Any) -> Any:
        try:
            return dialect.connect(*given, **named)
        except RuntimeError as error:
            # What the driver says where a server hangs up meanwhile: on uvloop no socket is left.
            raise dialect.loaded_dbapi.OperationalError(_HUNG_UP, str(error)) from error

    event.listen(engine.sync_engine, "do_connect", connect)
    event.listen(engine.sync_engine, "connect", connected)
    _look_before_use(engine)
    return engine


def _look_before_use(engine: AsyncEngine) -> None:
    """Ask connections that have rested whether they still stand; one in steady use is not asked."""

    def returned(_connection: Any, record: ConnectionPoolEntry) -> None:
        record.info["used"] = time.monotonic()

    def taken(connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
        if time.monotonic() - record.info.get("used", float("inf")) < _RESTED_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error

    event.listen(engine.sync_engine, "checkin", returned)
    event.listen(engine.sync_engine, "checkout", taken)


def _sqlite_engine(url: URL, *, begin: str, pool_size: int) -> AsyncEngine:
    engine = create_async_engine(url, pool_size=pool_size, max_overflow=0, pool_timeout=10)

    def connected(connection: Any, _record: object) -> None:
        # The driver's own BEGIN is switched off: it comes too late and is never IMMEDIATE.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    def begun(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine.sync_engine, "connect", connected)
    event.listen(engine.sync_engine, "begin", begun)
    return engine


def _cancels() -> int:
    """How often this task was told to end."""
    task = asyncio.current_task()
    return task.cancelling() if task else 0


def _pass_cancel(before: int) -> None:
    """Let a cancel go on that came since, and was swallowed.

    In the middle of a query it breaks the connection, and what fails on the way out takes its place; in the
    middle of a connect the driver's wait_for may lose it.
    """
    if _cancels() > before:
        raise asyncio.CancelledError


def _code(error: BaseException) -> object:
    original = getattr(error, "orig", None)
    return original.args[0] if original is not None and original.args else None


def _met(error: BaseException) -> bool:
    return _code(error) in _MET or "database is locked" in str(error)


def _lost(error: BaseException) -> bool:
    return isinstance(error, DBAPIError) and error.connection_invalidated


def _translate(error: Exception) -> Exception:
    if _met(error):
        return Conflict("two changes met; call again")
    code = _code(error)
    if not isinstance(error, DBAPIError) or code in _DOWN or (isinstance(code, int) and code >= _CLIENT_LOST):
        return DependencyDown("db")
    if _lost(error) or isinstance(error, InterfaceError):
        return DependencyDown("db")
    return error


def migrations_folder() -> Path:
    """Where the migrations lie: in the installed package, or at the checkout's root."""
    packaged = Path(__file__).parent / "migrations"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "migrations"


def _alembic(url: str) -> "Config":
    # Alembic takes a third of a second to import, and a serving process has no use for it.
    from alembic.config import Config

    # What Alembic prints is for its own command line.
    config = Config(stdout=StringIO())
    config.set_main_option("script_location", str(migrations_folder()))
    config.attributes["url"] = url
    return config


async def upgrade(url: str) -> None:
    """Bring the database to the newest revision."""
    from alembic import command

    await asyncio.to_thread(command.upgrade, _alembic(url), "head")


async def check(url: str) -> None:
    """Fail with alembic's CommandError where tables and migrations differ."""
    from alembic import command

    await asyncio.to_thread(command.check, _alembic(url))


def revise(url: str, message: str) -> None:
    """Write a new migration from the difference between tables and database."""
    from alembic import command

    number = len(list((migrations_folder() / "versions").glob("*.py"))) + 1
    command.revision(_alembic(url), message=message, autogenerate=True, rev_id=f"{number:04d}")
