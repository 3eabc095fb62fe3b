"""The client: an address, credentials, and the four services."""

from collections.abc import Callable
from pathlib import Path
from typing import Self

from weir import errors
from weir.address import endpoint
from weir.blocking import io
from weir.blocking.auth import Credentials, Key, Nobody, Password, Session, TokenSource
from weir.blocking.caller import Caller
from weir.blocking.channels import Channels
from weir.blocking.collections import Collections
from weir.blocking.system_service import SystemClient
from weir.blocking.tasks import Tasks
from weir.blocking.user_service import UserClient
from weir.deadline import Timeout, in_seconds
from weir.v1.user_service_pb2 import Tokens


class Client:
    """A Weir server, reached at its first call.

    Credentials are one of: `api_key`; `user` and `password`, for a session that renews itself; `tokens` of an
    earlier Login, with `on_tokens` told of each new pair; `token`, an access token or a function that gives
    one. Plaintext goes to this machine only, unless `insecure` says that the way is safe; `tls` and `ca` (a
    file or its content) encrypt. `timeout` is for each unary call in place of the contract's 10 s.
    """

    def __init__(
        self,
        address: str = "localhost:7443",
        *,
        api_key: str | None = None,
        user: str | None = None,
        password: str | None = None,
        tokens: Tokens | None = None,
        on_tokens: Callable[[Tokens], None] | None = None,
        token: str | io.TokenSource | None = None,
        tls: bool = False,
        ca: bytes | str | Path | None = None,
        insecure: bool = False,
        timeout: Timeout = None,
        client_name: str = "",
    ) -> None:
        login = _login(user, password, client_name)
        credentials = _credentials(api_key, login, tokens, on_tokens, token)
        self._channels = Channels(endpoint(address, tls=tls, ca=ca, insecure=insecure))
        caller = Caller(self._channels, credentials, in_seconds(timeout))
        self.tasks = Tasks(caller)
        self.collections = Collections(caller, self.tasks)
        self.users = UserClient(caller)
        self.system = SystemClient(caller)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends what is still open. A session stays signed in until it runs out or `users.logout()`."""
        self._channels.close()


def _login(user: str | None, password: str | None, client_name: str) -> Password | None:
    if user is None and password is None:
        return None
    if user is None or password is None:
        raise errors.ClientError("user=… and password=… belong together; one of them is missing")
    return Password(user, password, client_name)


def _credentials(
    api_key: str | None,
    login: Password | None,
    tokens: Tokens | None,
    on_tokens: Callable[[Tokens], None] | None,
    token: str | io.TokenSource | None,
) -> Credentials:
    given = [api_key is not None, login is not None or tokens is not None, token is not None]
    if sum(given) > 1:
        raise errors.ClientError("give one of api_key, user and password (or tokens), token; not several")
    if login is not None or tokens is not None:
        return Session(login, tokens, on_tokens)
    if callable(token):
        return TokenSource(token)
    key = api_key if token is None else token
    return Nobody() if key is None else Key(key)
