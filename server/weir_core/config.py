"""The settings of a Weir process, from `WEIR_…` variables."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Self
from urllib.parse import urlsplit

from annotated_types import Ge, Le, Len
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_SIZES: Final = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_LONGEST_DAYS: Final = 36_500
_LARGEST_PORT: Final = 65_535
_REDIS: Final = ("redis", "rediss", "unix")
_STORE: Final = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9_][A-Za-z0-9._-]{0,99}){0,8}/?")
_ENDPOINT: Final = re.compile(r"https?://[A-Za-z0-9.:\[\]-]{1,255}/?")
_DATABASES: Final = ("mysql+asyncmy", "mariadb+asyncmy", "sqlite+aiosqlite")


def _split(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _duration(value: Any) -> Any:
    if not isinstance(value, str) or value.startswith("P"):
        return value
    match = re.fullmatch(r"\s*([0-9]{1,15}(?:\.[0-9]+)?)\s*(ms|s|m|h|d)?\s*", value)
    seconds = float(match[1]) * _UNITS[match[2] or "s"] if match else float("inf")
    if seconds > _LONGEST_DAYS * _UNITS["d"]:
        raise ValueError("must be a length of time, such as 15s, 500ms, 10m, 2h or 30d")
    return timedelta(seconds=seconds)


def _size(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*([0-9]{1,15})\s*(KiB|MiB|GiB|TiB)?\s*", value)
    if match is None:
        raise ValueError("must be a number of bytes, such as 1048576, 64MiB or 2GiB")
    return int(match[1]) * _SIZES.get(match[2] or "", 1)


def _some(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("must be longer than nothing, such as 5s")
    return value


def _database_url(value: SecretStr) -> SecretStr:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    text = value.get_secret_value()
    try:
        right = not text or make_url(text).drivername in _DATABASES
    except (ArgumentError, ValueError):
        right = False
    if not right:
        raise ValueError("must be mysql+asyncmy://USER:PASSWORD@HOST:PORT/NAME or sqlite+aiosqlite:///FILE")
    return value


def _redis_url(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    try:
        parts = urlsplit(text)
        right = not text or (parts.scheme in _REDIS and (parts.port or 0) <= _LARGEST_PORT)
    except ValueError:
        right = False
    if not right:
        raise ValueError("must be redis://HOST:PORT/NUMBER, rediss://… or unix://SOCKET")
    return value


def _store(value: str) -> str:
    if value and _STORE.fullmatch(value) is None:
        raise ValueError("must be s3://BUCKET or s3://BUCKET/PREFIX")
    return value


def _endpoint(value: str) -> str:
    if value and _ENDPOINT.fullmatch(value) is None:
        raise ValueError("must be https://HOST or http://HOST:PORT")
    return value


def _whole_paths(value: list[Path]) -> list[Path]:
    if not all(path.is_absolute() for path in value):
        raise ValueError("must be whole paths, such as /srv/sources")
    return value


def _address(value: str) -> str:
    host, _, port = value.rpartition(":")
    if (
        value
        and not value.startswith("unix:")
        and not (host and port.isdecimal() and int(port) <= _LARGEST_PORT)
    ):
        raise ValueError("must be HOST:PORT, such as 127.0.0.1:7443")
    return value


Duration = Annotated[timedelta, BeforeValidator(_duration)]
"""A length of time: `15`, `15s`, `500ms`, `10m`, `2h`, `30d`."""

Period = Annotated[Duration, AfterValidator(_some)]
"""A length of time that can't be nothing."""

Bytes = Annotated[int, BeforeValidator(_size), Ge(1), Le(1 << 50)]
"""A number of bytes: `1048576`, `64MiB`, `2GiB`."""

Names = Annotated[list[str], NoDecode, BeforeValidator(_split), Len(min_length=1)]
Texts = Annotated[list[str], NoDecode, BeforeValidator(_split)]
Folders = Annotated[list[Path], NoDecode, BeforeValidator(_split), AfterValidator(_whole_paths)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(_database_url)]
RedisUrl = Annotated[SecretStr, AfterValidator(_redis_url)]
Address = Annotated[str, AfterValidator(_address)]
StoreUrl = Annotated[str, AfterValidator(_store)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]


