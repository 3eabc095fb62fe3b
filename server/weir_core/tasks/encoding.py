"""How the composed values of a task are kept as JSON."""

from typing import Any

from pydantic import TypeAdapter

from weir_core.tasks.models import Cancellation, Concurrency, Dependency, Failure, Limits

_LIMITS = TypeAdapter(Limits)
_FAILURE = TypeAdapter(Failure)
_CANCELLATION = TypeAdapter(Cancellation)
_CONCURRENCY = TypeAdapter(Concurrency)
_DEPENDENCIES = TypeAdapter(list[Dependency])


def dump_limits(limits: Limits) -> Any:
    """Limits as JSON."""
    return _LIMITS.dump_python(limits, mode="json")


def load_limits(value: Any) -> Limits:
    """Limits from JSON."""
    return _LIMITS.validate_python(value)


def dump_failure(failure: Failure | None) -> Any:
    """A failure as JSON; None stays None."""
    return None if failure is None else _FAILURE.dump_python(failure, mode="json")


def load_failure(value: Any) -> Failure | None:
    """A failure from JSON."""
    return None if value is None else _FAILURE.validate_python(value)


def dump_cancellation(cancellation: Cancellation | None) -> Any:
    """A cancellation as JSON; None stays None."""
    return None if cancellation is None else _CANCELLATION.dump_python(cancellation, mode="json")


def load_cancellation(value: Any) -> Cancellation | None:
    """A cancellation from JSON."""
    return None if value is None else _CANCELLATION.validate_python(value)


def dump_concurrency(concurrency: Concurrency | None) -> Any:
    """A shared limit as JSON; None stays None."""
    return None if concurrency is None else _CONCURRENCY.dump_python(concurrency, mode="json")


def load_concurrency(value: Any) -> Concurrency | None:
    """A shared limit from JSON."""
    return None if value is None else _CONCURRENCY.validate_python(value)


def dump_dependencies(dependencies: list[Dependency]) -> Any:
    """Dependencies as JSON."""
    return _DEPENDENCIES.dump_python(dependencies, mode="json")


def load_dependencies(value: Any) -> list[Dependency]:
    """Dependencies from JSON."""
    return _DEPENDENCIES.validate_python(value)
