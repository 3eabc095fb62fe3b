"""Cron expressions: which minutes of a clock on the wall they name. Pure, and without clock changes.

As in Debian's cron: where day of month and day of week are both restricted,
either is enough; a field that begins with `*` restricts nothing, `*/2` included,
and both then must fit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final, Self

_ALIASES: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_DAY: Final = timedelta(days=1)
# 29 February on a given day of the week comes at least once in it.
_HORIZON_YEARS: Final = 50


@dataclass(frozen=True, slots=True)
class _Field:
    """One of the five fields: what it is called, its numbers, and the names that stand for some."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()

    def read(self, text: str) -> frozenset[int]:
        """The numbers that the field's text allows; ValueError says what would be right."""
        return frozenset(number for term in text.split(",") for number in self._term(term))

    def _term(self, term: str) -> range:
        span, slash, step = term.partition("/")
        first, dash, last = span.partition("-")
        if span == "*":
            low, high = self.low, self.high
        else:
            low = self._number(first)
            high = self._number(last) if dash else self.high if slash else low
        if slash and not (step.isascii() and step.isdigit() and int(step[:9]) > 0):
            raise ValueError(f"the step {step!r} of {self.name} must be a number from 1 on")
        if high < low:
            raise ValueError(f"{span!r} of {self.name} ends before it begins; join two parts with a comma")
        return range(low, high + 1, int(step[:9]) if slash else 1)

    def _number(self, text: str) -> int:
        if text.upper() in self.names:
            return self.low + self.names.index(text.upper())
        number = int(text[:9]) if text.isascii() and text.isdigit() else -1
        if not self.low <= number <= self.high:
            names = f", or {self.names[0]} to {self.names[-1]}" if self.names else ""
            raise ValueError(f"{self.name} must be * or {self.low} to {self.high}{names}, not {text!r}")
        return number


_FIELDS: Final = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 7, _WEEKDAYS),
)


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression, read."""

    minutes: Sequence[int]
    hours: Sequence[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool
    """True: both kinds of day are restricted, and either is enough."""
    follows_elapsed_time: bool
    """True: the hour field has `*` or a step."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """The expression in a text; ValueError says what would be right."""
        parts = _ALIASES.get(text.strip().lower(), text).split()
        if len(parts) != len(_FIELDS):
            known = ", ".join(_ALIASES)
            raise ValueError(
                "must have five fields (minute, hour, day of month, month, day of week) or be one of "
                f"{known}, not {text!r}"
            )
        minutes, hours, days, months, weekdays = (
            field.read(part) for field, part in zip(_FIELDS, parts, strict=True)
        )
        return cls(
            sorted(minutes),
            sorted(hours),
            days,
            months,
            frozenset(day % 7 for day in weekdays),
            either_day=not (parts[2].startswith("*") or parts[4].startswith("*")),
            follows_elapsed_time="*" in parts[1] or "/" in parts[1],
        )

    def after(self, wall: datetime) -> Iterator[datetime]:
        """The minutes later than a moment, in order; ends where none comes for 50 years."""
        day, last_year = wall.date(), wall.year + _HORIZON_YEARS
        try:
            while day.year <= last_year:
                if day.month not in self.months:
                    day = (day.replace(day=1) + 32 * _DAY).replace(day=1)
                    continue
                if self._names(day):
                    last_year = day.year + _HORIZON_YEARS
                    yield from self._in(day, wall)
                day += _DAY
        except OverflowError:
            return

    def _in(self, day: date, wall: datetime) -> Iterator[datetime]:
        first = wall.hour if day == wall.date() else 0
        for hour in self.hours:
            if hour < first:
                continue
            for minute in self.minutes:
                if (moment := datetime.combine(day, time(hour, minute))) > wall:
                    yield moment

    def _names(self, day: date) -> bool:
        of_month, of_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return of_month or of_week if self.either_day else of_month and of_week
