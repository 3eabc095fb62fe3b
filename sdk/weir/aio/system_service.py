"""The client of SystemService. Generated from `weir/v1/system_service.proto` by `make gen`."""

from weir import methods
from weir.aio.caller import AsyncCaller
from weir.deadline import Timeout
from weir.v1 import (
    system_service_pb2,
)


class AsyncSystemClient:
    """Status for operators. Liveness is the standard grpc.health.v1.Health."""

    def __init__(self, caller: AsyncCaller) -> None:
        self._caller = caller

    async def get_status(self, *, timeout: Timeout = None) -> system_service_pb2.GetStatusResponse:
        """Says how the parts are, with the numbers an operator looks at first.

        Args:
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = system_service_pb2.GetStatusRequest()
        return await self._caller.unary(methods.GET_STATUS, request, timeout)
