"""What callers prove themselves with: passwords, API keys, refresh tokens."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
import string
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeVar
from uuid import UUID

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from weir_core.errors import RateLimited, Unauthenticated

T = TypeVar("T")

_THREADS: Final = 2
_QUEUE: Final = 32
_LONGEST_PASSWORD: Final = 256

KEY_MARK: Final = "weir_"
_PREFIX_LENGTH: Final = 12
_SECRET_LENGTH: Final = 43
_ALPHABET: Final = string.ascii_lowercase + string.digits

_REFRESH_BYTES: Final = 16 + 4 + 32


def wrong_credentials() -> Unauthenticated:
    """The one answer to all wrong credentials."""
    return Unauthenticated("the credentials are wrong")


class Passwords:
    """Hashes and checks passwords in threads of its own; a full queue is refused, not awaited."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="passwords")
        self._pending = 0
        # Checked where there is no user or no password, so that the work is the same.
        self._nobody = self._hasher.hash(secrets.token_hex(16))

    async def hash(self, password: str) -> str:
        """The hash to store for a password."""
        return await self._run(lambda: self._hasher.hash(password))

    async def check(self, stored: str, password: str) -> bool:
        """True where the password is that of the hash; an empty hash takes none, in the same time."""
        return await self._run(lambda: self._check(stored, password))

    async def renewed(self, stored: str, password: str) -> str:
        """The hash, or a new one where it was made with weaker parameters."""
        return await self.hash(password) if self._hasher.check_needs_rehash(stored) else stored

    def close(self) -> None:
        """Take no more work."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _check(self, stored: str, password: str) -> bool:
        fits = 0 < len(password) <= _LONGEST_PASSWORD
        try:
            matches = self._hasher.verify(stored or self._nobody, password if fits else "-")
        except (Argon2Error, InvalidHashError):
            return False
        return matches and fits and bool(stored)

    async def _run(self, work: Callable[[], T]) -> T:
        if self._pending >= _QUEUE:
            raise RateLimited("too many sign-ins at a time; try again in a moment", timedelta(seconds=1))
        self._pending += 1
        future = self._threads.submit(work)
        # By the thread's end, not the caller's: who hangs up frees no place.
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: self._done_in_thread(loop))
        return await asyncio.wrap_future(future)

    def _done_in_thread(self, loop: asyncio.AbstractEventLoop) -> None:
        # A loop that has ended counts no more.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(self._done)

    def _done(self) -> None:
        self._pending -= 1


@dataclass(frozen=True, slots=True)
class KeySecret:
    """A fresh API key: its text, which is shown once, and what is stored of it."""

    text: str
    prefix: str
    digest: bytes


def new_key() -> KeySecret:
    """A random API key, `weir_<prefix>_<secret>`."""
    prefix, secret = _random(_PREFIX_LENGTH), _random(_SECRET_LENGTH)
    text = f"{KEY_MARK}{prefix}_{secret}"
    return KeySecret(text, prefix, key_digest(text))


def key_prefix(text: str) -> str:
    """The prefix of an API key; Unauthenticated where the text can't be one."""
    parts = text.split("_")
    lengths = [len(part) for part in parts]
    if not text.isascii() or lengths != [len(KEY_MARK) - 1, _PREFIX_LENGTH, _SECRET_LENGTH]:
        raise wrong_credentials()
    return parts[1]


def key_digest(text: str) -> bytes:
    """What is stored of an API key; it is random enough for a plain hash."""
    return hashlib.sha256(text.encode()).digest()


class RefreshTokens:
    """Refresh tokens: session and number under a signature, so that none needs to be stored."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def make(self, session_id: UUID, generation: int) -> str:
        """The token with that number."""
        body = session_id.bytes + generation.to_bytes(4, "big")
        return base64.urlsafe_b64encode(body + self._sign(body)).decode().rstrip("=")

    def read(self, token: str) -> tuple[UUID, int]:
        """Session and number of a token; Unauthenticated where Weir did not make it."""
        try:
            raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except (binascii.Error, ValueError):
            raise wrong_credentials() from None
        body, signature = raw[:20], raw[20:]
        if len(raw) != _REFRESH_BYTES or not hmac.compare_digest(signature, self._sign(body)):
            raise wrong_credentials()
        return UUID(bytes=body[:16]), int.from_bytes(body[16:], "big")

    def _sign(self, body: bytes) -> bytes:
        return hmac.new(self._key, body, hashlib.sha256).digest()


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
