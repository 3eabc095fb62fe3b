"""From what came with a call to who calls, and what that one may do at this moment."""

import asyncio
import hmac
import logging
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from weir_core.db import Database
from weir_core.errors import CredentialsMissing, TokenRevoked, WeirError
from weir_core.fresh import Fresh
from weir_core.principals import Caller, Principal
from weir_core.users import key_repository
from weir_core.users.credentials import KEY_MARK, key_digest, key_prefix, wrong_credentials
from weir_core.users.models import Standing
from weir_core.users.permissions import overlap, rights_of
from weir_core.users.tokens import AccessTokens

# Revocation is in force everywhere within 2 s; the rest is for the read itself.
_FRESH_SECONDS: Final = 1.0
_MINUTE: Final = timedelta(minutes=1)
_LONGEST_HEADER: Final = 4096

_log = logging.getLogger(__name__)


class Authenticator:
    """Tells who calls, from an access token or an API key."""

    def __init__(self, db: Database, tokens: AccessTokens) -> None:
        self._db = db
        self._tokens = tokens
        self._sessions = Fresh(self._load_session, seconds=_FRESH_SECONDS)
        self._keys = Fresh(self._load_key, seconds=_FRESH_SECONDS)
        self._touching: dict[UUID, asyncio.Task[None]] = {}

    async def authenticate(self, authorization: str) -> Caller:
        """The caller behind a value of the metadata `authorization`; Unauthenticated for no good one."""
        if not authorization:
            raise CredentialsMissing("this call needs `authorization: Bearer …` with a token or an API key")
        scheme, _, credential = authorization.partition(" ")
        credential = credential.strip()
        if scheme.lower() != "bearer" or not credential or len(authorization) > _LONGEST_HEADER:
            raise wrong_credentials()
        if credential.startswith(KEY_MARK):
            return await self._by_key(credential)
        return await self._by_token(credential)

    async def again(self, caller: Caller, authorization: str) -> Caller:
        """The caller as it stands now, whose access token may have run out since."""
        if caller.session_id is None or caller.principal.id is None:
            return await self.authenticate(authorization)
        return await self._by_session(caller.session_id, caller.principal.id)

    def forget_session(self, session_id: UUID) -> None:
        """Look again at a session that this process ended."""
        self._sessions.forget(session_id)

    def forget_key(self, prefix: str) -> None:
        """Look again at a key that this process revoked."""
        self._keys.forget(prefix)

    async def close(self) -> None:
        """Wait for what is noted on the side."""
        await asyncio.gather(*self._touching.values(), return_exceptions=True)

    async def _by_token(self, token: str) -> Caller:
        claims = await self._tokens.read(token)
        return await self._by_session(claims.session_id, claims.user_id)

    async def _by_session(self, session_id: UUID, user_id: UUID) -> Caller:
        standing = await self._sessions.get(session_id)
        if standing is None or standing.ended or standing.user_id != user_id:
            raise TokenRevoked("the session was ended; sign in again")
        principal = Principal(standing.user_kind, standing.user_id, standing.user_name)
        return Caller(principal, rights_of(standing.user_bindings), session_id)

    async def _by_key(self, text: str) -> Caller:
        standing = await self._keys.get(key_prefix(text))
        if standing is None or not hmac.compare_digest(standing.key_digest, key_digest(text)):
            raise wrong_credentials()
        if standing.ended or standing.key_id is None:
            raise TokenRevoked("the API key was ended; make another one")
        self._note_use(standing.key_id, standing.key_used)
        principal = Principal(standing.user_kind, standing.user_id, standing.user_name, standing.key_id)
        return Caller(principal, overlap(rights_of(standing.key_bindings), rights_of(standing.user_bindings)))

    async def _load_session(self, session_id: UUID) -> Standing | None:
        async with self._db.read() as tx:
            return await key_repository.session_standing(tx, session_id)

    async def _load_key(self, prefix: str) -> Standing | None:
        async with self._db.read() as tx:
            return await key_repository.key_standing(tx, prefix)

    def _note_use(self, key_id: UUID, last: datetime | None) -> None:
        if key_id in self._touching or (last is not None and datetime.now(UTC) - last < _MINUTE):
            return
        task = self._touching[key_id] = asyncio.create_task(self._touch(key_id))
        task.add_done_callback(lambda _: self._touching.pop(key_id, None))

    async def _touch(self, key_id: UUID) -> None:
        try:
            await self._db.write(lambda tx: key_repository.touch_key(tx, key_id))
        except WeirError as error:
            _log.warning("the use of an API key was not noted: %s", error)
