"""Becomes a foreign program that its worker wants to run: `python -m … PARENT`.

What to run comes as one line of JSON on standard input: `argv`, `files` by name,
and `memory` in bytes. A file is kept in memory alone, and `{name}` in an argument
becomes its path: so what is secret in it is on no disk, in no argument and in no
environment. The program dies with its worker, and reads nothing.

Standard library only, but for the wards: it must start in no time.
"""

import json
import os
import resource
import sys
from typing import Any

from weir_workers.wards.processes import die_with


def main() -> None:
    """Do what the line says; does not return."""
    die_with(int(sys.argv[1]))
    order: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    limit = order["memory"]
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    places: dict[str, str] = {f"{{{name}}}": _kept(name, text) for name, text in order["files"].items()}
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    asked: list[str] = order["argv"]
    argv = [places.get(one, one) for one in asked]
    os.execv(argv[0], argv)  # noqa: S606 - what the operator allows is started as it is


def _kept(name: str, text: str) -> str:
    descriptor = os.memfd_create(name, 0)
    os.set_inheritable(descriptor, True)
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(text.encode())
    return f"/proc/self/fd/{descriptor}"


if __name__ == "__main__":
    main()
