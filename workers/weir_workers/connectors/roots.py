"""Which files of a worker's machine a source may be: those in the folders that its operator names."""

from pathlib import Path

from weir_core.config import Settings
from weir_workers.connectors.errors import SourceError


def source_roots() -> list[Path]:
    """The folders, as they really are; none unless WEIR_SOURCE_ROOTS names some."""
    return [root.resolve() for root in Settings().source_roots]


def inside_roots(path: str, roots: list[Path] | None = None) -> Path:
    """Where a path really leads, links followed; SourceError where that is in none of the folders."""
    real = Path(path).resolve()
    if not Path(path).is_absolute() or not any(
        real.is_relative_to(root) for root in (source_roots() if roots is None else roots)
    ):
        raise SourceError(
            "INVALID_INPUT",
            f"{path!r} is not inside a folder that workers may read; an operator names such folders in "
            "WEIR_SOURCE_ROOTS",
            code="file.refused",
        )
    return real
