"""Write a task of your own.

    from pydantic import BaseModel
    from weir.task import Context, task

    class Input(BaseModel):
        url: str

    class Output(BaseModel):
        length: int

    @task("page.length", version=1)
    async def page_length(input: Input, ctx: Context) -> Output:
        "Fetches a page and tells its length."
        ...

A worker that runs the module serves its tasks. Name and version say what a task
is: change the version whenever the input or output changes.

A handler that computes, or calls what blocks, is a plain `def` with the same
arguments, the second of them a BlockingContext. Each of its runs has a process of
its own, in a fresh folder that is removed afterwards (also its TMPDIR), with limits
where they are declared:

    @task("page.render", version=1, memory="512MiB", cpu_time=timedelta(minutes=2))
    def render(input: Input, ctx: BlockingContext) -> Output:
        ...

What it prints is in the task's log. When the task is cancelled, `Cancelled` is
raised inside it (SIGTERM, which its process group gets too); after the grace time
it is killed, and with its end all processes that it started. The module is
imported once, before the first run: open no connections and start no threads at
import.
"""

import inspect
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from types import ModuleType
from typing import Any, Final, Literal, get_type_hints

from pydantic import BaseModel

from weir.asks import Answer, Ask, Child, ChildEnd, ChildFailed, Refused
from weir.context import BlockingContext, Cancelled, Context, Logger, Sink
from weir.scratch import Content, Scratch
from weir.secrets import InputSecrets, Masks
from weir.secrets import references as secret_references

Handler = Callable[[Any, Context], Awaitable[BaseModel]] | Callable[[Any, BlockingContext], BaseModel]
"""An `async def` or `def` of a pydantic model and its context that returns a pydantic model."""

Priority = Literal["LOW", "NORMAL", "HIGH"]
"""Classes of urgency."""

_UNITS: Final = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
_KINDS: Final = (
    "INVALID_INPUT",
    "USER_ERROR",
    "RETRYABLE",
    "DEPENDENCY",
    "RATE_LIMITED",
    "RESOURCE",
    "GUARD",
)


@dataclass(frozen=True, slots=True)
class Retry:
    """When to try again: the wait before attempt n+1 is `initial_delay` times `multiplier`^(n-1)."""

    max_attempts: int = 3
    initial_delay: timedelta = timedelta(seconds=1)
    max_delay: timedelta = timedelta(minutes=5)
    multiplier: float = 2.0


class TaskFailure(Exception):
    """Raised by a handler to say how it failed, and who has to act.

    `kind` is one of INVALID_INPUT, USER_ERROR, RETRYABLE, DEPENDENCY,
    RATE_LIMITED, RESOURCE and GUARD; `code` a short stable name such as
    `http.503`; `retry_after` the least wait before another attempt.
    """

    def __init__(
        self,
        kind: str,
        message: str,
        *,
        code: str = "",
        retry_after: timedelta | None = None,
        http_status: int = 0,
        host: str = "",
    ) -> None:
        if kind not in _KINDS:
            raise ValueError(f"kind must be one of {', '.join(_KINDS)}, not {kind!r}")
        super().__init__(message)
        self.kind = kind
        self.code = code
        self.retry_after = retry_after
        self.http_status = http_status
        self.host = host


class RetryLater(TaskFailure):
    """Raised by a handler to be tried again after a delay."""

    def __init__(self, message: str, delay: timedelta = timedelta(0)) -> None:
        super().__init__("RETRYABLE", message, retry_after=delay)


@dataclass(frozen=True, slots=True)
class TaskDefinition:
    """A declared task: what a worker tells the server of it, and the function that does it."""

    name: str
    version: int
    handler: Callable[[Any, Any], Any] = field(repr=False)
    input_model: type[BaseModel]
    output_model: type[BaseModel]
    description: str = ""
    queue: str = "default"
    permission: str = ""
    priority: Priority = "NORMAL"
    timeout: timedelta | None = None
    stall: timedelta | None = None
    grace: timedelta = timedelta(seconds=10)
    retry: Retry = field(default_factory=Retry)
    memory: int | None = None
    cpu_time: timedelta | None = None

    @property
    def is_async(self) -> bool:
        """True for an `async def`; a `def` has a process for each run."""
        return inspect.iscoroutinefunction(self.handler)

    def __call__(self, input: BaseModel, ctx: Context | BlockingContext) -> Any:  # noqa: A002 - the handler's word
        """Call the handler as the function that it is; tests use `weir.testing.run`."""
        return self.handler(input, ctx)


