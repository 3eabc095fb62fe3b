"""What a handler returned, as what the worker is told."""

from typing import Any, Final

import orjson

from weir.task import TaskDefinition

_MAX_OUTPUT: Final = 1 << 20


def returned(definition: TaskDefinition, value: Any) -> dict[str, Any]:
    """The output, or the failure of one that can't be kept."""
    model = definition.output_model
    if not isinstance(value, model):
        got = "nothing" if value is None else type(value).__name__
        return _refused("output.type", f"the handler returned {got}, not the {model.__name__} it declares")
    output = value.model_dump(mode="json")
    size = len(orjson.dumps(output))
    if size > _MAX_OUTPUT:
        return _refused("output.size", f"the output is {size:,} bytes; at most {_MAX_OUTPUT:,} are kept")
    return {"output": output}


def _refused(code: str, message: str) -> dict[str, Any]:
    return {"failure": {"kind": "USER_ERROR", "message": message, "code": code, "causes": [], "detail": {}}}
