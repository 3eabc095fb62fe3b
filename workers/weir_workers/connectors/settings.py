"""Settings of a connection or collection as a model, and what is said where they do not fit."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from weir_workers.connectors.errors import SourceError

Model = TypeVar("Model", bound=BaseModel)


def parsed_settings(model: type[Model], settings: Mapping[str, Any], what: str) -> Model:
    """The settings; SourceError names each that is wrong."""
    try:
        return model.model_validate(dict(settings))
    except ValidationError as error:
        # Of the values nothing is told: one of them may be a secret.
        faults = (
            f"{'.'.join(str(part) for part in fault['loc']) or 'all'}: {fault['msg']}"
            for fault in error.errors()
        )
        raise SourceError("INVALID_INPUT", f"{what}: {'; '.join(faults)}", code="settings.invalid") from None
