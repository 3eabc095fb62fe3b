"""Unary calls, 32 in flight, as a share of a bare `grpc.aio` echo on uvloop."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import uuid4

import grpc

from tests.bench.clients import NOOP, Load, known_type, load, store
from tests.bench.report import Line, median
from tests.bench.site import Ground, Program, Site, Size
from weir.v1 import task_service_pb2 as pb
from weir_core.fleet.models import TaskType
from weir_core.ids import new_id
from weir_core.tasks.outcomes import Ended

_IN_FLIGHT = 32
_TASKS = 64

Called = tuple[Callable[[], Awaitable[Any]], Program]


async def measure(site: Site, size: Size) -> AsyncIterator[Line]:
    """GetTask and SubmitTask against the echo, in turns."""
    ground = await site.ground()
    await ground.rest()
    server = await ground.usual_server()
    kind = await known_type(ground)
    with site.bare("serve") as bare:
        address = f"127.0.0.1:{bare.said().split()[1]}"
        async with (
            grpc.aio.insecure_channel(address) as echo_channel,
            grpc.aio.insecure_channel(server.address) as channel,
        ):
            gets = await _get_requests(ground, kind)
            get = channel.unary_unary("/weir.v1.TaskService/GetTask")
            submit = channel.unary_unary("/weir.v1.TaskService/SubmitTask")
            echo = echo_channel.unary_unary("/bare/Echo")
            found = await _alternate(
                {
                    "echo": (lambda: echo(next(gets)), bare),
                    "GetTask": (lambda: get(next(gets), metadata=server.metadata), server.program),
                    "SubmitTask": (
                        lambda: submit(_submit_request(), metadata=server.metadata),
                        server.program,
                    ),
                },
                size,
            )
    await ground.tidy()
    yield _line("GetTask, 32 in flight", found["GetTask"], found["echo"], "at least 0.5")
    yield _line("SubmitTask, 32 in flight", found["SubmitTask"], found["echo"], "at least 0.3")


async def _alternate(calls: dict[str, Called], size: Size) -> dict[str, list[Load]]:
    found: dict[str, list[Load]] = {name: [] for name in calls}
    for call, program in calls.values():
        await load(call, program, size.round_seconds / 3, _IN_FLIGHT)
    for _ in range(size.rounds):
        for name, (call, program) in calls.items():
            found[name].append(await load(call, program, size.round_seconds, _IN_FLIGHT))
    return found


def _line(what: str, ours: list[Load], echo: list[Load], goal: str) -> Line:
    share = median([our.rate / bare.rate for our, bare in zip(ours, echo, strict=True)])
    return Line(what, _text(ours), f"echo {_text(echo)}", share, goal)


def _text(loads: list[Load]) -> str:
    rate, cost = median([each.rate for each in loads]), median([each.cost for each in loads])
    return f"{rate:,.0f}/s, {cost * 1e6:.0f} µs CPU"


async def _get_requests(ground: Ground, kind: TaskType) -> "itertools.cycle[bytes]":
    """Requests for tasks that have run and ended well."""
    execution, worker_id = ground.runtime.execution, new_id()
    values = {"host": "here", "version": "1", "slots": _TASKS, "queues": ["default"]}
    await ground.runtime.fleet.register(worker_id, values, [kind])
    made = await store(ground, kind, [{"tell": ""}] * _TASKS)
    for claimed in await execution.claim([each.id for each in made], worker_id, {kind.name: kind.version}):
        await execution.finish(claimed.log, Ended(output={}))
    return itertools.cycle([pb.GetTaskRequest(task_id=str(each.id)).SerializeToString() for each in made])


def _submit_request() -> bytes:
    request = pb.SubmitTaskRequest(request_id=str(uuid4()))
    request.spec.type = NOOP
    request.spec.input.update({"tell": ""})
    return request.SerializeToString()
