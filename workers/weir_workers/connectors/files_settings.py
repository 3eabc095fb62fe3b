"""Settings of the connector `files`, as people write them."""

from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import urlsplit

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from weir_core.datasets.arrow_types import parse_type
from weir_workers.connectors.files_patterns import pattern_fault

Format: TypeAlias = Literal["csv", "ndjson", "json", "parquet", "xlsx"]
Compression: TypeAlias = Literal["none", "gzip", "zstd"]

_SUFFIXES: Final[dict[str, Format]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "json",
    ".parquet": "parquet",
    ".xlsx": "xlsx",
}
_PACKED: Final[dict[str, Compression]] = {".gz": "gzip", ".gzip": "gzip", ".zst": "zstd", ".zstd": "zstd"}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FilesConnection(_Strict):
    """Where the files are."""

    url: str = Field(
        max_length=2000,
        pattern=r"^(file|s3|https?)://",
        description=(
            "A folder: file:///srv/sources/shop, inside one of WEIR_SOURCE_ROOTS; s3://BUCKET or "
            "s3://BUCKET/FOLDER; or https://files.example.com/shop. No user name, password or query in it."
        ),
    )
    endpoint: str = Field(
        default="",
        max_length=2000,
        pattern=r"^(https?://[^/?#@]+)?$",
        description="Server of an S3 that is not Amazon's, such as https://minio.example.com:9000.",
    )
    region: str = Field(
        default="us-east-1", pattern=r"^[a-z0-9-]{1,40}$", description="Region of the S3 bucket."
    )
    access_key: SecretStr | None = Field(
        default=None, max_length=1000, description="Access key of S3. Without one the bucket must be public."
    )
    secret_key: SecretStr | None = Field(default=None, max_length=1000, description="Secret key of S3.")
    token: SecretStr | None = Field(
        default=None, max_length=65536, description="Sent as `Authorization: Bearer` to a web server."
    )
    timeout_seconds: float = Field(
        default=60.0, gt=0, le=3600, description="Time to connect, and for one request."
    )

    @field_validator("url")
    @classmethod
    def _plain(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
            raise ValueError("must have no user name, password, query or fragment")
        if parts.scheme == "file" and (parts.netloc or not parts.path):
            raise ValueError("must be a whole path, such as file:///srv/sources/shop")
        if parts.scheme != "file" and not parts.netloc:
            raise ValueError("must name a bucket or host")
        if ".." in parts.path.split("/"):
            raise ValueError("must hold no `..`")
        return url

    @model_validator(mode="after")
    def _both_keys(self) -> "FilesConnection":
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError("`access_key` and `secret_key` go together")
        return self


class FileColumn(_Strict):
    """A column of the dataset."""

    name: str = Field(min_length=1, max_length=200, description="The column's name in the files.")
    type: str = Field(
        max_length=2000,
        description="Arrow type as text: int64, double, string, bool, timestamp[us, tz=UTC], date32, …",
    )
    nullable: bool = Field(default=True, description="False: a row without it goes to quarantine.")

    @field_validator("type")
    @classmethod
    def _known(cls, text: str) -> str:
        parse_type(text)
        return text


class FilesCollection(_Strict):
    """Which files to read, and what is in them."""

    files: list[Annotated[str, Field(min_length=1, max_length=500)]] = Field(
        min_length=1,
        max_length=100,
        description=(
            "Paths below the connection's folder, such as 2024-*/orders_*.csv.gz: `*` and `?` stand for "
            "letters of one name, `**` for any folders. Over HTTP they are whole paths."
        ),
    )
    format: Literal["auto", "csv", "ndjson", "json", "parquet", "xlsx"] = Field(
        default="auto", description="What the files are; `auto`: as their names end."
    )
    compression: Literal["auto", "none", "gzip", "zstd"] = Field(
        default="auto", description="How the files are packed; `auto`: as their names end, .gz or .zst."
    )
    columns: list[FileColumn] = Field(
        default_factory=list[FileColumn],
        max_length=2000,
        description=(
            "The columns to keep. Empty: those of the dataset, or, for a new one, those of the first file; "
            "in a CSV file all of them are text then."
        ),
    )
    delimiter: str = Field(
        default="",
        max_length=1,
        pattern=r'^[^"\r\n]?$',
        description="CSV: what stands between values. Empty: a comma, or in a .tsv file a tab.",
    )
    header: bool = Field(
        default=True, description="CSV: the first line has the names. False: `columns` has them, in order."
    )
    quoted_newlines: bool = Field(
        default=False, description="CSV: values in quotes may go over several lines."
    )
    nulls: list[Annotated[str, Field(max_length=100)]] = Field(
        default_factory=lambda: [""],
        max_length=20,
        description="CSV: what stands for no value, where it is not in quotes.",
    )
    records_path: str = Field(
        default="",
        max_length=500,
        pattern=r'^[^"\\\x00-\x1f]*$',
        description="JSON: dotted path to the list of records. Empty: the file is the list.",
    )
    sheet: str = Field(
        default="", max_length=100, description="Excel: name of the sheet. Empty: the first one."
    )

    @field_validator("files")
    @classmethod
    def _patterns(cls, files: list[str]) -> list[str]:
        for pattern in files:
            if fault := pattern_fault(pattern):
                raise ValueError(f"{pattern!r} {fault}")
        return files

    @model_validator(mode="after")
    def _named(self) -> "FilesCollection":
        names = [column.name for column in self.columns]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"columns named twice: {', '.join(twice)}")
        if not self.header and not names:
            raise ValueError("a CSV file without a header needs `columns`")
        return self

    def declared_schema(self) -> pa.Schema | None:
        """The declared columns; None if there are none."""
        fields = [pa.field(column.name, parse_type(column.type), column.nullable) for column in self.columns]
        return pa.schema(fields) if fields else None

    def format_of(self, name: str) -> Format | None:
        """What a file is; None where its name does not tell."""
        if self.format != "auto":
            return self.format
        plain = next((name.removesuffix(end) for end in _PACKED if name.endswith(end)), name)
        return next((kind for end, kind in _SUFFIXES.items() if plain.lower().endswith(end)), None)

    def compression_of(self, name: str) -> Compression:
        """How a file is packed."""
        if self.compression != "auto":
            return self.compression
        for end, kind in _PACKED.items():
            if name.lower().endswith(end):
                return kind
        return "none"

    def delimiter_of(self, name: str) -> str:
        """What stands between the values of a CSV file."""
        return self.delimiter or ("\t" if ".tsv" in name.lower() else ",")
