# ruff: noqa: A002  arguments are called as the fields they fill
"""The client of UserService. Generated from `weir/v1/user_service.proto` by `make gen`."""

from collections.abc import Iterable

from weir import methods
from weir.blocking.caller import Caller
from weir.blocking.pages import Pages, fetcher
from weir.deadline import Timeout
from weir.method import fresh_id
from weir.times import TimeLike, to_timestamp
from weir.v1 import common_pb2, user_pb2, user_service_pb2


class UserClient:
    """Who may call."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def login(
        self,
        *,
        password: user_service_pb2.LoginRequest.Password | None = None,
        client_name: str = "",
        timeout: Timeout = None,
    ) -> user_service_pb2.LoginResponse:
        """Signs in. All wrong credentials give the same answer, in the same time. Tries are limited per
        address.

        Args:
            password: A name and a password.
            client_name: Kept with the session, such as the program's name.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = user_service_pb2.LoginRequest(password=password, client_name=client_name)
        return self._caller.unary(methods.LOGIN, request, timeout)

    def refresh_token(
        self, *, refresh_token: str, timeout: Timeout = None
    ) -> user_service_pb2.RefreshTokenResponse:
        """Changes a refresh token for a new pair. A refresh token is good once; when an old one comes
        again the whole session is ended.

        Args:
            refresh_token: The newest refresh token of the session.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = user_service_pb2.RefreshTokenRequest(refresh_token=refresh_token)
        return self._caller.unary(methods.REFRESH_TOKEN, request, timeout)

    def logout(self, *, timeout: Timeout = None) -> user_service_pb2.LogoutResponse:
        """Ends the caller's own session.

        Args:
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = user_service_pb2.LogoutRequest()
        return self._caller.unary(methods.LOGOUT, request, timeout)

    def create_user(
        self,
        name: str,
        *,
        kind: common_pb2.PrincipalKind.ValueType = common_pb2.PRINCIPAL_KIND_UNSPECIFIED,
        display_name: str = "",
        bindings: Iterable[user_pb2.RoleBinding] = (),
        disabled: bool = False,
        password: str = "",
        request_id: str = "",
        timeout: Timeout = None,
    ) -> user_service_pb2.CreateUserResponse:
        """Creates a user.

        Args:
            name: Unique name to sign in with.
            kind: PERSON or SERVICE. Empty: PERSON. Can't change.
            display_name: Name to show.
            bindings: Roles held, and where; at most 100. Nobody can give what they do not hold. Empty:
                none.
            disabled: True: can't sign in; keys and sessions are refused.
            password: Password, for a PERSON. Empty: none, the user can act through API keys only.
            request_id: Makes the call safe to repeat; see common.proto.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = user_service_pb2.CreateUserRequest(
            user=user_pb2.User(
                name=name, kind=kind, display_name=display_name, bindings=bindings, disabled=disabled
            ),
            password=password,
            request_id=request_id or fresh_id(),
        )
        return self._caller.unary(methods.CREATE_USER, request, timeout)

    def get_user(self, user_id: str, *, timeout: Timeout = None) -> user_service_pb2.GetUserResponse:
        """Gets a user; `self` is the caller, which needs no permission.

        Args:
            user_id: The user's id, or `self`.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = user_service_pb2.GetUserRequest(user_id=user_id)
        return self._caller.unary(methods.GET_USER, request, timeout)

    def list_users(
        self, *, page_size: int = 0, page_token: str = "", filter: str = "", timeout: Timeout = None
    ) -> Pages[user_service_pb2.ListUsersResponse, user_pb2.User]:
        """Lists users by name.

        Args:
            page_size: Entries a page; 0 means 50, above 1,000 is lowered to 1,000.
            page_token: Page to give: `next_page_token` of the page before. Empty: the first.
            filter: Which entries; see common.proto. Empty: all.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """

        def request(page_token: str) -> user_service_pb2.ListUsersRequest:
            return user_service_pb2.ListUsersRequest(
                page_size=page_size, page_token=page_token, filter=filter
            )

        fetch = fetcher(self._caller, methods.LIST_USERS, request, timeout)
        return Pages(fetch, page_token, lambda page: page.users)

    def create_api_key(
        self,
        user_id: str,
        *,
        name: str,
        bindings: Iterable[user_pb2.RoleBinding],
        expire_time: TimeLike = None,
        request_id: str = "",
        timeout: Timeout = None,
    ) -> user_service_pb2.CreateApiKeyResponse:
        """Creates an API key. The secret is in this answer and nowhere else. For a key of one's own a
        sign-in is enough; a key makes none without the permission.

        Args:
            user_id: User it belongs to; `self` on create is the caller. Can't change.
            name: Name, such as that of the program.
            bindings: Roles it holds, and where. It can do at most what its user can, whatever stands
                here.
            expire_time: When it ends. Unset: in 365 days.
            request_id: Makes the call safe to repeat; see common.proto. A repeat answers without the
                secret.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = user_service_pb2.CreateApiKeyRequest(
            api_key=user_pb2.ApiKey(
                user_id=user_id,
                name=name,
                bindings=bindings,
                expire_time=to_timestamp(expire_time, "expire_time"),
            ),
            request_id=request_id or fresh_id(),
        )
        return self._caller.unary(methods.CREATE_API_KEY, request, timeout)

    def list_api_keys(
        self,
        *,
        page_size: int = 0,
        page_token: str = "",
        filter: str = "",
        user_id: str = "",
        timeout: Timeout = None,
    ) -> Pages[user_service_pb2.ListApiKeysResponse, user_pb2.ApiKey]:
        """Lists API keys, without secrets.

        Args:
            page_size: Entries a page; 0 means 50, above 1,000 is lowered to 1,000.
            page_token: Page to give: `next_page_token` of the page before. Empty: the first.
            filter: Which entries; see common.proto. Empty: all.
            user_id: Whose: a user's id, or `self`. Empty: all.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """

        def request(page_token: str) -> user_service_pb2.ListApiKeysRequest:
            return user_service_pb2.ListApiKeysRequest(
                page_size=page_size, page_token=page_token, filter=filter, user_id=user_id
            )

        fetch = fetcher(self._caller, methods.LIST_API_KEYS, request, timeout)
        return Pages(fetch, page_token, lambda page: page.api_keys)

    def revoke_api_key(
        self, user_id: str, *, api_key_id: str, timeout: Timeout = None
    ) -> user_service_pb2.RevokeApiKeyResponse:
        """Ends an API key, everywhere within 2 seconds.

        Args:
            user_id: Whose: a user's id, or `self`.
            api_key_id: One of that user's keys.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = user_service_pb2.RevokeApiKeyRequest(user_id=user_id, api_key_id=api_key_id)
        return self._caller.unary(methods.REVOKE_API_KEY, request, timeout)

    def list_roles(self, *, timeout: Timeout = None) -> user_service_pb2.ListRolesResponse:
        """Lists roles, and all permissions there are.

        Args:
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = user_service_pb2.ListRolesRequest()
        return self._caller.unary(methods.LIST_ROLES, request, timeout)
