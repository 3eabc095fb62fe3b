"""Checks what a caller says about times."""

from datetime import datetime
from typing import Final

from weir_core.errors import InvalidArgument
from weir_core.schedules.cron import Cron
from weir_core.schedules.times import Timing, known_zones, next_fire

_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 9000


def check_instant(field: str, value: datetime | None) -> None:
    """Refuse what no clock will show."""
    if value is not None and not _FIRST_YEAR <= value.year <= _LAST_YEAR:
        raise InvalidArgument.at(field, f"must be between the years {_FIRST_YEAR} and {_LAST_YEAR}")


def check_timing(timing: Timing, field: str) -> None:
    """Refuse a timing that can't be read; each field is named by its path under `field`."""
    if timing.time_zone and timing.time_zone not in known_zones():
        raise InvalidArgument.at(
            f"{field}.time_zone", f"must be an IANA name such as Europe/Berlin, not {timing.time_zone!r}"
        )
    for name in ("once", "start_time", "end_time"):
        check_instant(f"{field}.{name}", getattr(timing, name))
    if timing.start_time and timing.end_time and timing.end_time <= timing.start_time:
        raise InvalidArgument.at(f"{field}.end_time", "must be later than start_time")
    if timing.cron:
        try:
            Cron.parse(timing.cron)
        except ValueError as error:
            raise InvalidArgument.at(f"{field}.cron", str(error)) from None


def check_fires(timing: Timing, now: datetime, created: datetime, field: str) -> None:
    """Refuse a timing that will never fire."""
    if next_fire(timing, now, created) is not None:
        return
    if timing.once is not None and timing.once <= now:
        raise InvalidArgument.at(f"{field}.once", f"must be in the future; now it is {now.isoformat()}")
    raise InvalidArgument.at(field, "never fires: no fire time lies in the future and within its bounds")
