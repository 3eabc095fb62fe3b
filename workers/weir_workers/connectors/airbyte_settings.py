"""Settings of the connector `airbyte`, as people write them."""

from typing import Final, Self

from pydantic import Field, model_validator

from weir_workers.connectors.tap_settings import ProgramConnection

_RUNNER: Final = "source-declarative-manifest"
_INJECTED: Final = "__injected"


class AirbyteConnection(ProgramConnection):
    """Which source, and what it is told."""

    package: str = Field(
        default="",
        max_length=200,
        description=(
            "Package of the source, such as airbyte-source-n8n==0.1.21, or airbyte-cdk==7.39.1 with a "
            "`manifest`. A worker installs it into an environment of its own, where the operator allows it "
            "in WEIR_TAPS. Pin the version."
        ),
    )
    manifest: str = Field(
        default="",
        max_length=500,
        pattern=r"^(/[^\x00\n]*)?$",
        description=(
            "Whole path of a declarative manifest (YAML) on the worker's machine, which the operator has "
            "named in WEIR_TAPS."
        ),
    )

    @model_validator(mode="after")
    def _no_other_manifest(self) -> Self:
        # So the runner of manifests would take one, and code, that no operator has seen.
        if any(name.startswith(_INJECTED) for name in self.whole_config()):
            raise ValueError(f"`config` can't have {_INJECTED}…: name a `manifest`")
        return self

    @property
    def program(self) -> str:
        """Name of the program in the package's environment."""
        return self.executable or (_RUNNER if self.manifest else super().program.removeprefix("airbyte-"))
