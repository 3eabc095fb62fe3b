"""Checks what is asked for against the task type's JSON schema, and what comes past the contract's rules."""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, Final, cast

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend  # pyright: ignore[reportUnknownVariableType]

from weir_core.errors import InvalidArgument, SchemaMismatch, Violation
from weir_core.tasks.references import MARK, Reference, StandIn, read

MAX_INPUT: Final = 1 << 20
_QUEUE: Final = re.compile(r"([a-z][a-z0-9_-]{0,59})?")
_LABEL: Final = re.compile(r"[a-zA-Z0-9_./-]{1,63}")
_MAX_LABELS: Final = 32
_MAX_LABEL_VALUE: Final = 255
_MAX_VIOLATIONS: Final = 10
_MARK: Final = orjson.dumps(MARK)
# What these ask of a string can't be told of a secret before it is there: its handler's model will.
_OF_TEXT: Final = ("minLength", "maxLength", "pattern", "format", "enum", "const")


def check_input(name: str, version: int, schema: dict[str, Any], value: dict[str, Any]) -> list[Reference]:
    """Refuse an input that does not fit; each violation names its place under `spec.input`.

    Gives the references to secrets in it; where one stands, the schema must allow a string.
    """
    text = orjson.dumps(value)
    if len(text) > MAX_INPUT:
        raise InvalidArgument.at("spec.input", f"is {len(text):,} bytes; at most {MAX_INPUT:,} are allowed")
    references, filled = read(value, "spec.input") if _MARK in text else ([], value)
    errors: Iterable[ValidationError] = _validator(name, version, orjson.dumps(schema)).iter_errors(filled)
    violations = [
        violation("spec.input", error) for error, _ in zip(errors, range(_MAX_VIOLATIONS), strict=False)
    ]
    if violations:
        raise SchemaMismatch(*violations, type=name)
    return references


def check_queue(field: str, queue: str) -> None:
    """Refuse what `TaskSpec.queue` would."""
    if not _QUEUE.fullmatch(queue):
        raise InvalidArgument.at(
            field,
            f"must begin with a small letter and hold only a-z, 0-9, _ and -, 60 at most, not {queue!r}",
        )


def check_labels(field: str, labels: dict[str, str]) -> None:
    """Refuse what `TaskSpec.labels` would."""
    if len(labels) > _MAX_LABELS:
        raise InvalidArgument.at(field, f"has {len(labels)} labels; at most {_MAX_LABELS} are allowed")
    for name, value in labels.items():
        if not _LABEL.fullmatch(name) or len(value) > _MAX_LABEL_VALUE:
            raise InvalidArgument.at(
                f"{field}[{name[:64]!r}]",
                f"a name has up to 63 of a-z, A-Z, 0-9, _ . / -, a value up to {_MAX_LABEL_VALUE} characters",
            )


def violation(root: str, error: ValidationError) -> Violation:
    """A schema's complaint, with the path of the field."""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
    return Violation(root + path, error.message[:500])


_Rule = Callable[[Any, Any, Any, Any], Iterable[ValidationError] | None]


def _of_known(rule: _Rule) -> _Rule:
    """A rule that says nothing of a stand-in."""

    def check(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        if not isinstance(instance, StandIn):
            yield from rule(validator, wanted, instance, schema) or ()

    return check


_KNOWN_ONLY: Final = {name: _of_known(Draft202012Validator.VALIDATORS[name]) for name in _OF_TEXT}
_Checker = cast("type[Draft202012Validator]", extend(Draft202012Validator, _KNOWN_ONLY))


@lru_cache(maxsize=512)
def _validator(_name: str, _version: int, schema: bytes) -> Draft202012Validator:
    return _Checker(orjson.loads(schema))
