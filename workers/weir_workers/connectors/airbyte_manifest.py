"""Declarative manifests, as the operator allows them and as they are run."""

import asyncio
from pathlib import Path
from typing import Any, Final, cast

import orjson
import yaml

from weir_core.config import Settings
from weir_workers.connectors.tap_environment import refused
from weir_workers.connectors.tap_failures import invalid

_LARGEST: Final = 8 * 1024 * 1024
# Parts that are read at the same time come mixed, and no STATE covers what came before it.
_ONE_BY_ONE: Final = {"type": "ConcurrencyLevel", "default_concurrency": 1}
# Those of packages have theirs in a file beside them, and without one nothing runs.
_ANY_CONFIG: Final = {
    "type": "Spec",
    "connection_specification": {"type": "object", "additionalProperties": True},
}


async def manifest_of(path: str) -> str:
    """The manifest in a file, as it is run; SourceError where it is not allowed, or none."""
    if path not in Settings().taps:
        raise refused(f"the manifest {path!r}")
    return await asyncio.to_thread(_read, Path(path))


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST + 1)
    except OSError as error:
        raise invalid(f"the manifest can't be read: {error.strerror}", "tap.manifest") from None
    if len(text) > _LARGEST:
        raise invalid(f"the manifest has more than {_LARGEST:,} bytes", "tap.manifest")
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeError, RecursionError) as error:
        raise invalid(f"the manifest is no YAML: {error}", "tap.manifest") from None
    if not isinstance(found, dict) or "streams" not in found:
        raise invalid("the manifest is no object with `streams`", "tap.manifest")
    whole = {"spec": _ANY_CONFIG} | cast("dict[str, Any]", found) | {"concurrency_level": _ONE_BY_ONE}
    return orjson.dumps(whole, option=orjson.OPT_NON_STR_KEYS).decode()
