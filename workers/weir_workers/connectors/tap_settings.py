"""Settings of connectors that run taps, as people write them."""

import json
import re
from typing import Any, Final, Literal, Self, cast

import pyarrow as pa
from pydantic import Field, SecretStr, field_validator, model_validator

from weir.task import Masks
from weir_workers.connectors.column_settings import ColumnSetting, declared_schema, unique
from weir_workers.connectors.setting_types import Strict

_PROGRAM: Final = r"^(/[^\x00\n]*|[A-Za-z0-9][A-Za-z0-9._-]*)?$"
_REQUIREMENT: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9,._-]+\])?(==[A-Za-z0-9.+!-]+)?$"


class ProgramConnection(Strict):
    """Which program, and what it is told."""

    package: str = Field(
        default="",
        max_length=200,
        description=(
            "Package of the tap, such as tap-github==1.30.1. A worker installs it into an environment of its "
            "own, where the operator allows it in WEIR_TAPS. Pin the version."
        ),
    )
    more_packages: list[str] = Field(
        default_factory=list[str],
        max_length=10,
        description="Packages to install beside it, such as setuptools==80.9.0.",
    )
    executable: str = Field(
        default="",
        max_length=500,
        pattern=_PROGRAM,
        description=(
            "Program that is started. With `package` its name there, by default the package's; without, the "
            "whole path of one that the operator has installed and named in WEIR_TAPS."
        ),
    )
    config: dict[str, Any] = Field(default_factory=dict[str, Any], description="The tap's config.")
    config_secrets: SecretStr | None = Field(
        default=None,
        description="JSON object that is merged into `config`: what of it is secret.",
    )
    idle_seconds: float = Field(
        default=600, ge=1, le=3600, description="Longest wait for the tap's next message."
    )
    memory_mib: int = Field(
        default=1024, ge=64, le=65536, description="Memory of each of the tap's processes at most, in MiB."
    )

    @field_validator("package", "more_packages")
    @classmethod
    def _requirement(cls, value: Any) -> Any:
        for one in [value] if isinstance(value, str) else value:
            if one and not re.fullmatch(_REQUIREMENT, one):
                raise ValueError("must be NAME or NAME==VERSION, from the package registry")
        return value

    @field_validator("config_secrets")
    @classmethod
    def _object(cls, value: SecretStr | None) -> SecretStr | None:
        try:
            right = value is None or isinstance(json.loads(value.get_secret_value()), dict)
        except ValueError:
            right = False
        if not right:
            raise ValueError('must be a JSON object, such as {"api_key": "…"}')
        return value

    @model_validator(mode="after")
    def _one_program(self) -> Self:
        whole = self.executable.startswith("/")
        if bool(self.package) == whole or (not self.package and not whole):
            raise ValueError("name a `package`, or the whole path of an `executable`")
        return self

    @property
    def program(self) -> str:
        """Name of the program in the package's environment."""
        return self.executable or bare(self.package)

    @property
    def memory(self) -> int:
        """Bytes of each process at most."""
        return self.memory_mib * 1024 * 1024

    def whole_config(self) -> dict[str, Any]:
        """What the tap gets, secrets included."""
        return _merged(self.config, self._secret_config())

    def masks(self) -> Masks:
        """What takes the secrets out of what it says."""
        masks = Masks()
        for text in _texts(self._secret_config()):
            masks.add(text)
        return masks

    def _secret_config(self) -> dict[str, Any]:
        text = self.config_secrets.get_secret_value() if self.config_secrets else "{}"
        return cast("dict[str, Any]", json.loads(text))


class TapConnection(ProgramConnection):
    """Which tap, and what it is told."""

    catalog: Literal["catalog", "properties", "none"] = Field(
        default="catalog",
        description=(
            "How the tap takes the choice of a stream: by --catalog, by --properties as old ones do, or not "
            "at all; such a one sends what it likes, and has no streams to list."
        ),
    )


class TapCollection(Strict):
    """What is kept of a stream."""

    columns: list[ColumnSetting] = Field(
        default_factory=list[ColumnSetting],
        max_length=2000,
        description="Columns to keep; none: as the tap's SCHEMA says, and what records show besides.",
    )

    _unique = field_validator("columns")(unique)

    def declared_schema(self) -> pa.Schema | None:
        """The columns as a schema; None if there are none."""
        return declared_schema(self.columns)


def bare(requirement: str) -> str:
    """The name of a package alone."""
    return requirement.partition("==")[0].partition("[")[0]


def _texts(value: Any) -> list[str]:
    """All texts and numbers in the secret part of a config: none of them may be told."""
    if isinstance(value, dict):
        return [text for one in cast("dict[str, Any]", value).values() for text in _texts(one)]
    if isinstance(value, list):
        return [text for one in cast("list[Any]", value) for text in _texts(one)]
    return [] if value is None or isinstance(value, bool) else [str(value)]


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    merged = dict(one)
    for name, value in other.items():
        there = merged.get(name)
        both = isinstance(there, dict) and isinstance(value, dict)
        merged[name] = (
            _merged(cast("dict[str, Any]", there), cast("dict[str, Any]", value)) if both else value
        )
    return merged
