"""The blocks by name, and the files that they stand in."""

import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Final

from tools.docs import commands, contract, limits, running

ROOT: Final = Path(__file__).parents[2]
BLOCKS: Final[Mapping[str, Callable[[], str]]] = {
    "settings": running.settings,
    "roles": running.roles,
    "metrics": running.metrics,
    "limits": limits.limits,
    "task states": lambda: contract.enum("TaskState"),
    "moves": contract.moves,
    "failure kinds": contract.failure_kinds,
    "cancel phases": lambda: contract.enum("CancelPhase"),
    "rpcs": contract.rpcs,
    "filters": contract.filters,
    "task types": contract.task_types,
    "connectors": contract.connectors,
    "commands": commands.commands,
    "exits": commands.exits,
}
_MARKED: Final = re.compile(r"(<!-- from the code: ([a-z ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def files() -> list[Path]:
    """The documents."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def write() -> None:
    """Bring all blocks up to date."""
    for file in files():
        old = file.read_text()
        if (new := _MARKED.sub(_written, old)) != old:
            file.write_text(new)


def stale() -> list[str]:
    """The blocks that the code would write otherwise."""
    return [
        f"{file.relative_to(ROOT)}: {match[2]}"
        for file in files()
        for match in _MARKED.finditer(file.read_text())
        if _written(match) != match[0]
    ]


def used() -> set[str]:
    """The blocks that stand in a file."""
    return {match[2] for file in files() for match in _MARKED.finditer(file.read_text())}


def _written(match: re.Match[str]) -> str:
    return f"{match[1]}{_text(match[2])}\n{match[3]}"


@cache
def _text(name: str) -> str:
    return BLOCKS[name]()
