"""Roles and rights, pure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weir_core.principals import SYSTEM, Caller
from weir_core.users.models import Binding
from weir_core.users.permissions import ROLES, missing, overlap, rights_of, spell_out

AREAS = ("tasks", "users", "datasets")
PERMISSIONS = [f"{area}.{verb}" for area in AREAS for verb in ("read", "write")]
PROJECTS = ("*", "default", "lab")

rights = st.dictionaries(
    st.sampled_from(PROJECTS),
    st.frozensets(st.sampled_from([*PERMISSIONS, *(f"{area}.*" for area in AREAS), "*"]), max_size=4),
)


def holder(held: dict[str, frozenset[str]]) -> Caller:
    return Caller(SYSTEM, held)


class TestRightsOf:
    def test_roles_add_up_by_project(self):
        held = rights_of([Binding("viewer", "lab"), Binding("operator", "lab"), Binding("viewer", "*")])
        assert held == {
            "lab": ROLES["viewer"].rights | ROLES["operator"].rights,
            "*": ROLES["viewer"].rights,
        }

    def test_an_unknown_role_allows_nothing(self):
        assert rights_of([Binding("king", "*")]) == {}


class TestCaller:
    @pytest.mark.parametrize(
        "held, permission, project, expected",
        [
            ({"lab": {"tasks.read"}}, "tasks.read", "lab", True),
            ({"lab": {"tasks.read"}}, "tasks.read", "default", False),
            ({"lab": {"tasks.read"}}, "tasks.read", "*", False),
            ({"*": {"tasks.read"}}, "tasks.read", "lab", True),
            ({"*": {"tasks.*"}}, "tasks.read", "lab", True),
            ({"*": {"tasks.*"}}, "tasksets.read", "lab", False),
            ({"*": {"*"}}, "finance.report", "lab", True),
            ({}, "tasks.read", "lab", False),
        ],
    )
    def test_holds(self, held: dict[str, set[str]], permission: str, project: str, *, expected: bool):
        caller = holder({name: frozenset(rights) for name, rights in held.items()})
        assert caller.holds(permission, project) is expected


class TestOverlap:
    @given(one=rights, other=rights)
    def test_it_is_what_both_hold(self, one: dict[str, frozenset[str]], other: dict[str, frozenset[str]]):
        shared = holder(overlap(one, other))
        for project in (*PROJECTS, "new"):
            for permission in PERMISSIONS:
                both = holder(one).holds(permission, project) and holder(other).holds(permission, project)
                assert shared.holds(permission, project) is both


class TestMissing:
    @pytest.mark.parametrize("role", ROLES)
    def test_an_admin_can_give_all(self, role: str):
        assert missing(holder({"*": frozenset({"*"})}), Binding(role, "*")) is None

    def test_an_admin_of_a_project_can_give_there_only(self):
        caller = holder({"lab": frozenset({"*"})})
        assert missing(caller, Binding("admin", "lab")) is None
        assert missing(caller, Binding("viewer", "*")) is not None
        assert missing(caller, Binding("viewer", "default")) is not None

    def test_who_holds_all_permissions_there_are_is_no_admin(self):
        every = frozenset(right for role in ROLES.values() for right in role.rights if right != "*")
        assert missing(holder({"*": every}), Binding("admin", "*")) == "*"
        assert missing(holder({"*": every}), Binding("editor", "*")) is None


class TestSpellOut:
    def test_all_is_written_by_area(self):
        assert spell_out(frozenset({"*", "tasks.read"}), {"users", "tasks"}) == ["tasks.*", "users.*"]
        assert spell_out(frozenset({"b.c", "a.b"}), {"users"}) == ["a.b", "b.c"]
