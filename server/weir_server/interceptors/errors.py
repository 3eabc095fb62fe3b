"""Turns what a call raises into a status with details; what is not meant for callers stays in the log."""

import asyncio
import logging
from typing import NoReturn

import grpc

from weir_core import logs
from weir_core.errors import WeirError
from weir_server.interceptors import request_id
from weir_server.interceptors.call import Call, Proceed
from weir_server.rpc.status import Answer, answer_to

_log = logging.getLogger(__name__)


async def errors(call: Call, proceed: Proceed) -> bytes | None:
    """The only place that ends a call with a status."""
    try:
        return await proceed(call)
    except (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit, grpc.aio.AbortError):
        raise
    except BaseException as error:  # noqa: BLE001 - a panic in native code is no Exception
        answer = answer_to(error, logs.request_id.get())
        if not isinstance(error, WeirError):
            _log.exception("%s failed", call.method)
    return await _abort(call, answer)


async def _abort(call: Call, answer: Answer) -> NoReturn:
    call.code = answer.code
    metadata = (
        (request_id.METADATA, logs.request_id.get()),
        ("grpc-status-details-bin", answer.details),
    )
    await call.context.abort(answer.code, answer.message, metadata)
