"""Field masks in arguments: which fields an update changes."""

from collections.abc import Iterable

from google.protobuf.field_mask_pb2 import FieldMask

from weir.errors import InvalidValue

MaskLike = Iterable[str] | FieldMask | None


def to_mask(value: MaskLike, path: str) -> FieldMask | None:
    """The paths as the wire has them."""
    if value is None or isinstance(value, FieldMask):
        return value
    if isinstance(value, str):
        raise InvalidValue(path, f"is one text; give a list of paths, such as [{value!r}]")
    return FieldMask(paths=value)
