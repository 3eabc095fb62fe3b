"""Users, keys, roles and tokens as messages."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from weir.v1 import common_pb2, user_pb2, user_service_pb2
from weir_core.ids import parse_id
from weir_core.principals import Caller, PrincipalKind
from weir_core.users.keys import NewKey
from weir_core.users.models import ApiKey, Binding, User
from weir_core.users.permissions import Rights, Role, spell_out
from weir_core.users.service import NewUser
from weir_core.users.sessions import Tokens
from weir_server.interceptors.access import Permission
from weir_server.rpc.convert import instant, principal, timestamp


def user_id(field: str, text: str, caller: Caller) -> UUID:
    """The user that a request names, where `self` is the caller."""
    own = caller.principal.id
    return own if text == "self" and own is not None else parse_id(field, text)


def new_user(message: user_pb2.User, password: str) -> NewUser:
    """A user as a caller describes it."""
    return NewUser(
        message.name,
        PrincipalKind(message.kind or PrincipalKind.PERSON),
        message.display_name,
        message.disabled,
        _bindings(message.bindings),
        password,
    )


def user(value: User) -> user_pb2.User:
    """A user."""
    return user_pb2.User(
        id=str(value.id),
        name=value.name,
        kind=common_pb2.PrincipalKind.ValueType(value.kind),
        display_name=value.display_name,
        bindings=[_binding(each) for each in value.bindings],
        disabled=value.disabled,
        last_login_time=timestamp(value.last_login_time),
        create_time=timestamp(value.create_time),
    )


def new_key(message: user_pb2.ApiKey, caller: Caller) -> NewKey:
    """An API key as a caller describes it."""
    owner = user_id("api_key.user_id", message.user_id, caller)
    return NewKey(owner, message.name, _bindings(message.bindings), instant(message, "expire_time"))


def api_key(value: ApiKey) -> user_pb2.ApiKey:
    """An API key, without its secret."""
    return user_pb2.ApiKey(
        id=str(value.id),
        user_id=str(value.user_id),
        name=value.name,
        prefix=value.prefix,
        bindings=[_binding(each) for each in value.bindings],
        expire_time=timestamp(value.expire_time),
        last_used_time=timestamp(value.last_used_time),
        revoke_time=timestamp(value.revoke_time),
        creator=principal(value.creator),
        create_time=timestamp(value.create_time),
    )


def tokens(value: Tokens) -> user_service_pb2.Tokens:
    """A pair of tokens."""
    return user_service_pb2.Tokens(
        access_token=value.access,
        access_expire_time=timestamp(value.access_expire_time),
        refresh_token=value.refresh,
        refresh_expire_time=timestamp(value.refresh_expire_time),
    )


def rights(value: Rights, areas: Iterable[str]) -> list[user_pb2.ProjectPermissions]:
    """What somebody may do in each project."""
    known = list(areas)
    return [
        user_pb2.ProjectPermissions(project=project, permissions=spell_out(held, known))
        for project, held in sorted(value.items())
    ]


def role(value: Role, areas: Iterable[str]) -> user_pb2.Role:
    """A role that comes with Weir."""
    return user_pb2.Role(
        name=value.name,
        description=value.description,
        permissions=spell_out(value.rights, areas),
        built_in=True,
    )


def permission(value: Permission) -> user_pb2.Permission:
    """A permission that the contract names."""
    return user_pb2.Permission(name=value.name, instance=value.instance, methods=value.methods)


def _bindings(messages: Iterable[Any]) -> tuple[Binding, ...]:
    return tuple(Binding(each.role, each.project) for each in messages)


def _binding(value: Binding) -> user_pb2.RoleBinding:
    return user_pb2.RoleBinding(role=value.role, project=value.project)
