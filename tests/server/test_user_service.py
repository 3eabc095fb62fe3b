"""UserService over the wire: users, roles and keys."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc

from tests.fixtures.server import PASSWORD, Client, ServerUnderTest, refused
from weir.v1 import common_pb2
from weir.v1 import user_service_pb2 as pb

CODE = grpc.StatusCode


def new_user(name: str = "ann", role: str = "", project: str = "default", **more: Any) -> Any:
    bindings = [{"role": role, "project": project}] if role else []
    request: dict[str, Any] = {"user": {"name": name, "bindings": bindings}, "password": PASSWORD}
    request["user"] |= more.pop("user", {})
    return pb.CreateUserRequest(**request | more)


def new_key(role: str = "viewer", project: str = "default", user_id: str = "self", **more: Any) -> Any:
    bindings = [{"role": role, "project": project}]
    key = {"user_id": user_id, "name": "robot", "bindings": bindings} | more.pop("key", {})
    return pb.CreateApiKeyRequest(api_key=key, **more)


async def create(client: Client, request: Any) -> Any:
    return (await client.users.CreateUser(request)).user


class TestCreateUser:
    async def test_the_user_is_stored_as_described(self, server: ServerUnderTest):
        made = await create(
            server.admin, new_user("ann", "editor", "default", user={"display_name": "Ann Ö"})
        )
        got = (await server.admin.users.GetUser(pb.GetUserRequest(user_id=made.id))).user
        assert got == made
        assert (made.name, made.display_name) == ("ann", "Ann Ö")
        assert made.kind == common_pb2.PRINCIPAL_KIND_PERSON
        assert [(each.role, each.project) for each in made.bindings] == [("editor", "default")]

    async def test_a_taken_name_is_refused(self, server: ServerUnderTest):
        await create(server.admin, new_user())
        error = await refused(server.admin.users.CreateUser(new_user()))
        assert (error.code, error.reason) == (CODE.ALREADY_EXISTS, "NAME_TAKEN")

    async def test_the_same_request_id_gives_the_same_user(self, server: ServerUnderTest):
        first = await create(server.admin, new_user(request_id="one"))
        assert await create(server.admin, new_user(request_id="one")) == first

    async def test_a_request_id_with_other_content_is_refused(self, server: ServerUnderTest):
        await create(server.admin, new_user(request_id="one"))
        for other in (new_user("bob", request_id="one"), new_user(request_id="one", password="x" * 12)):
            error = await refused(server.admin.users.CreateUser(other))
            assert (error.code, error.reason) == (CODE.ALREADY_EXISTS, "REQUEST_ID_REUSED")

    async def test_a_service_takes_no_password(self, server: ServerUnderTest):
        request = new_user(user={"kind": common_pb2.PRINCIPAL_KIND_SERVICE})
        error = await refused(server.admin.users.CreateUser(request))
        assert (error.code, list(error.fields)) == (CODE.INVALID_ARGUMENT, ["password"])

    async def test_an_unknown_role_or_project_is_named(self, server: ServerUnderTest):
        error = await refused(server.admin.users.CreateUser(new_user(role="king")))
        assert error.reason == "FIELD_INVALID"
        assert "admin, operator, editor, viewer" in error.fields["user.bindings[0].role"]
        error = await refused(server.admin.users.CreateUser(new_user(role="viewer", project="moon")))
        assert list(error.fields) == ["user.bindings[0].project"]

    async def test_every_broken_rule_is_told_without_the_password(self, server: ServerUnderTest):
        error = await refused(server.admin.users.CreateUser(new_user("Ann", password="hunter2")))
        assert (error.code, error.reason) == (CODE.INVALID_ARGUMENT, "FIELD_INVALID")
        assert set(error.fields) == {"user.name", "password"}
        assert "'Ann'" in error.fields["user.name"]
        assert "hunter2" not in error.message

    async def test_it_needs_the_permission_in_all_projects(self, server: ServerUnderTest):
        viewer = await server.user("ann", "viewer")
        error = await refused(viewer.users.CreateUser(new_user("bob")))
        assert (error.code, error.reason) == (CODE.PERMISSION_DENIED, "PERMISSION_MISSING")
        assert (error.metadata["permission"], error.metadata["project"]) == ("users.write", "*")

    async def test_an_admin_of_one_project_is_none_of_the_installation(self, server: ServerUnderTest):
        ann = await server.user("ann", "admin", "default")
        error = await refused(ann.users.CreateUser(new_user("bob")))
        assert error.code == CODE.PERMISSION_DENIED


class TestGetUser:
    async def test_self_needs_no_permission(self, server: ServerUnderTest):
        ann = await server.user("ann", "viewer")
        got = await ann.users.GetUser(pb.GetUserRequest(user_id="self"))
        assert got.user.name == "ann"
        assert [each.project for each in got.permissions] == ["default"]
        assert "tasks.read" in got.permissions[0].permissions
        by_id = await ann.users.GetUser(pb.GetUserRequest(user_id=got.user.id))
        assert by_id == got

    async def test_another_needs_the_permission(self, server: ServerUnderTest):
        ann = await server.user("ann", "viewer")
        other = server.admin.login.user.id
        error = await refused(ann.users.GetUser(pb.GetUserRequest(user_id=other)))
        assert (error.code, error.metadata["permission"]) == (CODE.PERMISSION_DENIED, "users.read")

    async def test_an_absent_one_is_not_found(self, server: ServerUnderTest):
        absent = "01890000-0000-7000-8000-000000000000"
        error = await refused(server.admin.users.GetUser(pb.GetUserRequest(user_id=absent)))
        assert (error.code, error.reason) == (CODE.NOT_FOUND, "NOT_FOUND")
        assert absent in error.message


class TestListUsers:
    async def test_pages_by_name_show_each_user_once(self, server: ServerUnderTest):
        for name in ("cat", "ann", "dan", "bob"):
            await create(server.admin, new_user(name))
        names, token = list[str](), ""
        while True:
            request = pb.ListUsersRequest(page_size=2, page_token=token)
            page = await server.admin.users.ListUsers(request)
            assert len(page.users) <= 2
            names += [user.name for user in page.users]
            if not (token := page.next_page_token):
                break
        assert names == ["admin", "ann", "bob", "cat", "dan"]

    async def test_a_filter_chooses(self, server: ServerUnderTest):
        await create(server.admin, new_user("ann", user={"disabled": True}))
        for text, names in (
            ('name = "ann"', ["ann"]),
            ("disabled = true", ["ann"]),
            ("kind = PERSON AND disabled = false", ["admin"]),
            ("kind = SERVICE", []),
        ):
            page = await server.admin.users.ListUsers(pb.ListUsersRequest(filter=text))
            assert [user.name for user in page.users] == names

    async def test_a_filter_that_cannot_be_read_is_refused(self, server: ServerUnderTest):
        for text in ("name ~ 1", "color = red", "kind = ROBOT", "kind = SYSTEM"):
            error = await refused(server.admin.users.ListUsers(pb.ListUsersRequest(filter=text)))
            assert (error.code, error.reason) == (CODE.INVALID_ARGUMENT, "FILTER_INVALID")

    async def test_a_token_of_another_list_is_refused(self, server: ServerUnderTest):
        await create(server.admin, new_user())
        first = await server.admin.users.ListUsers(pb.ListUsersRequest(page_size=1))
        other = pb.ListUsersRequest(page_token=first.next_page_token, filter="disabled = false")
        for request in (other, pb.ListUsersRequest(page_token="x"), pb.ListUsersRequest(page_token="ä")):
            error = await refused(server.admin.users.ListUsers(request))
            assert (error.code, error.reason) == (CODE.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")

    async def test_a_bad_page_size_is_named(self, server: ServerUnderTest):
        error = await refused(server.admin.users.ListUsers(pb.ListUsersRequest(page_size=-1)))
        assert (error.code, error.reason) == (CODE.INVALID_ARGUMENT, "FIELD_INVALID")
        assert "-1" in error.fields["page_size"]


class TestCreateApiKey:
    async def test_the_key_acts_for_its_user(self, server: ServerUnderTest):
        ann = await server.user("ann", "editor")
        made = await ann.users.CreateApiKey(new_key())
        robot = server.anyone.acting_by(made.secret)
        assert (await robot.users.GetUser(pb.GetUserRequest(user_id="self"))).user.name == "ann"
        assert made.secret.startswith(f"weir_{made.api_key.prefix}_")
        assert made.api_key.creator.name == "ann"

    async def test_it_ends_after_a_year_where_nothing_is_said(self, server: ServerUnderTest):
        made = (await server.admin.users.CreateApiKey(new_key())).api_key
        life = made.expire_time.ToDatetime(UTC) - datetime.now(UTC)
        assert timedelta(days=364) < life < timedelta(days=366)

    async def test_it_can_do_no_more_than_its_user(self, server: ServerUnderTest):
        # The role was the caller's to give, but the key's user does not hold it.
        ann = await create(server.admin, new_user("ann", "viewer"))
        made = await server.admin.users.CreateApiKey(new_key("admin", "*", ann.id))
        robot = server.anyone.acting_by(made.secret)
        error = await refused(robot.users.ListUsers(pb.ListUsersRequest()))
        assert error.code == CODE.PERMISSION_DENIED

    async def test_it_can_do_no_more_than_its_own_roles(self, server: ServerUnderTest):
        made = await server.admin.users.CreateApiKey(new_key("viewer", "*"))
        robot = server.anyone.acting_by(made.secret)
        error = await refused(robot.users.ListUsers(pb.ListUsersRequest()))
        assert error.code == CODE.PERMISSION_DENIED

    async def test_nobody_gives_what_they_do_not_hold(self, server: ServerUnderTest):
        ann = await server.user("ann", "viewer")
        for role, project in (("editor", "default"), ("viewer", "system"), ("viewer", "*")):
            error = await refused(ann.users.CreateApiKey(new_key(role, project)))
            assert (error.code, error.metadata["project"]) == (CODE.PERMISSION_DENIED, project)

    async def test_a_key_makes_no_keys_without_the_permission(self, server: ServerUnderTest):
        ann = await server.user("ann", "editor")
        robot = server.anyone.acting_by((await ann.users.CreateApiKey(new_key())).secret)
        error = await refused(robot.users.CreateApiKey(new_key()))
        assert (error.code, error.metadata["permission"]) == (CODE.PERMISSION_DENIED, "api_keys.write")

    async def test_a_key_for_another_needs_the_permission(self, server: ServerUnderTest):
        ann = await server.user("ann", "editor")
        request = new_key(user_id=server.admin.login.user.id)
        error = await refused(ann.users.CreateApiKey(request))
        assert (error.code, error.metadata["permission"]) == (CODE.PERMISSION_DENIED, "api_keys.write")

    async def test_a_repeat_gives_the_key_without_its_secret(self, server: ServerUnderTest):
        first = await server.admin.users.CreateApiKey(new_key(request_id="one"))
        again = await server.admin.users.CreateApiKey(new_key(request_id="one"))
        assert (again.api_key, again.secret) == (first.api_key, "")
        error = await refused(server.admin.users.CreateApiKey(new_key("editor", request_id="one")))
        assert error.reason == "REQUEST_ID_REUSED"

    async def test_an_end_in_the_past_is_refused(self, server: ServerUnderTest):
        request = new_key(key={"expire_time": datetime.now(UTC) - timedelta(seconds=1)})
        error = await refused(server.admin.users.CreateApiKey(request))
        assert list(error.fields) == ["api_key.expire_time"]

    async def test_a_user_that_is_not_there_is_not_found(self, server: ServerUnderTest):
        request = new_key(user_id="01890000-0000-7000-8000-000000000000")
        assert (await refused(server.admin.users.CreateApiKey(request))).code == CODE.NOT_FOUND


class TestLastUse:
    async def test_a_key_tells_when_it_was_used(self, server: ServerUnderTest):
        made = await server.admin.users.CreateApiKey(new_key())
        assert not made.api_key.HasField("last_used_time")
        await server.anyone.acting_by(made.secret).users.GetUser(pb.GetUserRequest(user_id="self"))
        async with asyncio.timeout(5):
            while True:
                (key,) = (await server.admin.users.ListApiKeys(pb.ListApiKeysRequest())).api_keys
                if key.HasField("last_used_time"):
                    break
                await asyncio.sleep(0.02)
        assert abs(key.last_used_time.ToDatetime(UTC) - datetime.now(UTC)) < timedelta(minutes=1)


class TestListApiKeys:
    async def test_one_sees_ones_own_and_an_admin_all(self, server: ServerUnderTest):
        ann = await server.user("ann", "editor")
        for client in (ann, server.admin):
            await client.users.CreateApiKey(new_key())
        own = await ann.users.ListApiKeys(pb.ListApiKeysRequest(user_id="self"))
        everyones = await server.admin.users.ListApiKeys(pb.ListApiKeysRequest(filter="name = robot"))
        assert (len(own.api_keys), len(everyones.api_keys)) == (1, 2)
        error = await refused(ann.users.ListApiKeys(pb.ListApiKeysRequest()))
        assert error.code == CODE.PERMISSION_DENIED

    async def test_pages_show_each_key_once(self, server: ServerUnderTest):
        made = [(await server.admin.users.CreateApiKey(new_key())).api_key.id for _ in range(3)]
        first = await server.admin.users.ListApiKeys(pb.ListApiKeysRequest(page_size=2))
        rest = await server.admin.users.ListApiKeys(
            pb.ListApiKeysRequest(page_size=2, page_token=first.next_page_token)
        )
        assert [key.id for page in (first, rest) for key in page.api_keys] == made
        assert not rest.next_page_token


class TestRevokeApiKey:
    async def test_the_key_is_refused_at_once_by_this_server(self, server: ServerUnderTest):
        made = await server.admin.users.CreateApiKey(new_key())
        robot = server.anyone.acting_by(made.secret)
        await robot.users.GetUser(pb.GetUserRequest(user_id="self"))
        revoke = pb.RevokeApiKeyRequest(user_id="self", api_key_id=made.api_key.id)
        await server.admin.users.RevokeApiKey(revoke)
        error = await refused(robot.users.GetUser(pb.GetUserRequest(user_id="self")))
        assert (error.code, error.reason) == (CODE.UNAUTHENTICATED, "TOKEN_REVOKED")

    async def test_again_changes_nothing(self, server: ServerUnderTest):
        key = (await server.admin.users.CreateApiKey(new_key())).api_key
        revoke = pb.RevokeApiKeyRequest(user_id="self", api_key_id=key.id)
        await server.admin.users.RevokeApiKey(revoke)
        first = await server.admin.users.ListApiKeys(pb.ListApiKeysRequest())
        await server.admin.users.RevokeApiKey(revoke)
        assert await server.admin.users.ListApiKeys(pb.ListApiKeysRequest()) == first
        assert first.api_keys[0].HasField("revoke_time")

    async def test_another_ones_key_is_not_found_under_self(self, server: ServerUnderTest):
        key = (await server.admin.users.CreateApiKey(new_key())).api_key
        ann = await server.user("ann", "viewer")
        revoke = pb.RevokeApiKeyRequest(user_id="self", api_key_id=key.id)
        assert (await refused(ann.users.RevokeApiKey(revoke))).code == CODE.NOT_FOUND


class TestListRoles:
    async def test_roles_hold_permissions_that_there_are(self, server: ServerUnderTest):
        answer = await server.admin.users.ListRoles(pb.ListRolesRequest())
        known = {each.name for each in answer.permissions}
        assert [role.name for role in answer.roles] == ["admin", "operator", "editor", "viewer"]
        for role in answer.roles:
            assert role.built_in
            for name in role.permissions:
                assert name in known or name.endswith(".*")

    async def test_a_permission_names_the_methods_that_need_it(self, server: ServerUnderTest):
        answer = await server.admin.users.ListRoles(pb.ListRolesRequest())
        methods = {each.name: list(each.methods) for each in answer.permissions}
        assert methods["tasks.cancel"] == ["TaskService/CancelTask", "TaskService/CancelTasks"]
        assert [each.name for each in answer.permissions if each.instance] == [
            "api_keys.read",
            "api_keys.write",
            "roles.read",
            "system.maintain",
            "system.operate",
            "system.read",
            "users.read",
            "users.write",
        ]
