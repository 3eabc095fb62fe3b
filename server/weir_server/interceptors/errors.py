"""Turns what a call raises into a status with details; what is not meant for callers stays in the log."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import grpc

from weir_core import logs
from weir_core.errors import WeirError
from weir_server.interceptors import request_id
from weir_server.interceptors.call import Call
from weir_server.rpc.status import Answer, answer_to

_log = logging.getLogger(__name__)


@asynccontextmanager
async def errors(call: Call) -> AsyncGenerator[None]:
    """The only place that ends a call with a status."""
    try:
        yield
    except (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit, grpc.aio.AbortError):
        raise
    except BaseException as error:  # noqa: BLE001 - a panic in native code is no Exception
        answer = answer_to(error, logs.request_id.get())
        if not isinstance(error, WeirError):
            _log.exception("%s failed", call.method)
    else:
        return
    await _abort(call, answer)


async def _abort(call: Call, answer: Answer) -> None:
    call.code = answer.code
    metadata = (
        (request_id.METADATA, logs.request_id.get()),
        ("grpc-status-details-bin", answer.details),
    )
    await call.context.abort(answer.code, answer.message, metadata)
