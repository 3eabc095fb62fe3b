"""The options that say when a schedule fires."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import click

from weir.times import to_duration, to_timestamp
from weir.v1.schedule_pb2 import Timing

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class _Length(click.ParamType[timedelta]):
    """A length of time."""

    name = "length"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smhd])", str(value))
        if match is None:
            self.fail(f"{value!r} is no length of time; write 30s, 10m, 2h or 1d", param, ctx)
        return timedelta(seconds=float(match[1]) * _UNITS[match[2]])


class _Time(click.ParamType[datetime]):
    """A point in time; without a zone in UTC."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            time = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no time; write it like 2026-11-01T12:00:00Z", param, ctx)
        return time if time.tzinfo else time.replace(tzinfo=UTC)


LENGTH: Final = _Length()
TIME: Final = _Time()


def timing_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say when to fire."""
    for option in (
        click.option("--jitter", type=LENGTH, help="Delay each fire by chance, up to so long."),
        click.option("--end", "end_time", type=TIME, help="No fire at or after this."),
        click.option("--start", "start_time", type=TIME, help="No fire before this."),
        click.option("--zone", "time_zone", default="", help="IANA name; UTC where none is given."),
        click.option("--once", type=TIME, help="Once, such as 2026-11-01T12:00:00Z."),
        click.option("--every", "interval", type=LENGTH, help="Every so long, such as 30s, 10m, 2h, 1d."),
        click.option("--cron", help='Five fields, such as "30 2 * * *", or @daily and its like.'),
    ):
        command = option(command)
    return command


def timing_from(options: dict[str, Any]) -> Timing:
    """The timing of the options, which are taken out."""
    given = {name: options.pop(name) for name in ("cron", "interval", "once")}
    if sum(value is not None for value in given.values()) != 1:
        raise click.UsageError("say when: one of --cron, --every, --once")
    return Timing(
        cron=given["cron"],
        interval=to_duration(given["interval"], "--every"),
        once=to_timestamp(given["once"], "--once"),
        time_zone=options.pop("time_zone"),
        start_time=to_timestamp(options.pop("start_time"), "--start"),
        end_time=to_timestamp(options.pop("end_time"), "--end"),
        jitter=to_duration(options.pop("jitter"), "--jitter"),
    )
