"""What the contract says of one RPC, as the generator read it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import uuid4

from google.protobuf.message import Message

Req = TypeVar("Req", bound=Message)
Resp = TypeVar("Resp", bound=Message)


@dataclass(frozen=True)
class Method(Generic[Req, Resp]):
    """An RPC: where it is, what goes in and out, and what a client may do by itself."""

    path: str
    request: type[Req]
    response: type[Resp]
    timeout: float | None
    repeatable: bool
    anonymous: bool

    @property
    def serialize(self) -> Callable[[Req], bytes]:
        return self.request.SerializeToString

    @property
    def parse(self) -> Callable[[bytes], Resp]:
        return self.response.FromString


def fresh_id() -> str:
    """A request id of the SDK's own, under which a call may be repeated."""
    return str(uuid4())