class Settings(BaseSettings):
    """What a server, worker or scheduler is told from outside."""

    model_config = SettingsConfigDict(env_prefix="WEIR_", extra="ignore", frozen=True)

    database_url: DatabaseUrl = Field(
        default=SecretStr(""), description="`mysql+asyncmy://…` or `sqlite+aiosqlite:///FILE`; required"
    )
    redis_url: RedisUrl = Field(default=SecretStr(""), description="`redis://…` or `unix://…`; required")
    redis_prefix: str = Field(
        default="weir:", description="Put before every key and channel, for a shared Redis"
    )
    master_key: SecretStr = Field(
        default=SecretStr(""),
        description="32 bytes in base64; encrypts secrets and signing keys, signs page tokens",
    )
    data_dir: Path = Field(
        default=Path("data"),
        description="Where datasets and files of tasks are kept, unless in `WEIR_STORE`; shared by all",
    )
    store: StoreUrl = Field(
        default="",
        description="`s3://BUCKET/PREFIX` to keep datasets and files of tasks in; empty: `WEIR_DATA_DIR`",
    )
    store_endpoint: Endpoint = Field(
        default="", description="`https://HOST:PORT` of the S3 server; empty: Amazon's"
    )
    store_region: str = Field(
        default="",
        pattern="^[a-z0-9-]*$",
        description="Region of the bucket; empty: that of `AWS_DEFAULT_REGION`, else `us-east-1`",
    )
    store_key_id: SecretStr = Field(
        default=SecretStr(""),
        description="Id of the key to the bucket; empty: what the machine gives, such as its role",
    )
    store_secret: SecretStr = Field(default=SecretStr(""), description="Secret of the key to the bucket")

    listen: Address = Field(default="127.0.0.1:7443", description="Address of the gRPC port")
    http_listen: Address = Field(
        default="", description="Address for metrics and liveness over HTTP; empty: none"
    )
    insecure: bool = Field(default=False, description="Allow plaintext on an address that is not loopback")
    reflection: bool = Field(default=True, description="Serve gRPC reflection to who is signed in or not")

    access_token_life: Period = Field(
        default=timedelta(minutes=15), description="How long an access token is good"
    )
    session_life: Period = Field(
        default=timedelta(days=30), description="How long a session that is not used is good"
    )
    drain_grace: Duration = Field(
        default=timedelta(seconds=10), description="Time for accepted calls at shutdown"
    )

    task_retention: Duration = Field(
        default=timedelta(days=30), ge=timedelta(minutes=1), description="How long ended tasks are kept"
    )
    file_bytes: Bytes = Field(default=1 << 30, description="Size of one file of a task at most")
    task_file_bytes: Bytes = Field(default=10 << 30, description="Size of all files of a task at most")
    result_bytes: Bytes = Field(
        default=64 << 20, description="Size of a task's result at most; beyond 1 MiB it is kept as a file"
    )

    queues: Names = Field(default=["default"], description="Queues that a worker serves, joined by commas")
    packs: Names = Field(
        default=["builtin"],
        description="Packs that a worker runs, by entry point or module, joined by commas",
    )
    slots: int = Field(default=8, ge=1, le=1000, description="Tasks that a worker holds at a time")

    lease: Period = Field(
        default=timedelta(seconds=15), description="How long a silent worker keeps its tasks"
    )
    heartbeat: Period = Field(default=timedelta(seconds=5), description="How often a worker renews its lease")
    sweep: Period = Field(
        default=timedelta(seconds=1), description="How often a scheduler looks for what is due"
    )

    source_roots: Folders = Field(
        default=[],
        description="Folders in which connections may read a worker's files, joined by commas; empty: none",
    )

    taps: Texts = Field(
        default=[],
        description=(
            "What workers may run as taps: names of packages, or whole paths of programs and manifests, "
            "joined by commas; `*`: any package. Each runs code of its own. Empty: none"
        ),
    )
    tap_folder: Path | None = Field(
        default=None,
        description="Where a worker keeps the environments of taps; empty: `~/.cache/weir/taps`",
    )

    segment_rows: int = Field(
        default=131_072, ge=1, le=1_048_576, description="Records of one segment at most"
    )
    compact_after: int = Field(
        default=50,
        ge=0,
        le=100_000,
        description=(
            "After a run its dataset is compacted if that makes it at least so many segments fewer; "
            "0: never by itself"
        ),
    )

    log_format: str = Field(
        default="text", pattern="^(text|json)$", description="`text`, or `json`: one object a line"
    )
    log_level: str = Field(
        default="INFO",
        pattern="^(DEBUG|INFO|WARNING|ERROR)$",
        description="Least level that is logged: `DEBUG`, `INFO`, `WARNING`, `ERROR`",
    )

    @classmethod
    def load(cls, **given: Any) -> Self:
        """The settings, with what the command line says on top; stops with a line for each that can't be."""
        try:
            settings = cls(**given)
        except ValidationError as error:
            raise SystemExit("\n".join(map(cls._refusal, error.errors()))) from None
        if settings.heartbeat * 2 > settings.lease:
            raise SystemExit(
                f"WEIR_HEARTBEAT: must be at most half of WEIR_LEASE, which is {_seconds(settings.lease)}, "
                f"not {_seconds(settings.heartbeat)}; a worker would lose its tasks between two heartbeats"
            )
        if bool(settings.store_key_id.get_secret_value()) != bool(settings.store_secret.get_secret_value()):
            raise SystemExit("WEIR_STORE_KEY_ID, WEIR_STORE_SECRET: go together; set both or none")
        if settings.store_endpoint and not settings.store:
            raise SystemExit("WEIR_STORE: is not set, but WEIR_STORE_ENDPOINT is; set s3://BUCKET/PREFIX too")
        return settings

    @classmethod
    def _refusal(cls, error: ErrorDetails) -> str:
        name = str(error["loc"][0])
        message = error["msg"].removeprefix("Value error, ")
        # Where a URL is wrong, it still may hold a password.
        secret = cls.model_fields[name].annotation is SecretStr or "@" in str(error["input"])
        return f"WEIR_{name.upper()}: {message}" + ("" if secret else f", not {error['input']!r}")


def require(settings: Settings, *names: str) -> None:
    """Stop with one line that names every missing setting."""
    missing = [f"WEIR_{name.upper()}" for name in names if not _filled(getattr(settings, name))]
    if missing:
        raise SystemExit(f"not set: {', '.join(missing)} (see docs/operate.md, or start with `weir up`)")


def _filled(value: object) -> bool:
    return bool(value.get_secret_value() if isinstance(value, SecretStr) else value)


def _seconds(length: timedelta) -> str:
    return f"{length.total_seconds():g}s"
