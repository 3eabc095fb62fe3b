"""Checks what is asked for against the task type: its JSON schema and its sizes."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from weir_core.errors import InvalidArgument, SchemaMismatch, Violation

MAX_INPUT: Final = 1 << 20
_MAX_VIOLATIONS: Final = 10


def check_input(name: str, version: int, schema: dict[str, Any], value: dict[str, Any]) -> None:
    """Refuse an input that does not fit; each violation names its place under `spec.input`."""
    size = len(orjson.dumps(value))
    if size > MAX_INPUT:
        raise InvalidArgument.at("spec.input", f"is {size:,} bytes; at most {MAX_INPUT:,} are allowed")
    errors: Iterable[ValidationError] = _validator(name, version, orjson.dumps(schema)).iter_errors(value)
    violations = [
        violation("spec.input", error) for error, _ in zip(errors, range(_MAX_VIOLATIONS), strict=False)
    ]
    if violations:
        raise SchemaMismatch(*violations, type=name)


def violation(root: str, error: ValidationError) -> Violation:
    """A schema's complaint, with the path of the field."""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
    return Violation(root + path, error.message[:500])


@lru_cache(maxsize=512)
def _validator(_name: str, _version: int, schema: bytes) -> Draft202012Validator:
    return Draft202012Validator(orjson.loads(schema))
