"""Access tokens: signed by keys that stand encrypted in the database and take turns.

A server that meets an unknown key id looks into the database again, so all of
them take each other's tokens. What a token says is checked beyond what PyJWT
checks: every claim must be there, of its type and in its range.
"""

import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from weir_core.db import Database
from weir_core.errors import TokenExpired, WeirError
from weir_core.ids import new_id
from weir_core.secrets import SecretBox
from weir_core.users import key_repository
from weir_core.users.credentials import wrong_credentials
from weir_core.users.models import SigningKey

_ALGORITHM: Final = "EdDSA"
_TYPE: Final = "at+jwt"
_ISSUER: Final = "weir"
_AUDIENCE: Final = "weir"
_CLAIMS: Final = ("exp", "iat", "sub", "sid", "jti", "iss", "aud")
_LONGEST: Final = 2048
# Clocks of servers may differ by this much.
_LEEWAY: Final = 10
_LATEST: Final = 2**40

_SIGNS_FOR: Final = timedelta(days=30)
_KEPT_FOR: Final = timedelta(days=2)
_RELOAD_SECONDS: Final = 1.0
_REFRESH_SECONDS: Final = 600.0
_CACHED: Final = 4096


@dataclass(frozen=True, slots=True)
class Claims:
    """What an access token says."""

    user_id: UUID
    session_id: UUID
    expires: int


@dataclass(frozen=True, slots=True)
class _Key:
    number: int
    private: Ed25519PrivateKey
    retired: bool


class Keyring:
    """The signing keys of the installation, as this process knows them."""

    def __init__(self, db: Database, box: SecretBox) -> None:
        self._db = db
        self._box = box
        self._keys: dict[str, _Key] = {}
        self._loaded = float("-inf")

    async def signing(self) -> tuple[str, Ed25519PrivateKey]:
        """The newest key and its id; makes one where there is none or its time is over."""
        if self._newest() is None or self._older_than(_REFRESH_SECONDS):
            await self._load()
        if (newest := self._newest()) is None:
            await self._make()
            newest = self._newest()
        if newest is None:
            raise AssertionError("a signing key was made, and is not there")
        return newest, self._keys[newest].private

    async def find(self, key_id: str) -> Ed25519PrivateKey | None:
        """The key with that id; looks into the database at most once a second."""
        if key_id not in self._keys and self._older_than(_RELOAD_SECONDS):
            await self._load()
        found = self._keys.get(key_id)
        return found and found.private

    def _newest(self) -> str | None:
        signing = [(key.number, key_id) for key_id, key in self._keys.items() if not key.retired]
        return max(signing)[1] if signing else None

    def _older_than(self, seconds: float) -> bool:
        return time.monotonic() - self._loaded > seconds

    async def _load(self) -> None:
        async with self._db.read() as tx:
            rows = await key_repository.signing_keys(tx, _KEPT_FOR)
        self._loaded = time.monotonic()
        self._keys = {str(row.id): self._open(row) for row in rows}

    async def _make(self) -> None:
        key_id = new_id()
        sealed = self._box.seal(Ed25519PrivateKey.generate().private_bytes_raw(), _place(key_id))

        async def work(tx: Any) -> None:
            number = await key_repository.newest_number(tx) + 1
            await key_repository.insert_signing_key(tx, key_id, number, sealed, _SIGNS_FOR)

        await self._db.write(work)
        await self._load()

    def _open(self, row: SigningKey) -> _Key:
        raw = self._box.open(row.sealed, _place(row.id))
        return _Key(row.number, Ed25519PrivateKey.from_private_bytes(raw), row.retired)


class AccessTokens:
    """Makes and reads access tokens."""

    def __init__(self, keyring: Keyring, life: timedelta) -> None:
        self._keyring = keyring
        self._life = int(life.total_seconds())
        self._read: OrderedDict[str, Claims] = OrderedDict()

    async def make(self, user_id: UUID, session_id: UUID) -> tuple[str, int]:
        """A token for a session, and the second when it runs out."""
        key_id, private = await self._keyring.signing()
        now = int(time.time())
        claims = {
            "iss": _ISSUER,
            "aud": _AUDIENCE,
            "sub": str(user_id),
            "sid": str(session_id),
            "jti": str(uuid4()),
            "iat": now,
            "exp": now + self._life,
        }
        headers = {"kid": key_id, "typ": _TYPE}
        return jwt.encode(claims, private, _ALGORITHM, headers=headers), now + self._life

    async def read(self, token: str) -> Claims:
        """What a good token says; Unauthenticated or TokenExpired for any other."""
        if len(token) > _LONGEST:
            raise wrong_credentials()
        claims = self._read.get(token)
        if claims is None:
            claims = await self._verify(token)
            self._read[token] = claims
            if len(self._read) > _CACHED:
                self._read.popitem(last=False)
        else:
            self._read.move_to_end(token)
        if claims.expires <= time.time():
            raise TokenExpired("the access token ran out; refresh it and call again")
        return claims

    async def _verify(self, token: str) -> Claims:
        try:
            return await self._decode(token)
        except jwt.ExpiredSignatureError:
            raise TokenExpired("the access token ran out; refresh it and call again") from None
        except WeirError:
            raise
        except Exception:  # noqa: BLE001 - PyJWT raises TypeError and others besides its own
            raise wrong_credentials() from None

    async def _decode(self, token: str) -> Claims:
        header = jwt.get_unverified_header(token)
        if header.get("typ") != _TYPE or header.get("alg") != _ALGORITHM:
            raise wrong_credentials()
        private = await self._keyring.find(str(header.get("kid")))
        if private is None:
            raise wrong_credentials()
        return _claims(jwt.decode(token, private.public_key(), **_CHECKS), self._life)


_CHECKS: Final[dict[str, Any]] = {
    "algorithms": [_ALGORITHM],
    "audience": _AUDIENCE,
    "issuer": _ISSUER,
    "leeway": _LEEWAY,
    "options": {"require": list(_CLAIMS), "enforce_minimum_key_length": True},
}


def _claims(payload: dict[str, Any], life: int) -> Claims:
    issued, expires = payload["iat"], payload["exp"]
    if type(issued) is not int or type(expires) is not int or not 0 < issued < expires < _LATEST:
        raise wrong_credentials()
    texts = [payload[name] for name in ("sub", "sid", "jti", "iss", "aud")]
    if not all(type(text) is str for text in texts) or expires - issued > life + _LEEWAY:
        raise wrong_credentials()
    return Claims(UUID(payload["sub"]), UUID(payload["sid"]), expires)


def _place(key_id: UUID) -> str:
    return f"signing_key/{key_id}"
