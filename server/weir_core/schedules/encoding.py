"""How the composed values of a schedule are kept as JSON."""

from typing import Any

from pydantic import TypeAdapter

from weir_core.schedules.times import Timing
from weir_core.tasks.submitting import NewTask

_TIMING = TypeAdapter(Timing)
_TEMPLATE = TypeAdapter(NewTask)


def dump_timing(timing: Timing) -> Any:
    """A timing as JSON."""
    return _TIMING.dump_python(timing, mode="json")


def load_timing(value: Any) -> Timing:
    """A timing from JSON."""
    return _TIMING.validate_python(value)


def dump_template(template: NewTask) -> Any:
    """What to submit, as JSON; whatever a task may be asked for is in it."""
    return _TEMPLATE.dump_python(template, mode="json")


def load_template(value: Any) -> NewTask:
    """What to submit, from JSON."""
    return _TEMPLATE.validate_python(value)
