"""What a handler returned, as what the worker is told."""

from pathlib import Path
from typing import Any, Final

import orjson

from weir.task import Ask, InputSecrets, Scratch, TaskDefinition

_MAX_OUTPUT: Final = 1 << 20


def returned(definition: TaskDefinition, value: Any, secrets: InputSecrets) -> dict[str, Any] | bytes:
    """The output, without secrets of the input, or the failure of one that can't be kept.

    Its JSON where it is too large for a message.
    """
    model = definition.output_model
    if not isinstance(value, model):
        got = "nothing" if value is None else type(value).__name__
        return failed("output.type", f"the handler returned {got}, not the {model.__name__} it declares")
    output = secrets.clean(value.model_dump(mode="json"))
    text = orjson.dumps(output)
    return {"output": output} if len(text) <= _MAX_OUTPUT else text


def too_large(text: bytes, most: int) -> dict[str, Any] | None:
    """The failure of a result that is larger than any is kept; None for one that is not."""
    if len(text) <= most:
        return None
    message = f"the output is {len(text):,} bytes; at most {most:,} are kept (WEIR_RESULT_BYTES)"
    return failed("output.size", message)


def handed_over(folder: Path, text: bytes) -> Ask:
    """Put a large result where the worker takes it from, and what to ask of it then."""
    handed, _ = Scratch(folder).put(text)
    return {"what": "result", "handed": handed.name, "size": handed.size}


STORED: Final = {"stored": True}
"""The outcome of a run whose result the worker has taken over."""


def failed(code: str, message: str) -> dict[str, Any]:
    """A failure that the handler's code is the cause of."""
    return {"failure": {"kind": "USER_ERROR", "message": message, "code": code, "causes": [], "detail": {}}}
