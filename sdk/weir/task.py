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
"""

import inspect
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from types import ModuleType
from typing import Any, Final, Literal, get_type_hints

from pydantic import BaseModel

from weir.context import Context, Logger

Handler = Callable[[Any, Context], Awaitable[BaseModel]]
"""An `async def` of a pydantic model and a Context that returns a pydantic model."""

Priority = Literal["LOW", "NORMAL", "HIGH"]
"""Classes of urgency."""

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
    handler: Handler = field(repr=False)
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

    async def __call__(self, input: BaseModel, ctx: Context) -> BaseModel:  # noqa: A002 - the handler's word
        """Run the handler as a plain function; for tests."""
        return await self.handler(input, ctx)


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
) -> Callable[[Handler], TaskDefinition]:
    """Declare a task.

    `timeout` limits one attempt, `stall` the time without progress or log; `grace` is
    the time to stop after a cancel.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"a task's name is lower-case words joined by dots, such as file.convert, not {name!r}"
        )
    if version < 1:
        raise ValueError(f"version of {name} must be 1 or more, not {version}")

    def declare(handler: Handler) -> TaskDefinition:
        input_model, output_model = _models(name, handler)
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
        )

    return declare


def tasks_of(module: ModuleType) -> list[TaskDefinition]:
    """The tasks that a module declares or imports, each once."""
    found = {id(value): value for value in vars(module).values() if isinstance(value, TaskDefinition)}
    return sorted(found.values(), key=lambda definition: definition.name)


def _models(name: str, handler: Callable[..., Any]) -> tuple[type[BaseModel], type[BaseModel]]:
    if not inspect.iscoroutinefunction(handler):
        raise TypeError(f"the handler of {name} must be an `async def` function")
    hints = get_type_hints(handler)
    parameters = list(inspect.signature(handler).parameters)
    if len(parameters) != 2:  # noqa: PLR2004
        raise TypeError(f"the handler of {name} takes two arguments, its input and a Context")
    models = hints.get(parameters[0]), hints.get("return")
    for place, model in zip(("input", "return value"), models, strict=True):
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise TypeError(f"the {place} of {name} must be annotated with a pydantic model")
    return models  # pyright: ignore[reportReturnType]


__all__ = ["Context", "Logger", "Retry", "RetryLater", "TaskDefinition", "TaskFailure", "task", "tasks_of"]
