"""Reads services from a code generator request, options and validation rules included."""

import re
from typing import Any

import protovalidate
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.message import Message

from tools.gen.plugin.arguments import message_of
from tools.gen.plugin.comments import Comments
from tools.gen.plugin.model import DEFAULT_TIMEOUT, Argument, Rpc, Service

OUTPUT_ONLY = "Output only."


class Contract:
    """The descriptors of a request in a pool of their own, where custom options can be read."""

    def __init__(self, request: CodeGeneratorRequest) -> None:
        self._pool = descriptor_pool.DescriptorPool()
        self._files: dict[str, FileDescriptorProto] = {}
        for file in request.proto_file:
            self._pool.Add(file)
            self._files[file.name] = file
        self._comments = Comments(self._files.values())
        self._wanted = list(request.file_to_generate)

    def services(self) -> list[Service]:
        """All services of the files to generate."""
        found: list[Service] = []
        for name in self._wanted:
            services = self._pool.FindFileByName(name).services_by_name.values()
            found += [self._service(name, service) for service in services]
        return found

    def messages_and_enums(self) -> dict[str, list[str]]:
        """Names of what is neither request nor response, by file."""
        found: dict[str, list[str]] = {}
        for name in self._wanted:
            file = self._pool.FindFileByName(name)
            names = [*file.message_types_by_name, *file.enum_types_by_name]
            found[name] = [each for each in names if not re.search("(Request|Response)$", each)]
        return found

    def _service(self, file: str, service: ServiceDescriptor) -> Service:
        rpcs = tuple(self._rpc(method) for method in service.methods)
        return Service(service.name, self._comments.of(service.full_name), file, rpcs)

    def _rpc(self, method: MethodDescriptor) -> Rpc:
        access = self._option(method, "weir.v1.access")
        if access.WhichOneof("rule") is None:
            raise ValueError(f"{method.full_name}: no (weir.v1.access) option says who may call it")
        client = self._option(method, "weir.v1.client")
        timeout = float(client.timeout_seconds) or (None if method.server_streaming else DEFAULT_TIMEOUT)
        own, core, spread = self._spread(method.input_type)
        _check_names(method, [*spread, *own])
        comment = self._comments.of(method.full_name)
        return Rpc(method, _snake(method.name), comment, timeout, access.anonymous, own, core, spread)

    def _spread(
        self, request: Descriptor
    ) -> tuple[tuple[Argument, ...], FieldDescriptor | None, tuple[Argument, ...]]:
        """The request's own arguments, the message that is spread, and that one's."""
        whole, core = self._arguments(request), self._core(request)
        own = tuple(each for each in whole if each.field is not core)
        spread = () if core is None else self._arguments(message_of(core), inputs_only=True)
        # Where both have a field of one name, the message is given as such.
        clash = {each.name for each in own} & {each.name for each in spread}
        return (whole, None, ()) if clash else (own, core, spread)

    def _core(self, request: Descriptor) -> FieldDescriptor | None:
        """The one message that the request can't do without."""
        refused = self._refused_empty(request)
        fields = [
            each
            for each in request.fields
            if each.name in refused and each.message_type and not each.is_repeated
        ]
        inside = [each for each in fields if message_of(each).file.package == request.file.package]
        return inside[0] if len(inside) == 1 else None

    def _arguments(self, message: Descriptor, *, inputs_only: bool = False) -> tuple[Argument, ...]:
        refused = self._refused_empty(message)
        commented = [(field, self._comments.of(field.full_name)) for field in message.fields]
        return tuple(
            Argument(field, field.name in refused, comment)
            for field, comment in commented
            if not (inputs_only and OUTPUT_ONLY in comment)
        )

    def _refused_empty(self, message: Descriptor) -> set[str]:
        """Fields that the contract's own rules do not let be empty."""
        empty = message_factory.GetMessageClass(message)()
        found = protovalidate.collect_violations(empty)
        paths = [violation.proto.field.elements for violation in found if violation.proto.field]
        return {path[0].field_name for path in paths if len(path) == 1}

    def _option(self, method: MethodDescriptor, name: str) -> Any:
        kind = message_factory.GetMessageClass(
            self._pool.FindMessageTypeByName("google.protobuf.MethodOptions")
        )
        options: Message = kind.FromString(method.GetOptions().SerializeToString())
        extension: Any = self._pool.FindExtensionByName(name)
        return options.Extensions[extension]


def _check_names(method: MethodDescriptor, arguments: list[Argument]) -> None:
    names = [each.name for each in arguments]
    twice = {name for name in names if names.count(name) > 1} | {"timeout", "self"} & set(names)
    if twice:
        raise ValueError(f"{method.full_name}: two arguments are called {', '.join(sorted(twice))}")


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
