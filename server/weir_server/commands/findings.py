"""What `weir doctor` looks at besides itself: database, Redis, server, disk, Docker."""

import asyncio
import json
import shutil
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from weir_core.config import Settings
from weir_core.errors import WeirError

if TYPE_CHECKING:
    from redis.asyncio import Redis

_LEAST_FREE: Final = 1 << 30
_SECONDS: Final = 3.0
_DOCKER: Final = "unix:///var/run/docker.sock"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; `needed` is False for what Weir can do without."""

    what: str
    ok: bool
    found: str
    advice: str = ""
    needed: bool = True


def database(settings: Settings) -> Finding:
    """The database of WEIR_DATABASE_URL: that it answers, and that its tables are the newest."""
    from alembic.util import CommandError

    from weir_server.commands.db import advice, missing_folder

    url = settings.database_url.get_secret_value()
    if not url:
        found = "WEIR_DATABASE_URL is not set; `weir up` makes a SQLite file of its own"
        return Finding("database", ok=True, found=found)
    if folder := missing_folder(settings):
        return Finding("database", ok=False, found=f"the folder {folder} does not exist", advice="make it")
    try:
        return Finding("database", ok=True, found=f"{asyncio.run(_revision(url))}, its tables are up to date")
    except CommandError as error:
        found = advice(str(error))
        lacks = found.endswith("weir db upgrade")
        return Finding("database", ok=False, found=found, advice=f"weir db {'upgrade' if lacks else 'check'}")
    except Exception as error:  # noqa: BLE001 - whatever a driver raises is the finding
        help_text = "see that the database runs, that WEIR_DATABASE_URL is right, then: weir db upgrade"
        return Finding("database", ok=False, found=_first_line(error), advice=help_text)


async def _revision(url: str) -> str:
    from sqlalchemy import text

    from weir_core.db import Database, check

    db = Database(url, pool_size=1)
    try:
        async with db.read() as tx:
            query = "SELECT sqlite_version()" if db.is_sqlite else "SELECT VERSION()"
            told = str((await tx.execute(text(query))).scalar_one())
    finally:
        await db.close()
    await check(url)
    return f"{'SQLite' if db.is_sqlite else 'MySQL'} {told}"


def redis(settings: Settings) -> Finding:
    """The Redis of WEIR_REDIS_URL, else the program that `weir up` would start."""
    from weir_server.embedded import redis as embedded
    from weir_server.embedded.failures import UpFailed

    url = settings.redis_url.get_secret_value()
    try:
        if url:
            return Finding("redis", ok=True, found=asyncio.run(_redis_version(url)))
        program = embedded.find_program()
        return Finding("redis", ok=True, found=f"{program.version}, {program.path}")
    except UpFailed as error:
        return Finding("redis", ok=False, found="no program", advice=str(error))
    except Exception as error:  # noqa: BLE001 - whatever a driver raises is the finding
        help_text = "see that Redis or Valkey runs and that WEIR_REDIS_URL is right"
        return Finding("redis", ok=False, found=_first_line(error), advice=help_text)


async def _redis_version(url: str) -> str:
    from redis.asyncio import from_url

    client: Redis = from_url(url, protocol=2, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS)
    try:
        told: dict[str, Any] = await client.info("server")
    finally:
        await client.aclose()
    name = "Valkey" if "valkey_version" in told else "Redis"
    return f"{name} {told.get('valkey_version') or told.get('redis_version')}"


def server(address: str) -> Finding:
    """A server at the address: what its health says."""
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    try:
        with grpc.insecure_channel(address) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=_SECONDS)
    except grpc.RpcError:
        return Finding(
            "server", ok=False, found=f"none answers at {address}", advice="start one: weir up", needed=False
        )
    state = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    return Finding(
        "server",
        ok=answer.status == health_pb2.HealthCheckResponse.SERVING,
        found=f"{state} at {address}",
        advice="it has no database, or it stops; see: weir status, and its log",
    )


def store(settings: Settings) -> Finding:
    """The bucket of WEIR_STORE: that a file can be written there, read and deleted."""
    from weir_core.stores.contract import try_out
    from weir_core.stores.opening import open_store

    advice = "see that it is there and that its key has the rights that docs/operate.md lists"
    try:
        bucket = open_store(settings)
        try_out(bucket)
    except SystemExit as refused:
        return Finding("store", ok=False, found=settings.store, advice=str(refused))
    except (WeirError, OSError) as error:
        found = error.message if isinstance(error, WeirError) else str(error.strerror)
        return Finding("store", ok=False, found=found, advice=advice)
    return Finding("store", ok=True, found=f"{bucket.place} can be written, read and deleted from")


def disk(settings: Settings) -> Finding:
    """Room in the data folder."""
    place = settings.data_dir.resolve()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    advice = "free some room, or set WEIR_DATA_DIR to a larger disk"
    return Finding("disk", free > _LEAST_FREE, f"{free / (1 << 30):.1f} GiB free at {place}", advice)


def docker(host: str) -> Finding:
    """The Docker engine beside, which only container tasks need."""
    path = Path((host or _DOCKER).removeprefix("unix://"))
    found, advice = f"none at {path}; only container tasks need it", "start Docker, or set DOCKER_HOST"
    with suppress(OSError, ValueError, KeyError), socket.socket(socket.AF_UNIX) as engine:
        engine.settimeout(_SECONDS)
        engine.connect(str(path))
        engine.sendall(b"GET /version HTTP/1.0\r\nHost: docker\r\n\r\n")
        said = b"".join(iter(lambda: engine.recv(65536), b""))
        told = json.loads(said.partition(b"\r\n\r\n")[2])["Version"]
        return Finding("docker", ok=True, found=f"Docker {told} at {path}", needed=False)
    return Finding("docker", ok=False, found=found, advice=advice, needed=False)


def _first_line(error: BaseException) -> str:
    """What the driver said, without what was put around it."""
    while error.__cause__ is not None:
        error = error.__cause__
    said = str(error.args[-1] if error.args else error)
    return said.partition("\n")[0] or type(error).__name__
