"""Checks settings and secrets against a connector's JSON schema. Pure.

A secret is a property marked `writeOnly`. Settings and secrets are checked
together, since one may ask for the other; no text made here shows a value of a
secret, nor of anything that could hold one.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match  # pyright: ignore[reportUnknownVariableType]

from weir_core.collections.models import NewConnection, Politeness
from weir_core.errors import InvalidArgument, SchemaMismatch, Violation

_MAX_VIOLATIONS: Final = 10
_MAX_SHOWN: Final = 80
_BRANCHES: Final = frozenset({"anyOf", "oneOf"})


def secret_names(schema: Mapping[str, Any]) -> set[str]:
    """Names of the secrets that a connection's schema declares."""
    return {name for name, rule in schema.get("properties", {}).items() if _is_secret(rule)}


def check_connection(
    connector: str, schema: dict[str, Any], settings: Mapping[str, Any], secrets: Mapping[str, str]
) -> None:
    """Refuse settings and secrets that do not fit; each violation names its field."""
    declared = secret_names(schema)
    misplaced = [
        Violation(f"connection.settings.{name}", f"is a secret; give it as `connection.secrets.{name}`")
        for name in sorted(declared & set(settings))
    ]
    known = f"has {', '.join(sorted(declared))}" if declared else "has none"
    unknown = [
        Violation(f"connection.secrets.{name}", f"is no secret of the connector {connector!r}, which {known}")
        for name in sorted(set(secrets) - declared)
    ]
    if misplaced or unknown:
        raise SchemaMismatch(*misplaced, *unknown, connector=connector)
    places = dict.fromkeys(declared, "connection.secrets")
    _check(connector, schema, {**settings, **secrets}, "connection.settings", places)


def check_secret_set(new: NewConnection) -> None:
    """Refuse a connection without a connector that is anything but a set of secrets."""
    needless = "must be left out without a connector: the connection is then a set of secrets for tasks"
    wrong = {
        "settings": (bool(new.settings), needless),
        "allow_private_addresses": (new.allow_private_addresses, needless),
        "politeness": (new.politeness != Politeness(), needless),
        "secrets": (not new.secrets, "must hold one at least, or name a connector in `connection.connector`"),
    }
    if violations := [Violation(f"connection.{name}", text) for name, (bad, text) in wrong.items() if bad]:
        raise InvalidArgument(*violations)


def check_collection(connector: str, schema: dict[str, Any], settings: Mapping[str, Any]) -> None:
    """Refuse settings of a collection that do not fit."""
    _check(connector, schema, dict(settings), "collection.settings", {})


def _check(
    connector: str, schema: dict[str, Any], value: dict[str, Any], root: str, places: Mapping[str, str]
) -> None:
    errors = Draft202012Validator(schema).iter_errors(value)
    violations = [
        _violation(error, root, places)
        for top, _ in zip(errors, range(_MAX_VIOLATIONS), strict=False)
        for error in _causes(top)
    ]
    if violations:
        raise SchemaMismatch(*violations, connector=connector)


def _causes(error: ValidationError) -> Iterator[ValidationError]:
    """What is wrong in the branch that was meant, where the schema has several."""
    nearest: Any = best_match(error.context or ()) if error.validator in _BRANCHES else None  # pyright: ignore[reportUnknownVariableType]
    yield nearest if nearest is not None else error


def _violation(error: ValidationError, root: str, places: Mapping[str, str]) -> Violation:
    path = list(error.absolute_path)
    rule: Any = error.validator_value
    value: Any = error.instance
    if error.validator == "required":
        path.append(next(name for name in rule if name not in value))
    top = str(path[0]) if path else ""
    field = places.get(top, root)
    for part in path:
        field += f"[{part}]" if isinstance(part, int) else f".{part}"
    if error.validator == "additionalProperties":
        return Violation(field, _unknown(error.schema, value))
    text = _rule_text(str(error.validator), rule)
    shown = isinstance(value, str | int | float) and bool(path) and top not in places
    return Violation(field, f"{text}, not {str(value)[:_MAX_SHOWN]!r}" if shown else text)


def _unknown(schema: Any, value: Any) -> str:
    known = schema.get("properties", {})
    names = sorted(set(value) - set(known))
    return f"has no {', '.join(map(repr, names))}; known are {', '.join(sorted(known)) or 'none'}"


def _rule_text(rule: str, wanted: Any) -> str:
    match rule:
        case "required":
            return "must be set"
        case "type":
            return f"must be of type {wanted}"
        case "enum":
            return f"must be one of {', '.join(map(repr, wanted))}"
        case "const":
            return f"must be {wanted!r}"
        case "pattern":
            return f"must match {wanted}"
        case _:
            return f"breaks the rule {rule}: {str(wanted)[:_MAX_SHOWN]}"


def _is_secret(rule: Any) -> bool:
    if not isinstance(rule, dict):
        return False
    declared: dict[str, Any] = rule  # pyright: ignore[reportUnknownVariableType]
    if declared.get("writeOnly"):
        return True
    return any(_is_secret(branch) for key in _BRANCHES for branch in declared.get(key, []))
