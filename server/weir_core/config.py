"""The settings of a Weir process, from `WEIR_…` variables."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Self

from annotated_types import Len
from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


def _split(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _duration(value: Any) -> Any:
    match = re.fullmatch(r"\s*([0-9.]+)\s*(ms|s|m|h|d)?\s*", value) if isinstance(value, str) else None
    if match is None:
        return value
    return timedelta(seconds=float(match[1]) * _UNITS[match[2] or "s"])


_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}

Duration = Annotated[timedelta, BeforeValidator(_duration)]
"""A length of time: `15`, `15s`, `500ms`, `10m`, `2h`, `30d`."""

Names = Annotated[list[str], NoDecode, BeforeValidator(_split), Len(min_length=1)]


class Settings(BaseSettings):
    """What a server, worker or scheduler is told from outside."""

    model_config = SettingsConfigDict(env_prefix="WEIR_", extra="ignore", frozen=True)

    database_url: SecretStr = Field(
        default=SecretStr(""), description="`mysql+asyncmy://…` or `sqlite+aiosqlite:///FILE`; required"
    )
    redis_url: SecretStr = Field(default=SecretStr(""), description="`redis://…` or `unix://…`; required")
    redis_prefix: str = Field(
        default="weir:", description="Put before every key and channel, for a shared Redis"
    )
    master_key: SecretStr = Field(
        default=SecretStr(""),
        description="32 bytes in base64; encrypts secrets and signing keys, signs page tokens",
    )
    data_dir: Path = Field(
        default=Path("data"), description="Where datasets are kept; shared by servers and workers"
    )

    listen: str = Field(default="127.0.0.1:7443", description="Address of the gRPC port")
    http_listen: str = Field(
        default="", description="Address for metrics and liveness over HTTP; empty: none"
    )
    insecure: bool = Field(default=False, description="Allow plaintext on an address that is not loopback")
    reflection: bool = Field(default=True, description="Serve gRPC reflection to who is signed in or not")

    access_token_life: Duration = Field(
        default=timedelta(minutes=15), description="How long an access token is good"
    )
    session_life: Duration = Field(
        default=timedelta(days=30), description="How long a session that is not used is good"
    )
    drain_grace: Duration = Field(
        default=timedelta(seconds=10), description="Time for accepted calls at shutdown"
    )

    queues: Names = Field(default=["default"], description="Queues that a worker serves, joined by commas")
    packs: Names = Field(
        default=["builtin"],
        description="Packs that a worker runs, by entry point or module, joined by commas",
    )
    slots: int = Field(default=8, ge=1, le=1000, description="Tasks that a worker holds at a time")

    lease: Duration = Field(
        default=timedelta(seconds=15), description="How long a silent worker keeps its tasks"
    )
    heartbeat: Duration = Field(
        default=timedelta(seconds=5), description="How often a worker renews its lease"
    )
    sweep: Duration = Field(
        default=timedelta(seconds=1), description="How often a scheduler looks for what is due"
    )

    segment_rows: int = Field(
        default=131_072, ge=1, le=1_048_576, description="Records of one segment at most"
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
            return cls(**given)
        except ValidationError as error:
            lines = [
                f"WEIR_{'_'.join(map(str, each['loc'])).upper()}: {each['msg']}, not {each['input']!r}"
                for each in error.errors()
            ]
            raise SystemExit("\n".join(lines)) from None


def require(settings: Settings, *names: str) -> None:
    """Stop with one line that names every missing setting."""
    missing = [f"WEIR_{name.upper()}" for name in names if not _filled(getattr(settings, name))]
    if missing:
        raise SystemExit(f"not set: {', '.join(missing)} (see docs/operate.md, or start with `weir up`)")


def _filled(value: object) -> bool:
    return bool(value.get_secret_value() if isinstance(value, SecretStr) else value)
