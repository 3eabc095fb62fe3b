"""Holds every request against the rules that stand on its fields in the contract."""

from typing import Any, Final

import protovalidate
from google.protobuf.message import Message

from weir_core.errors import InvalidArgument, Violation
from weir_server.interceptors.call import Call, Proceed
from weir_server.interceptors.json_values import check_json

_SHOWN: Final = 60


class Validation:
    """Checks requests; rules are compiled once a message type."""

    def __init__(self) -> None:
        self._validator = protovalidate.Validator()

    async def validate(self, call: Call, proceed: Proceed) -> bytes | None:
        """Raises InvalidArgument with a violation for each field that breaks a rule."""
        if call.known and call.message is not None:
            self.check(call.message)
        return await proceed(call)

    def check(self, request: Message, root: str = "") -> None:
        """The same for a message alone; `root` is where it stands in its request."""
        check_json(request)
        try:
            self._validator.validate(request)
        except protovalidate.ValidationError as error:
            raise InvalidArgument(*(_violation(request, found, root) for found in error.violations)) from None


def _violation(request: Message, found: Any, root: str) -> Violation:
    path, hidden = root, False
    kind: Any = request.DESCRIPTOR
    # A rule of the message as a whole names no field.
    for element in found.proto.field.elements if found.proto.field else ():
        field = kind.fields_by_name.get(element.field_name) if kind else None
        hidden = hidden or bool(field and field.GetOptions().debug_redact)
        kind = field.message_type if field else None
        path += ("." if path else "") + element.field_name + _subscript(element.subscript)
    value = found.field_value
    shown = isinstance(value, str | int | float) and not hidden
    return Violation(path or "request", found.proto.message + (f", not {_short(value)}" if shown else ""))


def _subscript(subscript: Any) -> str:
    return "" if subscript is None else f"[{subscript.value}]"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
