"""Settings of a collection of the connector `http`, as people write them."""

from collections.abc import Iterator
from typing import Any, Literal, TypeAlias, cast

import orjson
from pydantic import Field, field_validator, model_validator

from weir_workers.connectors.column_settings import ColumnSetting, unique
from weir_workers.connectors.http_pagination import (
    Cursors,
    NextLinks,
    OnePage,
    Pagination,
    Simple,
    TimeWindows,
)
from weir_workers.connectors.http_request import BodyConflict, placed, whole_numbers
from weir_workers.connectors.setting_types import DottedPath, Parameter, Scalar, Strict
from weir_workers.connectors.times import TimeFormat

_MAX_BODY = 65536

CursorFormat: TypeAlias = Literal["as_is"] | TimeFormat


class HttpCollection(Strict):
    """What to read from the API."""

    path: str = Field(
        default="", max_length=2000, pattern=r"^[^?#]*$", description="Path below base_url, such as /flights."
    )
    params: dict[Parameter, Scalar | list[Scalar]] = Field(
        default_factory=dict,
        max_length=64,
        description="Query parameters of each request; a list is sent repeatedly.",
    )
    method: Literal["GET", "POST"] = Field(
        default="GET",
        description="How to ask. A POST is repeated like a GET: it must change nothing.",
    )
    body: dict[str, Any] = Field(
        default_factory=dict, description="The JSON object that a POST sends. At most 64 KiB."
    )
    send_in: Literal["query", "body"] = Field(
        default="query",
        description=(
            "Where the parameters of pagination, cursor and until go: into the query, or into the body of a "
            "POST, where a parameter's name is a dotted path such as page.number."
        ),
    )
    format: Literal["json", "ndjson"] = Field(
        default="json",
        description="What the body is: one JSON document, or lines that are a record each.",
    )
    records_path: DottedPath = Field(
        default="",
        description=(
            "Dotted path to the list of records in the body. Empty: the body is the list. In a list before "
            "the path's end a number picks one element; else the rest of the path is looked up in each, and "
            "what is found there are the records: hits.hits._source."
        ),
    )
    one_record: bool = Field(
        default=False,
        description="True: a single object where the list should be counts as a list of one record.",
    )
    pagination: Pagination = Field(
        default_factory=lambda: OnePage(kind="none"), description="How pages follow."
    )
    conditional: bool = Field(
        default=True,
        description=(
            "Where the source is one page, told its version and is asked by GET: ask whether it has "
            "changed (If-None-Match, If-Modified-Since), and leave the dataset as it is if not. Mode APPEND, "
            "backfills and runs with `full` read it in any case. False: always read it."
        ),
    )
    max_pages: int = Field(
        default=100_000,
        ge=1,
        le=10_000_000,
        description="A run that needs more pages than this fails: a source without end is not read for ever.",
    )
    columns: list[ColumnSetting] = Field(
        default_factory=list[ColumnSetting],
        max_length=2000,
        description=(
            "The columns to keep. Empty: those of the dataset, or, for a new one, what the first page shows "
            "(text stays text: name the columns to get times and decimals)."
        ),
    )
    cursor_param: str = Field(
        default="",
        max_length=200,
        description=(
            "Parameter that receives the cursor in an incremental run; at the first run it is not "
            "sent. The source may answer records after the cursor, or from the cursor on: records equal to "
            "the cursor are those that the run before has read, and are dropped (see keep_equal). A record "
            "that gets a cursor value at or below one already read is missed: choose a field that grows with "
            "each change. Pages by time windows need none."
        ),
    )
    until_param: str = Field(
        default="",
        max_length=200,
        description=(
            "Parameter that receives the end of a backfill. What the source answers at or beyond it is "
            "dropped. Pages by time windows need none."
        ),
    )
    cursor_format: CursorFormat = Field(
        default="as_is",
        description=(
            "How cursor_param and until_param are written: as the cursor is, or the time in it as iso, date, "
            "epoch_seconds or epoch_ms. What a coarser format brings again is dropped."
        ),
    )
    keep_equal: bool = Field(
        default=False,
        description=(
            "True: records whose cursor field equals the cursor are kept when they come again. Misses no "
            "late record of the same value, but a source that answers from the cursor on then doubles its "
            "newest records at each run."
        ),
    )

    @field_validator("columns")
    @classmethod
    def _unique(cls, columns: list[ColumnSetting]) -> list[ColumnSetting]:
        return unique(columns)

    @field_validator("body")
    @classmethod
    def _short_json(cls, body: dict[str, Any]) -> dict[str, Any]:
        try:
            size = len(orjson.dumps(body))
        except (TypeError, ValueError, RecursionError):
            raise ValueError("must be a JSON object that is not nested too deep") from None
        if size > _MAX_BODY:
            raise ValueError(f"has {size} bytes as JSON, at most {_MAX_BODY} can be sent")
        return whole_numbers(body)

    @model_validator(mode="after")
    def _body_fits(self) -> "HttpCollection":
        if self.method == "GET" and (self.body or self.send_in == "body"):
            what = "`body`" if self.body else "`send_in` body"
            raise ValueError(f"{what} needs `method` POST: a GET has no body")
        if self.send_in == "body":
            try:
                placed(self.body, dict.fromkeys(self._sent(), 0))
            except BodyConflict as error:
                raise ValueError(str(error)) from None
        return self

    @model_validator(mode="after")
    def _lines_have_no_paths(self) -> "HttpCollection":
        if self.format == "json":
            return self
        inner = self.inner
        names = [name for name in ("total_path", "has_more_path", "next_path") if getattr(inner, name, "")]
        wrong = [*(["records_path"] if self.records_path else []), *(f"pagination.{name}" for name in names)]
        if wrong:
            raise ValueError(f"{', '.join(wrong)} must be empty for `format` ndjson: no body is around")
        return self

    @property
    def inner(self) -> Simple:
        """How pages follow, within one window where there are windows."""
        return self.pagination.pages if isinstance(self.pagination, TimeWindows) else self.pagination

    def _sent(self) -> Iterator[str]:
        """Names of all parameters that change from page to page or from run to run."""
        for rules in (self.pagination, self.inner):
            if isinstance(rules, NextLinks | OnePage):
                continue
            names = ("page_param", "offset_param", "size_param", "start_param", "end_param")
            yield from filter(None, (cast("str", getattr(rules, name, "")) for name in names))
            if isinstance(rules, Cursors):
                yield rules.next_param
        yield from filter(None, (self.cursor_param, self.until_param))
