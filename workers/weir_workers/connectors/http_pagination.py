"""Settings of how pages follow each other, as people write them."""

import re
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, field_validator, model_validator

from weir_workers.connectors.setting_types import DottedPath, Parameter, Strict
from weir_workers.connectors.times import UNITS, TimeFormat, moment

_SIZE_PARAM = "Parameter for the page's size. Empty: not sent."
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


class _Sized(Strict):
    """What pages by number and by offset have in common."""

    page_size: int = Field(default=1000, ge=1, le=100_000, description="Records a page.")
    total_path: DottedPath = Field(
        default="",
        description=(
            "Dotted path to the number of all records in the body. Set: the end is reached when so many came."
        ),
    )
    short_page_ends: bool = Field(
        default=False,
        description=(
            "True: a page with fewer records than page_size is the last one. Saves a request; set it only if "
            "the source never lowers the page size by itself."
        ),
    )
    not_found_ends: bool = Field(
        default=False, description="True: the source answers 404 to the page after its last one."
    )
    in_flight: int = Field(default=4, ge=1, le=16, description="Pages asked for at a time.")


class PageNumbers(_Sized):
    """Pages by number: the source is asked for the next until a page has no records."""

    kind: Literal["page"]
    page_param: Parameter = Field(default="page", description="Parameter for the page's number.")
    start: int = Field(default=1, ge=0, description="Number of the first page.")
    size_param: str = Field(default="per_page", max_length=200, description=_SIZE_PARAM)


class Offsets(_Sized):
    """Pages by the number of records before them: asked for the next until a page has no records.

    A source that gives fewer records a page than it was asked for is followed in its own steps.
    """

    kind: Literal["offset"]
    offset_param: Parameter = Field(
        default="offset", description="Parameter for the number of records before the page."
    )
    start: int = Field(default=0, ge=0, description="Offset of the first record.")
    size_param: str = Field(default="limit", max_length=200, description=_SIZE_PARAM)


class Cursors(Strict):
    """Each page names a value to send for the next; ends where there is none, or has_more_path says so."""

    kind: Literal["cursor"]
    next_path: DottedPath = Field(
        default="",
        description="Dotted path in the body to the value to send for the next page: meta.next_cursor.",
    )
    record_path: DottedPath = Field(
        default="",
        description=(
            "Dotted path in the page's last record to that value, such as id, where the body has none. Ends "
            "at a page without records."
        ),
    )
    next_param: Parameter = Field(
        default="cursor", description="Parameter that sends it; the first page is asked for without."
    )
    has_more_path: DottedPath = Field(
        default="",
        description="Dotted path in the body to true or false: false is on the last page.",
    )
    size_param: str = Field(default="", max_length=200, description=_SIZE_PARAM)
    page_size: int = Field(default=1000, ge=1, le=100_000, description="Records a page, for size_param.")

    @model_validator(mode="after")
    def _one_place(self) -> "Cursors":
        if bool(self.next_path) == bool(self.record_path):
            raise ValueError("needs either `next_path` or `record_path`: where the next cursor stands")
        return self


class NextLinks(Strict):
    """Each page names the next one. The link is absolute or relative, and must stay on a trusted host."""

    kind: Literal["next_link"]
    next_path: DottedPath = Field(
        default="", description="Dotted path to the link in the body. Empty: the header Link, rel=next."
    )


class OnePage(Strict):
    """The whole answer is one page."""

    kind: Literal["none"]


Simple: TypeAlias = Annotated[
    PageNumbers | Offsets | Cursors | NextLinks | OnePage, Field(discriminator="kind")
]


class TimeWindows(Strict):
    """One span of time after the other, from `start` or the collection's cursor to now.

    A window holds its first moment and not its last, which belongs to the next.
    """

    kind: Literal["time_window"]
    start: str = Field(
        max_length=40, description="Where the first window begins: 2024-01-01 or 2024-01-01T00:00:00Z."
    )
    until: str = Field(
        default="",
        max_length=40,
        description="Where the last window ends, written as start. Empty: when the run begins.",
    )
    width: str = Field(
        default="1d",
        max_length=10,
        pattern=r"^[1-9][0-9]*[smhdw]$",
        description="How long a window is: a number with s, m, h, d or w, such as 6h.",
    )
    start_param: Parameter = Field(default="start", description="Parameter for where a window begins.")
    end_param: Parameter = Field(default="end", description="Parameter for where it ends.")
    format: TimeFormat = Field(
        default="iso",
        description=(
            "How both are written: iso (2024-01-31T10:00:00Z), date (2024-01-31), epoch_seconds, epoch_ms."
        ),
    )
    end_inclusive: bool = Field(
        default=False,
        description=(
            "True: the source counts the end as part of the window. It is then sent one step earlier: a day, "
            "a second or a millisecond by `format`, a microsecond for iso."
        ),
    )
    in_flight: int = Field(
        default=4, ge=1, le=16, description="Windows asked for at a time, where each is one page."
    )
    pages: Simple = Field(
        default_factory=lambda: OnePage(kind="none"),
        description="How the pages of one window follow each other.",
    )

    @field_validator("start", "until")
    @classmethod
    def _a_time(cls, text: str) -> str:
        if text:
            moment(text)
        return text

    @model_validator(mode="after")
    def _fits(self) -> "TimeWindows":
        if not self.start:
            raise ValueError("`start` must be set, such as 2024-01-01")
        if self.until and moment(self.until) <= moment(self.start):
            raise ValueError("`until` must be later than `start`")
        if self.microseconds % UNITS[self.format]:
            raise ValueError(f"`width` {self.width!r} must be whole days, since `format` is {self.format!r}")
        return self

    @property
    def microseconds(self) -> int:
        """How long a window is."""
        found = re.fullmatch(r"(\d+)(\w)", self.width)
        assert found is not None
        return int(found[1]) * _SECONDS[found[2]] * 1_000_000


Pagination: TypeAlias = Annotated[
    PageNumbers | Offsets | Cursors | NextLinks | OnePage | TimeWindows, Field(discriminator="kind")
]
