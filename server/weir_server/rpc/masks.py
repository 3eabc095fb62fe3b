"""Field masks: what an update changes of a resource."""

from collections.abc import Collection
from typing import Any, Final, TypeVar

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from weir_core.errors import InvalidArgument

M = TypeVar("M", bound=Message)

_FIELD: Final = "update_mask"


def changed(current: M, wanted: M, mask: FieldMask, settable: Collection[str]) -> M:
    """The resource with what the mask names taken from `wanted`; callers set the fields in `settable`."""
    paths = sorted(settable) if list(mask.paths) == ["*"] else list(mask.paths)
    for path in paths:
        _check(path, current.DESCRIPTOR, settable)
    result = type(current)()
    result.CopyFrom(current)
    FieldMask(paths=paths).MergeMessage(wanted, result, True, True)
    return result


def _check(path: str, kind: Any, settable: Collection[str]) -> None:
    names = path.split(".")
    if names[0] not in settable:
        known = ", ".join(sorted(settable))
        raise InvalidArgument.at(_FIELD, f"{path!r} can't be changed; what can is {known}, or * for all")
    inside = kind
    for name in names:
        field = inside.fields_by_name.get(name) if inside else None
        if field is None:
            raise InvalidArgument.at(_FIELD, f"{path!r} names nothing; a path has field names and dots")
        # Maps, lists and values of JSON are changed as a whole.
        own = field.message_type is not None and field.message_type.file.package == kind.file.package
        inside = field.message_type if own and not field.is_repeated else None
