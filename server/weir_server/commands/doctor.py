"""`weir doctor`: what is there, which versions, what is missing, what to do."""

import json
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict
from difflib import get_close_matches
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import click

from weir_core.config import Settings
from weir_server.commands import findings
from weir_server.commands.findings import Finding

_OLDEST_PYTHON: Final = (3, 11)
_PACKAGES: Final = ("weir-sdk", "weir-server", "weir-workers", "grpcio", "sqlalchemy", "pyarrow")
# Variables that are no settings of a process.
_OTHERS: Final = ("ADMIN_PASSWORD", "API_KEY", "CA", "ENDPOINT", "PASSWORD", "TLS", "USER")


@click.command()
@click.option(
    "--address",
    envvar="WEIR_ENDPOINT",
    default="",
    help="HOST:PORT of the server to look at; default: WEIR_ENDPOINT, else WEIR_LISTEN.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def command(address: str, *, as_json: bool) -> None:
    """Say what is there, what is missing, and what to do; exit status 1 if something needed is missing."""
    well = True
    for finding in _findings(address):
        well = well and (finding.ok or not finding.needed)
        click.echo(_json(finding) if as_json else _line(finding))
    raise SystemExit(0 if well else 1)


def _findings(address: str) -> Iterator[Finding]:
    yield _python()
    yield _packages()
    settings, finding = _settings()
    yield finding
    yield from _misspelt()
    yield findings.database(settings)
    yield findings.redis(settings)
    yield findings.server(address or settings.listen)
    if settings.store:
        yield findings.store(settings)
    yield findings.disk(settings)
    yield findings.docker(os.environ.get("DOCKER_HOST", ""))


def _json(finding: Finding) -> str:
    told = asdict(finding) | ({"advice": ""} if finding.ok else {})
    return json.dumps(told, ensure_ascii=False)


def _line(finding: Finding) -> str:
    mark = "ok     " if finding.ok else "MISSING" if finding.needed else "-      "
    told = f"{mark}  {finding.what:<10} {finding.found}"
    return told if finding.ok else f"{told}\n           {finding.advice}"


def _python() -> Finding:
    ok = sys.version_info >= _OLDEST_PYTHON
    return Finding("python", ok, platform.python_version(), "install Python 3.11 or newer")


def _packages() -> Finding:
    found: dict[str, str] = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
    missing = [name for name, told in found.items() if told == "missing"]
    told = ", ".join(f"{name} {told}" for name, told in found.items())
    return Finding("packages", not missing, told, f"pip install {' '.join(missing)}")


def _settings() -> tuple[Settings, Finding]:
    """The settings, or the defaults where some of those given can't be."""
    try:
        return Settings.load(), Finding("settings", ok=True, found="all can be used")
    except SystemExit as refused:
        found = "; ".join(str(refused).splitlines())
        finding = Finding("settings", ok=False, found=found, advice="correct or unset the variables named")
        return Settings.model_construct(), finding


def _misspelt() -> Iterator[Finding]:
    """Variables that look like settings and are none: they would be passed over in silence."""
    known = [f"WEIR_{name}" for name in (*map(str.upper, Settings.model_fields), *_OTHERS)]
    for name in sorted(os.environ):
        if name.startswith("WEIR_") and name not in known:
            near = get_close_matches(name, known, n=1)
            advice = f"did you mean {near[0]}?" if near else "nothing reads it; unset it"
            yield Finding("settings", ok=False, found=f"{name} is not known", advice=advice, needed=False)
