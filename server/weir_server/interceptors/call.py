"""One call, as the interceptors see it, whatever its kind."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import grpc
from google.protobuf.message import Message

from weir_core.errors import InvalidArgument, QuotaExceeded, WeirError
from weir_core.principals import Caller

_SMALL: Final = 256 * 1024
# An input may have 1 MiB as JSON, and twice that as a Struct.
_LARGE: Final = {
    "/weir.v1.TaskService/SubmitTask": 3 * 1024 * 1024,
    "/weir.v1.TaskService/SubmitTasks": 3 * 1024 * 1024 + 64 * 1024,
    "/weir.v1.TaskService/RetryTask": 3 * 1024 * 1024,
    "/weir.v1.TaskService/CreateSchedule": 3 * 1024 * 1024,
    "/weir.v1.TaskService/UpdateSchedule": 3 * 1024 * 1024,
}


@dataclass(slots=True, eq=False)
class Call:
    """A call that runs: what it asks for, who asks, and how it ended."""

    method: str
    context: "grpc.aio.ServicerContext[Any, Any]"
    decode: Callable[[bytes], Any]
    raw: bytes | None
    streams: bool
    # Where a stream of requests comes.
    requests: AsyncIterator[bytes] | None = None
    known: bool = True
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    caller: Caller | None = None
    code: grpc.StatusCode = grpc.StatusCode.OK
    # Ends the call early, with `ended` as its error.
    limit: asyncio.Timeout | None = None
    ended: WeirError | None = None
    # For a stream: the project whose rights it stands on, once that is known.
    project: str | None = None
    _message: Message | None = None

    @property
    def message(self) -> Message | None:
        """The request; None where a stream of them comes."""
        if self._message is None and self.raw is not None:
            self._message = self.read(self.raw)
            self.raw = None
        return self._message

    def read(self, raw: bytes) -> Any:
        """A message from its bytes; InvalidArgument where they are none."""
        limit = _LARGE.get(self.method, _SMALL)
        if len(raw) > limit:
            raise QuotaExceeded("request", f"has {len(raw)} bytes; this method takes {limit} at most")
        try:
            return self.decode(raw)
        except Exception:  # noqa: BLE001 - what a decoder raises on foreign bytes is its own affair
            raise InvalidArgument.at("request", f"is no request message of {self.method}") from None

    def end(self, error: WeirError) -> None:
        """Break off the call with an error, from outside."""
        if self.ended is None and self.limit is not None and not self.limit.expired():
            self.ended = error
            self.limit.reschedule(asyncio.get_running_loop().time())

    @property
    def user_id(self) -> UUID | None:
        """The id of who calls."""
        return self.caller and self.caller.principal.id


Proceed = Callable[[Call], Awaitable[bytes | None]]
"""The rest of a call: the response's bytes, or None where they were written one by one."""

Step = Callable[[Call, Proceed], Awaitable[bytes | None]]
"""One interceptor: does its part around `proceed`."""

Steps = Sequence[Step]
