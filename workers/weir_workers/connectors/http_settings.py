"""Settings of the connector `http`, as people write them."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from weir_core.datasets.arrow_types import parse_type

_HEADER_NAME = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"
# These are set by the connector itself or would change what a request means.
_RESERVED_HEADERS = {
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "authorization",
    "accept-encoding",
}

HeaderName = Annotated[str, Field(pattern=_HEADER_NAME, max_length=100)]
HeaderValue = Annotated[str, Field(pattern=r"^[ -~]*$", max_length=2000)]
Parameter = Annotated[str, Field(min_length=1, max_length=200)]
DottedPath = Annotated[str, Field(max_length=500, pattern=r'^[^"\\\x00-\x1f]*$')]
Scalar = str | bool | int | float


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HttpConnection(_Strict):
    """How to reach the API."""

    base_url: str = Field(
        max_length=2000,
        pattern=r"^https?://",
        description="Where the API is, such as https://api.example.com/v2. No user name or password in it.",
    )
    auth: Literal["none", "bearer", "header"] = Field(
        default="none",
        description="How the token is sent: not at all, as `Authorization: Bearer`, or in its own header.",
    )
    auth_header: HeaderName = Field(
        default="X-Api-Key", description="The header that carries it, for `header`."
    )
    token: SecretStr | None = Field(
        default=None, max_length=65536, description="The secret that `bearer` and `header` send."
    )
    headers: dict[HeaderName, HeaderValue] = Field(
        default_factory=dict, max_length=32, description="Fixed headers of each request. No secrets."
    )
    extra_hosts: list[Annotated[str, Field(min_length=1, max_length=260)]] = Field(
        default_factory=list,
        max_length=32,
        description=(
            "Other hosts that are trusted like the one of base_url, as HOST or HOST:PORT: next links may "
            "lead there, and they get the token. A redirect to any other host is followed without token and "
            "headers."
        ),
    )
    timeout_seconds: float = Field(
        default=30.0, gt=0, le=600, description="Time for one request, its body included."
    )

    @field_validator("base_url")
    @classmethod
    def _plain_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if not parts.hostname or parts.username is not None or parts.password is not None:
            raise ValueError(
                "must have a host, and no user name or password; use `auth` and the secret `token`"
            )
        if parts.query or parts.fragment:
            raise ValueError(
                "must have no query and no fragment; parameters belong to the collection's `params`"
            )
        return url

    @field_validator("headers")
    @classmethod
    def _free_headers(cls, headers: dict[str, str]) -> dict[str, str]:
        taken = sorted(name for name in headers if name.lower() in _RESERVED_HEADERS)
        if taken:
            raise ValueError(f"can't set {', '.join(taken)}; a token is sent by `auth`")
        return headers

    @model_validator(mode="after")
    def _has_token(self) -> "HttpConnection":
        if self.auth == "none":
            return self
        secret = self.token.get_secret_value() if self.token else ""
        if not secret:
            raise ValueError(f"auth {self.auth!r} needs the secret `token`")
        if not secret.isascii() or not secret.isprintable():
            raise ValueError(
                "the secret `token` can't be sent in a header: it has other than visible ASCII characters"
            )
        return self


class ColumnSetting(_Strict):
    """A column of the dataset."""

    name: str = Field(min_length=1, max_length=200, description="The field's name in the records.")
    type: str = Field(
        max_length=2000,
        description=(
            "Arrow type as text: int64, double, string, bool, timestamp[us, tz=UTC], date32, list<string>, …"
        ),
    )
    nullable: bool = Field(default=True, description="False: a record without it goes to quarantine.")

    @field_validator("type")
    @classmethod
    def _known(cls, text: str) -> str:
        if _unreadable(parse_type(text)):
            raise ValueError("JSON has no bytes and no times without a day; read such a column as string")
        return text


class PageNumbers(_Strict):
    """Pages by number: the source is asked for the next until a page has no records."""

    kind: Literal["page"]
    page_param: Parameter = Field(default="page", description="Query parameter for the page's number.")
    start: int = Field(default=1, ge=0, description="Number of the first page.")
    size_param: str = Field(
        default="per_page",
        max_length=200,
        description="Query parameter for the page's size. Empty: not sent.",
    )
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


class NextLinks(_Strict):
    """Each page names the next one. The link is absolute or relative, and must stay on a trusted host."""

    kind: Literal["next_link"]
    next_path: DottedPath = Field(
        default="", description="Dotted path to the link in the body. Empty: the header Link, rel=next."
    )


class OnePage(_Strict):
    """The whole answer is one page."""

    kind: Literal["none"]


Pagination = Annotated[PageNumbers | NextLinks | OnePage, Field(discriminator="kind")]


class HttpCollection(_Strict):
    """What to read from the API."""

    path: str = Field(
        default="", max_length=2000, pattern=r"^[^?#]*$", description="Path below base_url, such as /flights."
    )
    params: dict[Parameter, Scalar | list[Scalar]] = Field(
        default_factory=dict,
        max_length=64,
        description="Query parameters of each request; a list is sent repeatedly.",
    )
    records_path: DottedPath = Field(
        default="",
        description="Dotted path to the list of records in the body. Empty: the body is the list.",
    )
    pagination: Pagination = Field(
        default_factory=lambda: OnePage(kind="none"), description="How pages follow."
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
            "Query parameter that receives the cursor in an incremental run; at the first run it is not "
            "sent. The source may answer records after the cursor, or from the cursor on: records equal to "
            "the cursor are those that the run before has read, and are dropped (see keep_equal). A record "
            "that gets a cursor value at or below one already read is missed: choose a field that grows with "
            "each change."
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
        names = [column.name for column in columns]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"named twice: {', '.join(twice)}")
        return columns

    def declared_schema(self) -> pa.Schema | None:
        """The declared columns; None if there are none."""
        fields = [pa.field(column.name, parse_type(column.type), column.nullable) for column in self.columns]
        return pa.schema(fields) if fields else None


def _unreadable(kind: pa.DataType) -> bool:
    if pa.types.is_binary(kind) or pa.types.is_time(kind):
        return True
    return any(_unreadable(kind.field(at).type) for at in range(kind.num_fields))
