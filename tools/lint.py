"""Every check that needs no running service, each to its end; red if one is red."""

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from alembic.util.exc import CommandError

from weir_core.db import check, upgrade

_BIN = Path(sys.executable).parent
_STEPS = {
    "format": ["ruff", "format", "--check", "--quiet"],
    "rules": ["ruff", "check", "--quiet"],
    "layers": ["lint-imports", "--no-logo"],
    "contract": ["python", "-m", "tools.gen", "--check"],
    "documents": ["python", "-m", "tools.docs", "--check"],
    "types": ["pyright"],
    "migrations": ["python", "-m", "tools.lint", "migrations"],
}


def main() -> int:
    """Run all steps, or the named one; 1 where any failed."""
    if sys.argv[1:] == ["migrations"]:
        return asyncio.run(_migrations())
    failed = [name for name, command in _STEPS.items() if not _passes(name, command)]
    if failed:
        print(f"lint: {', '.join(failed)} failed", file=sys.stderr)
    return 1 if failed else 0


def _passes(name: str, command: list[str]) -> bool:
    began = time.monotonic()
    ended = subprocess.run(
        [str(_BIN / command[0]), *command[1:]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    red = ended.returncode != 0
    print(f"lint: {name:<10} {'FAILED' if red else 'ok'} ({time.monotonic() - began:.1f} s)", flush=True)
    if red:
        sys.stdout.buffer.write(ended.stdout)
        sys.stdout.flush()
    return not red


async def _migrations() -> int:
    """Migrations, run on an empty database, must give the tables that the models declare."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite+aiosqlite:///{folder}/drift.sqlite"
        await upgrade(url)
        try:
            await check(url)
        except CommandError as drift:
            print(f'{drift}\nWrite one: make revision m="what changed"')
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
