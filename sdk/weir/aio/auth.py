"""Who calls: nobody, a key, a token from elsewhere, or a session that renews itself."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from weir import errors, methods
from weir.aio import io
from weir.deadline import Deadline, Timeout
from weir.method import Method, Req, Resp
from weir.v1.user_service_pb2 import LoginRequest, RefreshTokenRequest, Tokens

RENEW_EARLY = 60.0

# A sign-in whose answer is lost leaves no more than an unused session, so this one call may be repeated.
_LOGIN = replace(methods.LOGIN, repeatable=True)


class AsyncUnary(Protocol):
    """Makes the calls that a session needs."""

    async def unary(self, method: Method[Req, Resp], request: Req, timeout: Timeout = None) -> Resp: ...


class AsyncCredentials(Protocol):
    """Gives each call its token."""

    async def token(self, caller: AsyncUnary, timeout: float) -> str | None: ...
    async def renewed(self, caller: AsyncUnary, rejected: str, timeout: float) -> str | None: ...


class AsyncNobody:
    """No credentials: enough for signing in and for health."""

    async def token(self, caller: AsyncUnary, timeout: float) -> str | None:
        return None

    async def renewed(self, caller: AsyncUnary, rejected: str, timeout: float) -> str | None:
        return None


class AsyncKey(AsyncNobody):
    """An API key, or an access token that somebody else keeps fresh."""

    def __init__(self, key: str) -> None:
        self._key = key

    async def token(self, caller: AsyncUnary, timeout: float) -> str | None:
        return self._key


class AsyncTokenSource:
    """A function of the caller's, asked before each call and once more when its token has run out."""

    def __init__(self, source: io.TokenSource) -> None:
        self._source = source

    async def token(self, caller: AsyncUnary, timeout: float) -> str | None:
        return await io.ask(self._source, timeout)

    async def renewed(self, caller: AsyncUnary, rejected: str, timeout: float) -> str | None:
        other = await io.ask(self._source, timeout)
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


class AsyncSession:
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

    async def token(self, caller: AsyncUnary, timeout: float) -> str | None:
        if self._tokens is None or time.time() >= self._renew_at:
            await self._renew_early(caller, timeout)
        return self._access()

    async def renewed(self, caller: AsyncUnary, rejected: str, timeout: float) -> str | None:
        await self._flight.run(partial(self._renew, caller, rejected), timeout)
        return self._access()

    async def _renew_early(self, caller: AsyncUnary, timeout: float) -> None:
        """A failure is no matter while the present token still holds."""
        try:
            await self._flight.run(partial(self._renew, caller, self._access()), timeout)
        except errors.CallError:
            if self._tokens is None or time.time() >= self._renew_at + RENEW_EARLY:
                raise

    async def _renew(self, caller: AsyncUnary, stale: str | None, deadline: Deadline) -> None:
        if self._access() != stale:
            return
        tokens = await self._refreshed(caller, deadline) or await self._signed_in(caller, deadline)
        self._tokens, self._renew_at = tokens, _renew_at(tokens)
        if self._on_tokens is not None:
            self._on_tokens(tokens)

    async def _refreshed(self, caller: AsyncUnary, deadline: Deadline) -> Tokens | None:
        """None where only a new sign-in helps. A refresh is never repeated: its token is good once."""
        if self._tokens is None:
            return None
        request = RefreshTokenRequest(refresh_token=self._tokens.refresh_token)
        try:
            return (await caller.unary(methods.REFRESH_TOKEN, request, deadline.remaining())).tokens
        except errors.CallError:
            if self._password is None:
                raise
            return None

    async def _signed_in(self, caller: AsyncUnary, deadline: Deadline) -> Tokens:
        if self._password is None:
            raise errors.ClientError("there is neither a token nor a password to sign in with")
        request = self._password.request()
        return (await caller.unary(_LOGIN, request, deadline.remaining())).tokens

    def _access(self) -> str | None:
        return None if self._tokens is None else self._tokens.access_token


def _renew_at(tokens: Tokens | None) -> float:
    """Never ahead of time for a token that already seems old when it comes: this clock may be wrong."""
    if tokens is None:
        return 0.0
    early = tokens.access_expire_time.ToNanoseconds() / 1e9 - RENEW_EARLY
    return early if early > time.time() else float("inf")
