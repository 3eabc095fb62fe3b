"""The pages of one reading in their order, by the settings of the collection."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from weir_core.datasets.commits import Position
from weir_core.datasets.values import CursorValue
from weir_workers.connectors.errors import SourceError
from weir_workers.connectors.http_loading import PageLoader
from weir_workers.connectors.http_pagination import (
    Cursors,
    NextLinks,
    Offsets,
    OnePage,
    PageNumbers,
    TimeWindows,
)
from weir_workers.connectors.http_request import Question
from weir_workers.connectors.pages import DONE, Load, Loaded, Steps, Turn, linked, listed, numbered
from weir_workers.connectors.times import UNITS, TimeFormat, moment, now, rounded, told, written

BEGINNING: Position = {}

Window: TypeAlias = tuple[Question, Position, Position]
"""What to ask for, the position at its beginning, and the one after it."""

Rules: TypeAlias = PageNumbers | Offsets | Cursors | NextLinks | OnePage


@dataclass(frozen=True, slots=True)
class Walk:
    """One walk over pages."""

    loader: PageLoader
    rules: Rules | TimeWindows
    since: CursorValue | None
    until: CursorValue | None
    limit: int
    """So many records will do: no page is asked for before the one before it was taken. 0: all."""

    def turns(self, question: Question, at: Position) -> AsyncGenerator[Turn]:
        """The pages from a position on."""
        if isinstance(self.rules, TimeWindows):
            return self._windowed(question, self.rules, at)
        first: int = at.get("page", 1)
        if isinstance(self.rules, PageNumbers) and "page" in at:
            first = at["page"] - self.rules.start + 1
        return self._simple(question, self.rules, at, first)

    def _simple(self, question: Question, rules: Rules, at: Position, ordinal: int) -> AsyncGenerator[Turn]:
        rules = _shortened(rules, self.limit)
        if isinstance(rules, PageNumbers | Offsets):
            steps = _steps(rules, alone=bool(self.limit))
            return numbered(self._load(question, rules), steps, at, ordinal)
        start = None if isinstance(rules, Cursors) else str(question.url)
        return linked(self._load(question, rules), start, at, ordinal, ahead=not self.limit)

    def _load(self, question: Question, rules: Rules) -> Load:
        async def load(place: Any, ordinal: int) -> Loaded:
            match rules:
                case PageNumbers() | Offsets():
                    return await self.loader.at_number(question, rules, place, ordinal)
                case Cursors():
                    return await self.loader.at_cursor(question, rules, place, ordinal)
                case NextLinks():
                    return await self.loader.at_link(question, rules, place, ordinal)
                case OnePage():
                    return await self.loader.at_link(question, None, place, ordinal)

        return load

    def _windowed(self, question: Question, rules: TimeWindows, at: Position) -> AsyncGenerator[Turn]:
        # The end is told by the run's first position, so that a resumed run has the same windows.
        end = moment(at["end"]) if "end" in at else self._end(rules)
        begin = moment(at["window"]) if "window" in at else self._begin(rules)
        windows = (
            (question.with_params(_params(rules, each, stop)), _place(each, end), _place(stop, end))
            for each in range(begin, end, rules.microseconds)
            for stop in [min(each + rules.microseconds, end)]
        )
        ordinal: int = at.get("page", 1)
        if isinstance(rules.pages, OnePage):
            pages = ((asked, after) for asked, _, after in windows)
            return listed(self._whole, pages, ordinal, 1 if self.limit else rules.in_flight)
        return self._one_by_one(windows, rules.pages, at.get("at") or BEGINNING, ordinal)

    async def _whole(self, question: Question, ordinal: int) -> Loaded:
        return await self.loader.at_link(question, None, str(question.url), ordinal)

    async def _one_by_one(
        self,
        windows: Iterable[Window],
        rules: Rules,
        inside: Position,
        ordinal: int,
    ) -> AsyncGenerator[Turn]:
        for question, here, after in windows:
            done = False
            async with aclosing(self._simple(question, rules, inside, ordinal)) as pages:
                async for turn in pages:
                    ordinal, done = turn.ordinal + 1, turn.after == DONE
                    yield replace(turn, after=after if done else {**here, "at": turn.after})
            if not done:
                yield Turn(None, b"", after, ordinal - 1)
            inside = BEGINNING

    def _begin(self, rules: TimeWindows) -> int:
        begin = moment(rules.start)
        if self.since is not None:
            begin = max(begin, time_of(self.since, rules.format, "pagination.format", up=False))
        return rounded(begin, rules.format, up=False)

    def _end(self, rules: TimeWindows) -> int:
        # Today is read as far as it has come; a second that is not over waits for the next run.
        end = moment(rules.until) if rules.until else rounded(now(), rules.format, up=rules.format == "date")
        if self.until is not None:
            end = min(end, time_of(self.until, rules.format, "pagination.format", up=True))
        return rounded(end, rules.format, up=True)


def time_of(cursor: CursorValue, form: TimeFormat, setting: str, *, up: bool) -> int:
    """The time of a cursor; SourceError names the setting that does not fit it."""
    try:
        return told(cursor, form, up=up)
    except (ValueError, OverflowError) as error:
        raise SourceError(
            "INVALID_INPUT",
            f"the collection's settings: {setting}: {form!r} does not fit: {error}",
            code="settings.invalid",
        ) from None


def _place(begin: int, end: int) -> Position:
    return {"window": written(begin, "iso"), "end": written(end, "iso")}


def _params(rules: TimeWindows, begin: int, stop: int) -> dict[str, str | int]:
    last = stop - UNITS[rules.format] if rules.end_inclusive else stop
    return {
        rules.start_param: written(begin, rules.format),
        rules.end_param: written(last, rules.format),
    }


def _shortened(rules: Rules, limit: int) -> Rules:
    """For a limit: pages no greater than that, where the source is told their size."""
    if not limit or isinstance(rules, NextLinks | OnePage) or not rules.size_param:
        return rules
    return rules.model_copy(update={"page_size": min(rules.page_size, limit)})


def _steps(rules: PageNumbers | Offsets, *, alone: bool) -> Steps:
    by_records = isinstance(rules, Offsets)
    return Steps(
        "offset" if by_records else "page",
        rules.start,
        1 if alone else rules.in_flight,
        rules.page_size,
        rules.short_page_ends,
        rules.not_found_ends,
        by_records,
    )
