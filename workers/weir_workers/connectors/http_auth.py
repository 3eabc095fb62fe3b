"""How a request shows who asks. Nothing here is in any message, log or position."""

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from weir_workers.connectors.clock import Clock
from weir_workers.connectors.http_connection import HttpConnection


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Credentials:
    """What a request to a trusted host carries beside its own."""

    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    query: Mapping[str, str] = field(default_factory=dict[str, str])


class Auth(Protocol):
    """Gives credentials."""

    async def credentials(self, refused: Credentials | None = None) -> Credentials:
        """What to send now. After a 401, given what was refused: the very same if there is no other."""
        ...


class Fixed:
    """Always the same ones."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    async def credentials(self, refused: Credentials | None = None) -> Credentials:
        return self._credentials


@dataclass(frozen=True, slots=True, repr=False)
class Grant:
    """A token that was given."""

    token: str
    seconds: float | None
    """How long it is good; None where nobody said."""
    refresh_token: str | None = None


@dataclass(slots=True, repr=False)
class Tokens:
    """The token of one connection, for all its readings in a process."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    current: Credentials | None = None
    good_until: float = 0.0
    refresh_token: str | None = None
    """What came in place of the one in the settings."""


class OAuth2:
    """Fetches a token when one is needed: at first, shortly before it ends, and after a 401."""

    def __init__(
        self,
        tokens: Tokens,
        clock: Clock,
        ask: Callable[[str | None], Awaitable[Grant]],
        headers: Mapping[str, str],
    ) -> None:
        self._tokens = tokens
        self._clock = clock
        self._ask = ask
        self._headers = headers

    async def credentials(self, refused: Credentials | None = None) -> Credentials:
        kept = self._tokens
        # One asks, the others wait for what comes.
        async with kept.lock:
            if kept.current is None or kept.current is refused or self._clock.now() >= kept.good_until:
                grant = await self._ask(kept.refresh_token)
                kept.refresh_token = grant.refresh_token or kept.refresh_token
                kept.good_until = self._clock.now() + _usable(grant.seconds)
                kept.current = Credentials({**self._headers, "Authorization": f"Bearer {grant.token}"})
            return kept.current


def fixed_credentials(connection: HttpConnection) -> Credentials:
    """What a connection without OAuth2 sends, its fixed headers too."""
    token, headers = connection.secret("token"), dict(connection.headers)
    match connection.auth:
        case "bearer":
            return Credentials({**headers, "Authorization": f"Bearer {token}"})
        case "header":
            return Credentials({**headers, connection.auth_header: token})
        case "query":
            return Credentials(headers, {connection.auth_param: token})
        case "basic":
            pair = basic(connection.username, connection.secret("password"))
            return Credentials({**headers, "Authorization": pair})
        case _:
            return Credentials(headers)


def basic(user: str, password: str) -> str:
    """The header Authorization for a name and a password."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def identity(connection: HttpConnection) -> bytes:
    """The same for connections that reach the same API as the same user; tells no secret."""
    who = connection.model_dump_json(include={"base_url", "auth", "username", "token_url", "client_id"})
    digest = hashlib.blake2b(who.encode(), digest_size=16)
    for name in ("token", "password", "client_secret", "refresh_token"):
        digest.update(b"\0" + connection.secret(name).encode())
    digest.update(repr(sorted(connection.token_params.items())).encode())
    return digest.digest()


def _usable(seconds: float | None) -> float:
    # Where nobody says how long a token is good, the 401 that ends it does.
    return float("inf") if seconds is None else max(0.0, seconds - min(60.0, seconds / 10))
