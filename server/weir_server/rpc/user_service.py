"""UserService: read the request, call the domain, convert, return."""

from typing import Any

from weir.v1 import user_pb2, user_service_pb2_grpc
from weir.v1 import user_service_pb2 as pb
from weir_core.ids import parse_id
from weir_core.paging import PageTokens
from weir_core.users.people import People
from weir_core.users.permissions import ROLES, rights_of
from weir_server.interceptors.access import Access
from weir_server.interceptors.authentication import caller
from weir_server.rpc import convert_users as convert
from weir_server.rpc.convert import address


class UserServicer(user_service_pb2_grpc.UserServiceServicer):
    """Sign-in, users, roles and keys."""

    def __init__(self, people: People, pages: PageTokens, access: Access) -> None:
        self._users = people.users
        self._sessions = people.sessions
        self._keys = people.api_keys
        self._pages = pages
        self._permissions = access.permissions()

    async def Login(self, request: pb.LoginRequest, context: Any) -> pb.LoginResponse:
        given = request.password
        tokens, user = await self._sessions.login(
            given.user_name, given.password, request.client_name, address(context)
        )
        return pb.LoginResponse(tokens=convert.tokens(tokens), user=convert.user(user))

    async def RefreshToken(self, request: pb.RefreshTokenRequest, context: Any) -> pb.RefreshTokenResponse:
        tokens = await self._sessions.refresh(request.refresh_token, address(context))
        return pb.RefreshTokenResponse(tokens=convert.tokens(tokens))

    async def Logout(self, request: pb.LogoutRequest, context: Any) -> pb.LogoutResponse:
        await self._sessions.logout(caller())
        return pb.LogoutResponse()

    async def CreateUser(self, request: pb.CreateUserRequest, context: Any) -> pb.CreateUserResponse:
        new = convert.new_user(request.user, request.password)
        user = await self._users.create(caller(), new, request.request_id)
        return pb.CreateUserResponse(user=convert.user(user))

    async def GetUser(self, request: pb.GetUserRequest, context: Any) -> pb.GetUserResponse:
        user = await self._users.get(convert.user_id("user_id", request.user_id, caller()))
        permissions = convert.rights(rights_of(user.bindings), await self._areas())
        return pb.GetUserResponse(user=convert.user(user), permissions=permissions)

    async def ListUsers(self, request: pb.ListUsersRequest, context: Any) -> pb.ListUsersResponse:
        scope = f"ListUsers {caller().principal.id} {request.filter}"
        page = self._pages.page(request.page_size, request.page_token, scope)
        found = await self._users.list(page, request.filter)
        users, token = self._pages.cut(found, page, scope, lambda user: [user.name], convert.user)
        return pb.ListUsersResponse(users=users, next_page_token=token)

    async def CreateApiKey(self, request: pb.CreateApiKeyRequest, context: Any) -> pb.CreateApiKeyResponse:
        new = convert.new_key(request.api_key, caller())
        key, secret = await self._keys.create(caller(), new, request.request_id)
        return pb.CreateApiKeyResponse(api_key=convert.api_key(key), secret=secret)

    async def ListApiKeys(self, request: pb.ListApiKeysRequest, context: Any) -> pb.ListApiKeysResponse:
        owner = convert.user_id("user_id", request.user_id, caller()) if request.user_id else None
        scope = f"ListApiKeys {caller().principal.id} {owner} {request.filter}"
        page = self._pages.page(request.page_size, request.page_token, scope)
        found = await self._keys.list(owner, page, request.filter)
        keys, token = self._pages.cut(found, page, scope, lambda key: [str(key.id)], convert.api_key)
        return pb.ListApiKeysResponse(api_keys=keys, next_page_token=token)

    async def RevokeApiKey(self, request: pb.RevokeApiKeyRequest, context: Any) -> pb.RevokeApiKeyResponse:
        owner = convert.user_id("user_id", request.user_id, caller())
        await self._keys.revoke(owner, parse_id("api_key_id", request.api_key_id))
        return pb.RevokeApiKeyResponse()

    async def ListRoles(self, request: pb.ListRolesRequest, context: Any) -> pb.ListRolesResponse:
        areas = await self._areas()
        of_types = await self._users.type_permissions() - {each.name for each in self._permissions}
        return pb.ListRolesResponse(
            roles=[convert.role(role, areas) for role in ROLES.values()],
            permissions=[
                *(convert.permission(each) for each in self._permissions),
                *(user_pb2.Permission(name=name) for name in sorted(of_types)),
            ],
        )

    async def _areas(self) -> set[str]:
        names = {each.name for each in self._permissions} | await self._users.type_permissions()
        return {name.partition(".")[0] for name in names}
