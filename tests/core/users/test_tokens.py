"""Access tokens: what is taken, and all the ways to make one that is not."""

import base64
import json
import time
from collections.abc import AsyncGenerator, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import func, select, update

from weir_core.columns import now_plus
from weir_core.db import Database
from weir_core.errors import ChecksumMismatch, TokenExpired, Unauthenticated
from weir_core.ids import new_id
from weir_core.secrets import SecretBox
from weir_core.users.models import signing_key
from weir_core.users.tokens import AccessTokens, Keyring

USER, SESSION = new_id(), new_id()
LIFE = timedelta(minutes=15)
BOX = SecretBox(b"k" * 32)


@pytest.fixture
async def db(database_url: str) -> AsyncGenerator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


@pytest.fixture
def keyring(db: Database) -> Keyring:
    return Keyring(db, BOX)


@pytest.fixture
def tokens(keyring: Keyring) -> AccessTokens:
    return AccessTokens(keyring, LIFE)


def good_claims() -> dict[str, Any]:
    now = int(time.time())
    return {
        "iss": "weir",
        "aud": "weir",
        "sub": str(USER),
        "sid": str(SESSION),
        "jti": str(new_id()),
        "iat": now,
        "exp": now + 900,
    }


async def forge(
    keyring: Keyring, claims: dict[str, Any], headers: dict[str, Any] | None = None, **options: Any
) -> str:
    key_id, private = await keyring.signing()
    chosen = {"kid": key_id, "typ": "at+jwt"} | (headers or {})
    key, algorithm = options.get("key", private), options.get("algorithm", "EdDSA")
    return jwt.encode(claims, key, algorithm, headers=chosen)


class TestRead:
    async def test_a_made_token_is_read(self, tokens: AccessTokens):
        token, expires = await tokens.make(USER, SESSION)
        claims = await tokens.read(token)
        assert (claims.user_id, claims.session_id, claims.expires) == (USER, SESSION, expires)
        assert await tokens.read(token) == claims

    async def test_the_forgery_itself_is_sound(self, keyring: Keyring, tokens: AccessTokens):
        assert (await tokens.read(await forge(keyring, good_claims()))).session_id == SESSION

    @pytest.mark.parametrize("claim", ["exp", "iat", "sub", "sid", "jti", "iss", "aud"])
    async def test_a_claim_that_lacks(self, keyring: Keyring, tokens: AccessTokens, claim: str):
        claims = good_claims()
        del claims[claim]
        with pytest.raises(Unauthenticated):
            await tokens.read(await forge(keyring, claims))

    @pytest.mark.parametrize(
        "change",
        [
            {"exp": "9999999999"},
            {"exp": 10**400},
            {"exp": 1e300},
            {"exp": True},
            {"exp": int(time.time()) + 10**6},
            {"iat": int(time.time()) + 3600, "exp": int(time.time()) + 3700},
            {"iat": 0},
            {"iat": "1"},
            {"iss": "other"},
            {"iss": ["weir"]},
            {"aud": "other"},
            {"aud": ["weir"]},
            {"sub": "ann"},
            {"sub": ""},
            {"sub": "\ud800"},
            {"sid": 5},
            {"sid": None},
            {"jti": 5},
            {"nbf": int(time.time()) + 3600},
        ],
        ids="-".join,
    )
    async def test_a_claim_out_of_its_range(
        self, keyring: Keyring, tokens: AccessTokens, change: dict[str, Any]
    ):
        try:
            token = await forge(keyring, good_claims() | change)
        except (TypeError, ValueError, OverflowError):
            token = await _by_hand(keyring, good_claims() | change)
        with pytest.raises(Unauthenticated):
            await tokens.read(token)

    @pytest.mark.parametrize(
        "headers",
        [
            {"typ": "JWT"},
            {"typ": None},
            {"kid": "01890000-0000-7000-8000-000000000000"},
            {"kid": "../../etc/passwd"},
            {"kid": ""},
            {"crit": ["exp"]},
        ],
        ids=str,
    )
    async def test_a_header_that_is_not_ours(
        self, keyring: Keyring, tokens: AccessTokens, headers: dict[str, Any]
    ):
        with pytest.raises(Unauthenticated):
            await tokens.read(await forge(keyring, good_claims(), headers))

    async def test_no_signature(self, keyring: Keyring, tokens: AccessTokens):
        token = await forge(keyring, good_claims(), key="", algorithm="none")
        for each in (token, token.replace("none", "None")):
            with pytest.raises(Unauthenticated):
                await tokens.read(each)

    async def test_the_public_key_as_a_shared_secret(self, keyring: Keyring, tokens: AccessTokens):
        _, private = await keyring.signing()
        shared = private.public_key().public_bytes_raw()
        with pytest.raises(Unauthenticated):
            await tokens.read(await forge(keyring, good_claims(), key=shared, algorithm="HS256"))

    async def test_another_key_under_a_known_id(self, keyring: Keyring, tokens: AccessTokens):
        with pytest.raises(Unauthenticated):
            await tokens.read(await forge(keyring, good_claims(), key=Ed25519PrivateKey.generate()))

    @pytest.mark.parametrize(
        "change",
        [
            lambda token: token[:-1] + ("A" if token[-1] != "A" else "B"),  # pyright: ignore[reportUnknownLambdaType]
            lambda token: token.split(".")[0] + "..",
            lambda token: token.rpartition(".")[0],
            lambda token: token + "." + token,
            lambda token: token + "A" * 5000,
            lambda token: "ä" + token,
            lambda _: "[" * 2000,
            lambda _: base64.urlsafe_b64encode(b'{"a":' * 300).decode() + ".e30.e30",
        ],
    )
    async def test_a_text_that_was_changed(self, tokens: AccessTokens, change: Callable[[str], str]):
        token, _ = await tokens.make(USER, SESSION)
        with pytest.raises(Unauthenticated) as caught:
            await tokens.read(change(token))
        assert not isinstance(caught.value, TokenExpired)

    async def test_one_that_ran_out_says_so(self, keyring: Keyring, tokens: AccessTokens):
        now = int(time.time())
        for seconds in (1, 30):
            claims = good_claims() | {"iat": now - 100, "exp": now - seconds}
            with pytest.raises(TokenExpired):
                await tokens.read(await forge(keyring, claims))


