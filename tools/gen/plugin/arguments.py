"""How a field looks as an argument: its type, its default, and what is put into the message."""

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from tools.gen.plugin.model import Argument

_SCALARS = {
    FieldDescriptor.CPPTYPE_BOOL: ("bool", "False"),
    FieldDescriptor.CPPTYPE_DOUBLE: ("float", "0.0"),
    FieldDescriptor.CPPTYPE_FLOAT: ("float", "0.0"),
    FieldDescriptor.CPPTYPE_INT32: ("int", "0"),
    FieldDescriptor.CPPTYPE_INT64: ("int", "0"),
    FieldDescriptor.CPPTYPE_UINT32: ("int", "0"),
    FieldDescriptor.CPPTYPE_UINT64: ("int", "0"),
    FieldDescriptor.CPPTYPE_STRING: ("str", '""'),
}
_WELL_KNOWN = {
    "google.protobuf.Duration": ("DurationLike", "to_duration"),
    "google.protobuf.Timestamp": ("TimeLike", "to_timestamp"),
    "google.protobuf.Struct": ("StructLike", "to_struct"),
    "google.protobuf.Value": ("ValueLike", "to_value"),
    "google.protobuf.FieldMask": ("MaskLike", "to_mask"),
}


def parameter(argument: Argument) -> str:
    """The argument in the signature."""
    kind, default = _kind(argument.field), _default(argument.field)
    if argument.required:
        return f"{argument.name}: {kind}"
    optional = default == "None" and not kind.endswith("Like")
    return f"{argument.name}: {kind}{' | None' if optional else ''} = {default}"


def value(argument: Argument) -> str:
    """What the message is given for the argument."""
    name = argument.name
    if name == "request_id":
        return "request_id or fresh_id()"
    if _is_well_known(argument.field):
        return f'{_WELL_KNOWN[message_of(argument.field).full_name][1]}({name}, "{name}")'
    return name


def type_name(kind: Descriptor | EnumDescriptor) -> str:
    """The class in the generated modules, nested ones with their parents."""
    module = kind.file.name.rsplit("/", 1)[-1].removesuffix(".proto") + "_pb2"
    inside = kind.full_name.removeprefix(kind.file.package + ".")
    return f"{module}.{inside}"


def message_of(field: FieldDescriptor) -> Descriptor:
    """The message that the field holds."""
    if field.message_type is None:
        raise ValueError(f"{field.full_name} holds no message")
    return field.message_type


def is_positional(argument: Argument) -> bool:
    """Whether the argument names what the call is about, and so needs no keyword when it stands first."""
    names_it = argument.name.endswith("_id") or argument.name == "name"
    return names_it and argument.required and not argument.field.is_repeated


def _kind(field: FieldDescriptor) -> str:
    if _is_map(field):
        inside = message_of(field).fields_by_name
        return f"Mapping[{_single(inside['key'])}, {_single(inside['value'])}]"
    return f"Iterable[{_single(field)}]" if field.is_repeated else _single(field)


def _single(field: FieldDescriptor) -> str:
    if field.enum_type is not None:
        return f"{type_name(field.enum_type)}.ValueType"
    if _is_well_known(field):
        return _WELL_KNOWN[message_of(field).full_name][0]
    if field.message_type is not None:
        return type_name(field.message_type)
    return "bytes" if field.type == FieldDescriptor.TYPE_BYTES else _SCALARS[field.cpp_type][0]


def _default(field: FieldDescriptor) -> str:
    if field.is_repeated and not _is_map(field):
        return "()"
    if field.message_type is not None or field.containing_oneof is not None:
        return "None"
    if field.enum_type is not None:
        module = type_name(field.enum_type).split(".", maxsplit=1)[0]
        return f"{module}.{field.enum_type.values_by_number[0].name}"
    return 'b""' if field.type == FieldDescriptor.TYPE_BYTES else _SCALARS[field.cpp_type][1]


def _is_well_known(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.full_name in _WELL_KNOWN


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry
