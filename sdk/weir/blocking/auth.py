"""Who calls: nobody, a key, a token from elsewhere, or a session that renews itself."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from weir import errors, methods
from weir.blocking import io
from weir.deadline import Deadline, Timeout
from weir.method import Method, Req, Resp
from weir.v1.user_service_pb2 import LoginRequest, RefreshTokenRequest, Tokens

RENEW_EARLY = 60.0

# A sign-in whose answer is lost leaves no more than an unused session, so this one call may be repeated.
_LOGIN = replace(methods.LOGIN, repeatable=True)


class Unary(Protocol):
    """Makes the calls that a session needs."""

    def unary(self, method: Method[Req, Resp], request: Req, timeout: Timeout = None) -> Resp: ...


class Credentials(Protocol):
    """Gives each call its token."""

    def token(self, caller: Unary, timeout: float) -> str | None: ...
    def renewed(self, caller: Unary, rejected: str, timeout: float) -> str | None: ...


class Nobody:
    """No credentials: enough for signing in and for health."""

    def token(self, caller: Unary, timeout: float) -> str | None:
        return None

    def renewed(self, caller: Unary, rejected: str, timeout: float) -> str | None:
        return None


class Key(Nobody):
    """An API key, or an access token that somebody else keeps fresh."""

    def __init__(self, key: str) -> None:
        self._key = key

    def token(self, caller: Unary, timeout: float) -> str | None:
        return self._key


class TokenSource:
    """A function of the caller's, asked before each call and once more when its token has run out."""

    def __init__(self, source: io.TokenSource) -> None:
        self._source = source

    def token(self, caller: Unary, timeout: float) -> str | None:
        return io.ask(self._source, timeout)

    def renewed(self, caller: Unary, rejected: str, timeout: float) -> str | None:
        other = io.ask(self._source, timeout)
        return None if other == rejected else other


@dataclass(frozen=True)
class Password:
    """What a session signs in with."""

    user: str
    password: str
    client_name: str = ""

    def request(self) -> LoginRequest:
        password = LoginRequest.Password(user_name=self.user, password=self.password)
        return LoginRequest(password=password, client_name=self.client_name)


class Session:
    """Tokens in memory, renewed by one caller for all, a minute before they run out or when refused."""

    def __init__(
        self,
        password: Password | None = None,
        tokens: Tokens | None = None,
        on_tokens: Callable[[Tokens], None] | None = None,
    ) -> None:
        self._password = password
        self._tokens = tokens
        self._on_tokens = on_tokens
        self._renew_at = _renew_at(tokens)
        self._flight: io.SingleFlight[None] = io.SingleFlight()

    def token(self, caller: Unary, timeout: float) -> str | None:
        if self._tokens is None or time.time() >= self._renew_at:
            self._renew_early(caller, timeout)
        return self._access()

    def renewed(self, caller: Unary, rejected: str, timeout: float) -> str | None:
        self._flight.run(partial(self._renew, caller, rejected), timeout)
        return self._access()

    def _renew_early(self, caller: Unary, timeout: float) -> None:
        """A failure is no matter while the present token still holds."""
        try:
            self._flight.run(partial(self._renew, caller, self._access()), timeout)
        except errors.CallError:
            if self._tokens is None or time.time() >= self._renew_at + RENEW_EARLY:
                raise

    def _renew(self, caller: Unary, stale: str | None, deadline: Deadline) -> None:
        if self._access() != stale:
            return
        tokens = self._refreshed(caller, deadline) or self._signed_in(caller, deadline)
        self._tokens, self._renew_at = tokens, _renew_at(tokens)
        if self._on_tokens is not None:
            self._on_tokens(tokens)

    def _refreshed(self, caller: Unary, deadline: Deadline) -> Tokens | None:
        """None where only a new sign-in helps. A refresh is never repeated: its token is good once."""
        if self._tokens is None:
            return None
        request = RefreshTokenRequest(refresh_token=self._tokens.refresh_token)
        try:
            return (caller.unary(methods.REFRESH_TOKEN, request, deadline.remaining())).tokens
        except errors.CallError:
            if self._password is None:
                raise
            return None

    def _signed_in(self, caller: Unary, deadline: Deadline) -> Tokens:
        if self._password is None:
            raise errors.ClientError("there is neither a token nor a password to sign in with")
        request = self._password.request()
        return (caller.unary(_LOGIN, request, deadline.remaining())).tokens

    def _access(self) -> str | None:
        return None if self._tokens is None else self._tokens.access_token


def _renew_at(tokens: Tokens | None) -> float:
    """Never ahead of time for a token that already seems old when it comes: this clock may be wrong."""
    if tokens is None:
        return 0.0
    early = tokens.access_expire_time.ToNanoseconds() / 1e9 - RENEW_EARLY
    return early if early > time.time() else float("inf")
