"""Turns what a handler raised into a failure: who must act, the first cause, where it happened."""

import errno
import traceback
from collections.abc import Callable
from typing import Any, Final

from pydantic import ValidationError

from weir.task import TaskFailure
from weir_workers.runs import exits

_CAUSES: Final = 10
_STACK: Final = 16_384
_MESSAGE: Final = 2000
_FULL: Final = {errno.ENOSPC, errno.EDQUOT}


def describe(error: BaseException, clean: Callable[[str], str]) -> dict[str, Any]:
    """A failure as JSON; `clean` takes secrets out of every text."""
    chain = _chain(error)
    first = chain[-1]
    if isinstance(error, SystemExit):
        return exits.failure(_exit(error)) | {"causes": [_cause(error, clean)]}
    known = next((link for link in chain if isinstance(link, TaskFailure)), None)
    kind = known.kind if known else _kind(first)
    return {
        "kind": kind,
        "message": clean(_sentence(known or first))[:_MESSAGE],
        "code": clean(known.code) if known else "",
        "causes": [_cause(link, clean) for link in chain[:_CAUSES]],
        "detail": _detail(known, clean),
    }


def invalid_input(error: ValidationError, clean: Callable[[str], str]) -> dict[str, Any]:
    """The failure of an input that the handler's model refuses."""
    parts = [f"input.{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:_CAUSES]]
    return {
        "kind": "INVALID_INPUT",
        "message": clean("; ".join(parts))[:_MESSAGE],
        "code": "input",
        "causes": [],
        "detail": {},
    }


def _chain(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return chain


def _kind(error: BaseException) -> str:
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _FULL):
        return "RESOURCE"
    return "DEPENDENCY" if isinstance(error, ConnectionError) else "USER_ERROR"


def _exit(error: SystemExit) -> exits.Exit:
    """The exit status that Python would have given the process."""
    code = 0 if error.code is None else error.code if isinstance(error.code, int) else 1
    return exits.Exit((code & 0xFF) << 8)


def _sentence(error: BaseException) -> str:
    text = str(error).strip()
    return text if isinstance(error, TaskFailure) and text else f"{type(error).__name__}: {text}".rstrip(": ")


def _cause(error: BaseException, clean: Callable[[str], str]) -> dict[str, str]:
    frames = traceback.extract_tb(error.__traceback__)
    place = frames[-1] if frames else None
    stack = "".join(traceback.format_exception(type(error), error, error.__traceback__, chain=False))
    name = type(error).__qualname__
    module = type(error).__module__
    return {
        "type": name if module == "builtins" else f"{module}.{name}",
        "message": clean(str(error))[:_MESSAGE],
        "location": f"{place.filename.rsplit('/', 1)[-1]}:{place.name}:{place.lineno}" if place else "",
        "stack_trace": clean(stack)[-_STACK:],
    }


def _detail(known: TaskFailure | None, clean: Callable[[str], str]) -> dict[str, Any]:
    if known is None:
        return {}
    detail: dict[str, Any] = {}
    if known.retry_after is not None:
        detail["retry_after"] = known.retry_after.total_seconds()
    if known.http_status:
        detail |= {"kind": "http", "status": known.http_status, "host": clean(known.host)}
    return detail
