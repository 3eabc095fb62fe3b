"""Write a migration from the difference between the models and a database with all migrations so far."""

import asyncio
import sys
import tempfile

from weir_core.db import revise, upgrade


def main() -> int:
    """The message is the one argument."""
    message = " ".join(sys.argv[1:]).strip()
    if not message:
        print('revision: say what changed: make revision m="tasks have a colour"', file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite+aiosqlite:///{folder}/revision.sqlite"
        asyncio.run(upgrade(url))
        revise(url, message)
    return 0


if __name__ == "__main__":
    sys.exit(main())
