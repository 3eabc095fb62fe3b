"""Settings of the connector `sql`, as people write them."""

from typing import Annotated, Final, Literal
from urllib.parse import unquote, urlsplit

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from weir_core.datasets.arrow_types import parse_type
from weir_workers.connectors.sql_place import Dialect, Place, Tls

_SCHEMES: Final[dict[str, Dialect]] = {
    "mysql": "mysql",
    "mariadb": "mysql",
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "sqlite": "sqlite",
}
_PORTS: Final = {"mysql": 3306, "postgresql": 5432, "sqlite": 0}
_EXAMPLES: Final = (
    "mysql://reader@db.example.com:3306/shop, postgresql://reader@db.example.com/shop, sqlite:///FILE"
)

ColumnName = Annotated[str, Field(min_length=1, max_length=200)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SqlConnection(_Strict):
    """How to reach the database: by one `url`, or by its parts."""

    url: str = Field(
        default="",
        max_length=2000,
        description=f"Where the database is, without a password, such as {_EXAMPLES}. Or give its parts.",
    )
    dialect: Literal["", "mysql", "mariadb", "postgresql", "sqlite"] = Field(
        default="", description="Kind of the database, where there is no `url`."
    )
    host: str = Field(default="", max_length=255, description="Name or address of the server.")
    port: int = Field(
        default=0, ge=0, le=65_535, description="Port of the server; 0: 3306 for MySQL, 5432 for PostgreSQL."
    )
    database: str = Field(default="", max_length=200, description="Name of the database.")
    user: str = Field(default="", max_length=200, description="Who signs in. Best one that may only read.")
    path: str = Field(
        default="",
        max_length=4000,
        description="The file of a SQLite database, inside one of the folders of WEIR_SOURCE_ROOTS.",
    )
    password: SecretStr | None = Field(default=None, max_length=65_536, description="The user's password.")
    tls: Tls = Field(
        default="auto",
        description=(
            "`verified`: encrypted, and the server's certificate is checked; `required`: encrypted, the "
            "certificate is not checked; `off`: in plain text. `auto` is `verified` for public addresses and "
            "`off` for private ones."
        ),
    )
    timeout_seconds: float = Field(
        default=60.0, gt=0, le=3600, description="Time to connect, and to wait for the next rows."
    )

    @model_validator(mode="after")
    def _says_where(self) -> "SqlConnection":
        parts = (self.dialect, self.host, self.port, self.database, self.user, self.path)
        if self.url and any(parts):
            raise ValueError("give either `url` or its parts, not both")
        if not self.url and not self.dialect:
            raise ValueError(f"needs `url`, such as {_EXAMPLES}; or `dialect` and the other parts")
        self.place()
        return self

    def place(self) -> Place:
        """What the settings say; ValueError where something is missing."""
        parts = self._of_url() if self.url else self._of_parts()
        if parts.dialect == "sqlite":
            if not parts.path or parts.host:
                raise ValueError("a SQLite database needs its file and no host: sqlite:///FILE, or `path`")
        elif not parts.host or not parts.database:
            raise ValueError("needs a host and the name of a database")
        return parts

    def _of_url(self) -> Place:
        parts = urlsplit(self.url)
        dialect = _SCHEMES.get(parts.scheme)
        if dialect is None:
            raise ValueError(f"`url` must be like {_EXAMPLES}")
        if parts.password is not None:
            raise ValueError("`url` must hold no password; give it as the secret `password`")
        if parts.query or parts.fragment:
            raise ValueError("`url` must have no query and no fragment; the other settings say such things")
        path = unquote(parts.path.removeprefix("/"))
        sqlite = dialect == "sqlite"
        return self._placed(
            dialect,
            host=parts.hostname or "",
            port=parts.port or 0,
            database="" if sqlite else path,
            user=unquote(parts.username or ""),
            path=path if sqlite else "",
        )

    def _of_parts(self) -> Place:
        dialect = _SCHEMES[self.dialect]
        return self._placed(
            dialect,
            host=self.host,
            port=self.port,
            database=self.database,
            user=self.user,
            path=self.path,
        )

    def _placed(
        self, dialect: Dialect, *, host: str, port: int, database: str, user: str, path: str
    ) -> Place:
        secret = self.password.get_secret_value() if self.password else ""
        port = port or _PORTS[dialect]
        return Place(
            dialect, host, port, database, user, path, self.tls, self.timeout_seconds, password=secret
        )


class SqlColumn(_Strict):
    """A column of the dataset."""

    name: ColumnName = Field(description="The column's name in the table or query.")
    type: str = Field(
        max_length=2000,
        description=(
            "Arrow type as text: int64, double, string, bool, binary, timestamp[us, tz=UTC], date32, "
            "decimal128(18, 2), …"
        ),
    )
    nullable: bool = Field(default=True, description="False: a row without it goes to quarantine.")

    @field_validator("type")
    @classmethod
    def _flat(cls, text: str) -> str:
        kind = parse_type(text)
        if pa.types.is_nested(kind):
            raise ValueError("a row of a table has no lists or objects; read such a column as string")
        return text


class SqlCollection(_Strict):
    """What to read: a stream, which is a table or view; or the rows of a query."""

    query: str = Field(
        default="",
        max_length=65_536,
        description=(
            "One SELECT whose rows are read, instead of a stream. Other columns than plain ones need a name "
            "(`AS total`)."
        ),
    )
    key: list[ColumnName] = Field(
        default_factory=list[str],
        max_length=16,
        description=(
            "Columns that together tell each row from all others and are never null. Needed for a query or a "
            "view that is to go on after a breakdown; a table's primary key need not be named."
        ),
    )
    connections: int = Field(
        default=1,
        ge=1,
        le=4,
        description=(
            "How many parts of it are read at the same time, over a connection each. More than one helps "
            "where the database could give more than one connection takes. It is cut by its key then, into "
            "parts of 131,072 rows or more; each connection takes about 100 MB of the worker. Without a key "
            "it is one part."
        ),
    )
    columns: list[SqlColumn] = Field(
        default_factory=list[SqlColumn],
        max_length=2000,
        description=(
            "The columns to keep. Empty: those of the dataset, or, for a new one, all, with the types that "
            "the database says."
        ),
    )

    @field_validator("query")
    @classmethod
    def _one_select(cls, query: str) -> str:
        text = query.strip().rstrip(";").rstrip()
        if text and text.split(None, 1)[0].lower().lstrip("(") not in {"select", "with", "values", "table"}:
            raise ValueError("must be one SELECT")
        if ";" in text:
            raise ValueError("must be one SELECT, without `;`")
        return text

    @field_validator("columns")
    @classmethod
    def _unique(cls, columns: list[SqlColumn]) -> list[SqlColumn]:
        names = [column.name for column in columns]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"named twice: {', '.join(twice)}")
        return columns

    def declared_schema(self) -> pa.Schema | None:
        """The declared columns; None if there are none."""
        fields = [pa.field(column.name, parse_type(column.type), column.nullable) for column in self.columns]
        return pa.schema(fields) if fields else None