class TestKeyring:
    async def test_servers_that_start_together_sign_with_one_key(self, db: Database):
        rings = [Keyring(db, BOX) for _ in range(4)]
        for ring in rings:
            await ring.signing()
        assert len({(await ring.signing())[0] for ring in rings}) == 1
        async with db.read() as tx:
            assert (await tx.execute(select(func.count()).select_from(signing_key))).scalar() == 1

    async def test_a_retired_key_is_replaced_and_still_read(self, db: Database, tokens: AccessTokens):
        token, _ = await tokens.make(USER, SESSION)
        retire = update(signing_key).values(retire_time=now_plus(timedelta(seconds=-1)))
        await db.write(lambda tx: tx.execute(retire))
        later = AccessTokens(Keyring(db, BOX), LIFE)
        fresh, _ = await later.make(USER, SESSION)
        assert _kid(fresh) != _kid(token)
        assert (await later.read(token)).user_id == USER
        # The first server learns of the new key when it meets it.
        assert (await _read_soon(tokens, fresh)) == USER

    async def test_a_key_stands_encrypted(self, db: Database, keyring: Keyring):
        _, private = await keyring.signing()
        async with db.read() as tx:
            sealed = (await tx.execute(select(signing_key.c.sealed))).scalar_one()
        assert private.private_bytes_raw() not in sealed
        with pytest.raises(ChecksumMismatch, match="WEIR_MASTER_KEY"):
            await Keyring(db, SecretBox(b"x" * 32)).signing()


def _kid(token: str) -> str:
    return jwt.get_unverified_header(token)["kid"]


async def _read_soon(tokens: AccessTokens, token: str) -> UUID:
    limit = time.monotonic() + 5
    while True:
        try:
            return (await tokens.read(token)).user_id
        except Unauthenticated:
            if time.monotonic() > limit:
                raise


async def _by_hand(keyring: Keyring, claims: dict[str, Any]) -> str:
    """A well-signed token whose claims PyJWT would not write."""
    key_id, private = await keyring.signing()
    head = {"alg": "EdDSA", "typ": "at+jwt", "kid": key_id}
    parts = [_part(head), _part(claims)]
    signature = private.sign(".".join(parts).encode())
    return ".".join([*parts, base64.urlsafe_b64encode(signature).decode().rstrip("=")])


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
