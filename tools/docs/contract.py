"""What callers look up: states, failures, RPCs, filters, task types, connectors."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from google.protobuf.descriptor import Descriptor, MethodDescriptor

from tools.docs.markdown import code, codes, table
from weir.v1 import annotations_pb2
from weir_core.tasks.states import MOVES, RETRIED, TERMINAL, TaskState
from weir_server.app import services
from weir_server.interceptors.access import Access
from weir_workers import tasks
from weir_workers.connectors.registry import installed
from weir_workers.packs import definitions

_PROTOS: Final = Path(__file__).parents[2] / "protos/weir/v1"


def enum(name: str) -> str:
    """The values of an enum with their comments, but the unspecified one."""
    return table((_words(name), "what it means"), ((code(value), said) for value, said in values(name)))


def failure_kinds() -> str:
    """Kinds of failure, and which are tried again."""
    retried = {kind.name for kind in RETRIED}
    rows = [(code(name), said, "yes" if name in retried else "no") for name, said in values("FailureKind")]
    return table(("kind", "what it means", "retried, where nothing else is said"), rows)


def moves() -> str:
    """Where a task can go from each state."""
    rows = [
        (
            code(state.name),
            "the end" if state in TERMINAL else codes(after.name for after in sorted(MOVES[state])),
        )
        for state in TaskState
        if state is not TaskState.NONE
    ]
    return table(("from", "to"), rows)


def rpcs() -> str:
    """All RPCs with who may call them."""
    found, parts = services(), list[str]()
    access, said = Access(found.values()), dict(_rpc_comments())
    for service in found.values():
        rows = [(code(method.name), _who(access, method), said[method.name]) for method in service.methods]
        parts += [f"**{service.name}**", table(("RPC", "needs", "what it does"), rows)]
    return "\n\n".join(parts)


def filters() -> str:
    """What `filter` may name: the fields of what a list gives that are marked for it."""
    rows = [
        (code(method.name), codes(_paths(_listed(method.output_type))))
        for service in services().values()
        for method in service.methods
        if method.name.startswith("List") and "filter" in method.input_type.fields_by_name
    ]
    return table(("list", "fields"), rows)


def task_types() -> str:
    """The built-in task types."""
    rows = [
        (code(name), f"{found.version}", code(found.permission), _first_line(found.description))
        for name, found in definitions(tasks).items()
    ]
    return table(("type", "version", "needs besides `tasks.submit`", "what it does"), rows)


def connectors() -> str:
    """The connectors that come with the workers."""
    rows = [
        (code(name), codes(sorted(found.modes)), found.description) for name, found in installed().items()
    ]
    return table(("connector", "modes", "what it reads"), rows)


def reasons() -> dict[str, str]:
    """Reasons of errors, each with its status code and what it means."""
    return dict(values("ErrorReason"))


def values(name: str) -> Iterator[tuple[str, str]]:
    """An enum's values without their prefix, each with its comment; without the unspecified one."""
    whole = "\n".join(file.read_text() for file in sorted(_PROTOS.glob("*.proto")))
    found = re.search(rf"^enum {name} {{\n(.*?)^}}", whole, re.MULTILINE | re.DOTALL)
    assert found, name
    prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper() + "_"
    for said, value in re.findall(r"((?:^  //.*\n)+)  (\w+) = [1-9]", found[1], re.MULTILINE):
        yield value.removeprefix(prefix), _plain(said)


def _rpc_comments() -> Iterator[tuple[str, str]]:
    for file in _PROTOS.glob("*_service.proto"):
        for said, name in re.findall(r"((?:^  //.*\n)+)  rpc (\w+)\(", file.read_text(), re.MULTILINE):
            yield name, _plain(said)


def _who(access: Access, method: MethodDescriptor) -> str:
    path = f"/{method.containing_service.full_name}/{method.name}"
    rule = access.rules[path]
    if rule.anonymous:
        return "nothing"
    if not rule.permission:
        return "a sign-in"
    needs = code(rule.permission) + (" in all projects" if rule.instance else "")
    return needs + ("; for oneself a sign-in" if rule.self_path else "")


def _listed(response: Descriptor) -> Descriptor:
    """The message that a list's response repeats."""
    found = next(field.message_type for field in response.fields if field.is_repeated)
    assert found is not None, response.full_name
    return found


def _paths(message: Descriptor) -> Iterator[str]:
    """Marked fields, as a filter names them: those of a task's `spec` go without it."""
    for field in message.fields:
        kind = field.message_type
        if not field.GetOptions().Extensions[annotations_pb2.query].filter:
            continue
        if kind is None or kind.file.package == "google.protobuf":
            yield field.name
        elif kind.GetOptions().map_entry:
            yield f"{field.name}.KEY"
        else:
            yield from (path if field.name == "spec" else f"{field.name}.{path}" for path in _paths(kind))


def _plain(comment: str) -> str:
    return " ".join(line.strip().removeprefix("//").strip() for line in comment.splitlines())


def _words(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", " ", name).lower()


def _first_line(text: str) -> str:
    return text.partition("\n")[0]
