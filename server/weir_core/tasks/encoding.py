"""How the composed values of a task are kept as JSON."""

from typing import Any

from pydantic import TypeAdapter

from weir_core.tasks.models import Cancellation, Failure, Limits

_LIMITS = TypeAdapter(Limits)
_FAILURE = TypeAdapter(Failure)
_CANCELLATION = TypeAdapter(Cancellation)


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
