"""dlt's side of `collect`, in an environment of its own that the benchmark makes when it is first needed."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.bench.site import ROOT

_PLACE: Final = ROOT / ".cache/dlt"
_VERSION: Final = "1.31.0"
_INSTALL_SECONDS: Final = 300.0
_SECONDS: Final = 900.0
# What dlt would tell others, and where it would keep it.
_QUIET: Final = {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "CRITICAL"}


def install() -> str | None:
    """dlt, unless it is there already; why not, where it can't be."""
    uv, marker = str(Path(sys.executable).with_name("uv")), _PLACE / f"dlt-{_VERSION}"
    if marker.exists():
        return None
    python = ("--python", str(_PLACE))
    try:
        for command in (
            [uv, "venv", "-q", "--clear", "--python", sys.executable, str(_PLACE)],
            [uv, "pip", "install", "-q", *python, f"dlt[parquet]=={_VERSION}"],
        ):
            subprocess.run(
                command, check=True, capture_output=True, text=True, timeout=_INSTALL_SECONDS, cwd=ROOT
            )
    except subprocess.CalledProcessError as error:
        return (error.stderr.strip().splitlines() or ["its installation failed"])[0][:100]
    except subprocess.TimeoutExpired:
        return "its installation took too long"
    marker.touch()
    return None


def run(url: str, pages: int, folder: Path) -> tuple[float, float, str]:
    """Seconds, seconds of processor time, and the version."""
    ran = subprocess.run(
        [_PLACE / "bin/python", "-m", "tests.bench.dlt_app", url, str(pages), str(folder)],
        cwd=ROOT,
        env=os.environ | _QUIET | {"DLT_DATA_DIR": str(folder / "dlt")},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=_SECONDS,
    )
    seconds, cpu, version = ran.stdout.split()[-3:]
    return float(seconds), float(cpu), version