def task(
    name: str,
    *,
    version: int = 1,
    queue: str = "default",
    permission: str = "",
    priority: Priority = "NORMAL",
    timeout: timedelta | None = None,
    stall: timedelta | None = None,
    grace: timedelta = timedelta(seconds=10),
    retry: Retry | None = None,
    memory: int | str | None = None,
    cpu_time: timedelta | None = None,
) -> Callable[[Handler], TaskDefinition]:
    """Declare a task.

    `timeout` limits one attempt, `stall` the time without progress or log; `grace` is
    the time to stop after a cancel. For a plain `def` only, over all processes of one
    run: `memory`, in bytes or as `512MiB`, is what it may take beyond what the import
    of its module does (each thread counts 8 MiB); `cpu_time` is what it may compute.
    Who goes over fails with RESOURCE.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"a task's name is lower-case words joined by dots, such as file.convert, not {name!r}"
        )
    if version < 1:
        raise ValueError(f"version of {name} must be 1 or more, not {version}")
    limit = _bytes(name, memory)
    if cpu_time is not None and cpu_time < timedelta(seconds=1):
        raise ValueError(f"cpu_time of {name} must be at least a second, not {cpu_time}")

    def declare(handler: Handler) -> TaskDefinition:
        input_model, output_model = _models(name, handler)
        if inspect.iscoroutinefunction(handler) and (limit, cpu_time) != (None, None):
            raise ValueError(
                f"memory and cpu_time of {name} need a plain `def`: an `async def` shares its process"
            )
        return TaskDefinition(
            name=name,
            version=version,
            handler=handler,
            input_model=input_model,
            output_model=output_model,
            description=inspect.getdoc(handler) or "",
            queue=queue,
            permission=permission,
            priority=priority,
            timeout=timeout,
            stall=stall,
            grace=grace,
            retry=retry or Retry(),
            memory=limit,
            cpu_time=cpu_time,
        )

    return declare


def tasks_of(module: ModuleType) -> list[TaskDefinition]:
    """The tasks that a module declares or imports, each once."""
    found = {id(value): value for value in vars(module).values() if isinstance(value, TaskDefinition)}
    return sorted(found.values(), key=lambda definition: definition.name)


def _bytes(name: str, memory: int | str | None) -> int | None:
    if memory is None:
        return None
    if isinstance(memory, str) and (match := re.fullmatch(r"(\d+)\s*(KiB|MiB|GiB)", memory)):
        memory = int(match[1]) * _UNITS[match[2]]
    if isinstance(memory, str) or memory < 1 << 20:
        raise ValueError(f"memory of {name} is at least 1 MiB, in bytes or such as '512MiB', not {memory!r}")
    return memory


def _models(name: str, handler: Callable[..., Any]) -> tuple[type[BaseModel], type[BaseModel]]:
    yields = inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler)
    if not inspect.isfunction(handler) or yields:
        raise TypeError(f"the handler of {name} must be a function, `async def` or `def`, without yield")
    hints = get_type_hints(handler)
    parameters = list(inspect.signature(handler).parameters)
    if len(parameters) != 2:  # noqa: PLR2004
        raise TypeError(f"the handler of {name} takes two arguments, its input and a context")
    is_async = inspect.iscoroutinefunction(handler)
    context = Context if is_async else BlockingContext
    if hints.get(parameters[1], context) is not context:
        kind = "an `async def`" if is_async else "a plain `def`"
        raise TypeError(f"the handler of {name} is {kind}: its second argument is a {context.__name__}")
    models = hints.get(parameters[0]), hints.get("return")
    for place, model in zip(("input", "return value"), models, strict=True):
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise TypeError(f"the {place} of {name} must be annotated with a pydantic model")
    return models  # pyright: ignore[reportReturnType]


__all__ = [
    "Answer",
    "Ask",
    "BlockingContext",
    "Cancelled",
    "Child",
    "ChildEnd",
    "ChildFailed",
    "Content",
    "Context",
    "InputSecrets",
    "Logger",
    "Masks",
    "Refused",
    "Retry",
    "RetryLater",
    "Scratch",
    "Sink",
    "TaskDefinition",
    "TaskFailure",
    "secret_references",
    "task",
    "tasks_of",
]
