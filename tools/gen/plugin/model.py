"""Services and methods as the templates want them, read from descriptors."""

from dataclasses import dataclass
from functools import cached_property

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor

DEFAULT_TIMEOUT = 10.0
NO_SIDE_EFFECTS, IDEMPOTENT = 1, 2


@dataclass(frozen=True)
class Argument:
    """A field of the request, or of the message that is spread, as a keyword argument."""

    field: FieldDescriptor
    required: bool
    comment: str

    @property
    def name(self) -> str:
        return self.field.name


@dataclass(frozen=True)
class Rpc:
    """A method with what its options and its shape say."""

    descriptor: MethodDescriptor
    name: str
    comment: str
    timeout: float | None
    anonymous: bool
    own: tuple[Argument, ...]
    spread_into: FieldDescriptor | None
    spread: tuple[Argument, ...]

    @property
    def request(self) -> Descriptor:
        return self.descriptor.input_type

    @property
    def response(self) -> Descriptor:
        return self.descriptor.output_type

    @property
    def arguments(self) -> list[Argument]:
        return [*self.spread, *self.own]

    @property
    def streams(self) -> bool:
        return self.descriptor.server_streaming

    @property
    def has_request_id(self) -> bool:
        return "request_id" in self.request.fields_by_name

    @property
    def has_wait(self) -> bool:
        return "wait" in self.request.fields_by_name

    @property
    def repeatable(self) -> bool:
        level = self.descriptor.GetOptions().idempotency_level
        if level == NO_SIDE_EFFECTS or self.has_request_id:
            return True
        return level == IDEMPOTENT and not any(_takes_etag(each.field) for each in self.arguments)

    @cached_property
    def entries(self) -> FieldDescriptor | None:
        """The field that holds a page's entries; None for what is no list."""
        if "page_token" not in self.request.fields_by_name:
            return None
        if "next_page_token" not in self.response.fields_by_name:
            return None
        return next(field for field in self.response.fields if field.is_repeated)


def _takes_etag(field: FieldDescriptor) -> bool:
    """Whether a repeat could meet the call's own change: the field is an etag, or has one inside."""
    inside = field.message_type
    return field.name == "etag" or (inside is not None and "etag" in inside.fields_by_name)


@dataclass(frozen=True)
class Service:
    """A service of one proto file."""

    name: str
    comment: str
    file: str
    rpcs: tuple[Rpc, ...]

    @property
    def stem(self) -> str:
        return self.file.rsplit("/", 1)[-1].removesuffix(".proto")

    @property
    def client(self) -> str:
        return self.name.removesuffix("Service") + "Client"
