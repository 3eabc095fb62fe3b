"""Who may call what, as the contract's own options say it. Read once, at the start."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message

from weir.v1 import annotations_pb2
from weir_core.users.permissions import DEFAULT_PROJECT

# Liveness and reflection tell nothing that the published contract does not.
_OPEN: Final = ("/grpc.health.v1.Health/", "/grpc.reflection.")


@dataclass(frozen=True, slots=True)
class Rule:
    """The access rule of one method."""

    permission: str = ""
    anonymous: bool = False
    instance: bool = False
    self_path: tuple[str, ...] = ()
    project_path: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()

    def names(self, request: Message | None) -> str:
        """Whom the request names where it may name the caller; empty: nobody."""
        return _text(request, self.self_path)

    def project(self, request: Message | None) -> str | None:
        """The project that the request names; None where its method names none."""
        if not self.project_path or _stands_by_id(request, self.project_path[0]):
            return None
        return _text(request, self.project_path) or DEFAULT_PROJECT


@dataclass(frozen=True, slots=True)
class Permission:
    """A permission, and the methods that ask for it; `instance`: it must be held in all projects."""

    name: str
    instance: bool
    methods: list[str]


class Access:
    """The rules of all methods that are served."""

    def __init__(self, services: Iterable[ServiceDescriptor]) -> None:
        methods = [method for service in services for method in service.methods]
        lacking = [method.full_name for method in methods if not _option(method).WhichOneof("rule")]
        if lacking:
            raise SystemExit(f"no (weir.v1.access) rule, so not served: {', '.join(lacking)}")
        self.rules: Mapping[str, Rule] = {_path(method): _rule(method) for method in methods}

    def rule(self, method: str) -> Rule:
        """The rule of a method; KeyError for one that has none."""
        return Rule(anonymous=True) if method.startswith(_OPEN) else self.rules[method]

    def permissions(self) -> list[Permission]:
        """All permissions that the contract names, by name."""
        found: dict[str, Permission] = {}
        for path, rule in self.rules.items():
            for name in (rule.permission, *rule.extra):
                if name and not name.startswith("{"):
                    known = found.setdefault(name, Permission(name, rule.instance, []))
                    known.methods.append(path.rpartition("weir.v1.")[2])
        return [found[name] for name in sorted(found)]


def _option(method: MethodDescriptor) -> annotations_pb2.Access:
    return method.GetOptions().Extensions[annotations_pb2.access]


def _path(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


def _rule(method: MethodDescriptor) -> Rule:
    option = _option(method)
    return Rule(
        permission=option.permission,
        anonymous=option.anonymous,
        instance=option.instance,
        self_path=tuple(option.self_field.split(".")) if option.self_field else (),
        project_path=() if option.instance else _project_path(method.input_type),
        extra=tuple(option.extra_permissions),
    )


def _project_path(request: Descriptor) -> tuple[str, ...]:
    """Where a request names a project: in itself, or in the resource that it brings."""
    if "project" in request.fields_by_name:
        return ("project",)
    if "update_mask" in request.fields_by_name:
        # A resource that is there already is named by its id, and may stand in any project.
        return ()
    resources = (field for field in request.fields if field.message_type and not field.is_repeated)
    return next(((each.name, "project") for each in resources if "project" in _fields(each.message_type)), ())


def _stands_by_id(request: Message | None, name: str) -> bool:
    """True where the request could have brought a resource, and names one that is there already instead."""
    if request is None or request.DESCRIPTOR.fields_by_name[name].containing_oneof is None:
        return False
    return not request.HasField(name)


def _fields(kind: Any) -> Collection[str]:
    return kind.fields_by_name


def _text(message: Any, path: tuple[str, ...]) -> str:
    value = message if path else ""
    for name in path:
        value = getattr(value, name) if value is not None else ""
    return str(value or "")
