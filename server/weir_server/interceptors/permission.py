"""Refuses calls whose caller lacks the permission that the contract asks for.

A method about something in a project that its request does not name is let
through to whoever holds the permission anywhere; the domain then looks at the
project of what it finds.
"""

from weir_core.errors import PermissionMissing
from weir_core.principals import Caller
from weir_core.users.permissions import ALL_PROJECTS
from weir_server.interceptors.access import Access, Rule
from weir_server.interceptors.call import Call, Proceed


class Permission:
    """Holds calls against the rules of the contract."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def require(self, call: Call, proceed: Proceed) -> bytes | None:
        """Raises PermissionMissing, or does nothing."""
        if call.known:
            rule = self._access.rule(call.method)
            if rule.permission and call.caller is not None and not _names_self(rule, call):
                call.project = rule.project(call.message)
                check(rule, call.caller, call.project)
        return await proceed(call)

    def recheck(self, call: Call, caller: Caller) -> None:
        """The same for a stream that runs, with the rights of this moment."""
        rule = self._access.rule(call.method)
        if rule.permission:
            check(rule, caller, call.project)


def check(rule: Rule, caller: Caller, project: str | None) -> None:
    """Raises PermissionMissing where the caller lacks the rule's permission."""
    where = ALL_PROJECTS if rule.instance else project
    if where is None:
        if caller.projects(rule.permission) == []:
            raise PermissionMissing(rule.permission, "")
    elif not caller.holds(rule.permission, where):
        raise PermissionMissing(rule.permission, where)


def _names_self(rule: Rule, call: Call) -> bool:
    return bool(rule.self_path) and rule.names(call.message) in {"self", str(call.user_id)}
