"""`weir doctor`: what is there, which versions, what is missing, what to do."""

import asyncio
import json
import platform
import shutil
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import click

from weir_core.config import Settings

_LEAST_FREE = 1 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; `needed` is False for what Weir can do without."""

    what: str
    ok: bool
    found: str
    advice: str = ""
    needed: bool = True


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def command(*, as_json: bool) -> None:
    """Say what is there, what is missing, and what to do."""
    findings = [*_packages(), _redis(), _database(Settings.load()), _disk(Settings.load()), _docker()]
    for finding in findings:
        if as_json:
            click.echo(json.dumps(asdict(finding)))
            continue
        mark = "ok     " if finding.ok else "MISSING" if finding.needed else "-      "
        click.echo(f"{mark}  {finding.what:<10} {finding.found}")
        if finding.advice and not finding.ok:
            click.echo(f"           {finding.advice}")
    raise SystemExit(0 if all(finding.ok or not finding.needed for finding in findings) else 1)


def _packages() -> list[Finding]:
    names = ("weir-sdk", "weir-server", "weir-workers", "grpcio", "sqlalchemy", "pyarrow")
    told = ", ".join(f"{name} {version(name)}" for name in names)
    return [
        Finding("python", ok=True, found=platform.python_version()),
        Finding("packages", ok=True, found=told),
    ]


def _redis() -> Finding:
    from weir_server.embedded import redis
    from weir_server.embedded.failures import UpFailed

    try:
        return Finding("redis", ok=True, found=str(redis.find_program().path))
    except UpFailed as error:
        return Finding("redis", ok=False, found="no program", advice=str(error))


def _database(settings: Settings) -> Finding:
    url = settings.database_url.get_secret_value()
    if not url:
        found = "WEIR_DATABASE_URL is not set; `weir up` makes a SQLite file of its own"
        return Finding("database", ok=True, found=found)
    try:
        return Finding("database", ok=True, found=asyncio.run(_revision(url)))
    except Exception as error:  # noqa: BLE001 - whatever a driver raises is the finding
        advice = "check WEIR_DATABASE_URL and that the database runs; then: weir db upgrade"
        return Finding("database", ok=False, found=type(error).__name__, advice=advice)


async def _revision(url: str) -> str:
    from weir_core.db import Database, check

    db = Database(url, pool_size=1)
    try:
        async with db.read() as tx:
            kind = tx.dialect.name
    finally:
        await db.close()
    await check(url)
    return f"{kind}, its tables are up to date"


def _disk(settings: Settings) -> Finding:
    place = settings.data_dir.resolve()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    advice = "free some room, or set WEIR_DATA_DIR to a larger disk"
    return Finding(
        "disk", ok=free > _LEAST_FREE, found=f"{free / (1 << 30):.1f} GiB free at {place}", advice=advice
    )


def _docker() -> Finding:
    there = Path("/var/run/docker.sock").exists()
    found = "a socket is there" if there else "no socket; only container tasks need one"
    return Finding("docker", ok=there, found=found, needed=False)
