"""Signing in, going on, and signing out."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from weir_core.db import Database
from weir_core.errors import StateConflict, TokenRevoked
from weir_core.ids import new_id
from weir_core.principals import Caller
from weir_core.users import key_repository, repository
from weir_core.users.authentication import Authenticator
from weir_core.users.credentials import Passwords, RefreshTokens, wrong_credentials
from weir_core.users.models import Account, Session, User
from weir_core.users.throttle import SignInThrottle
from weir_core.users.tokens import AccessTokens


@dataclass(frozen=True, slots=True)
class Tokens:
    """A pair of tokens, each with its end."""

    access: str
    access_expire_time: datetime
    refresh: str
    refresh_expire_time: datetime


class SessionService:
    """Sessions of people who sign in with a password."""

    def __init__(
        self,
        db: Database,
        passwords: Passwords,
        access_tokens: AccessTokens,
        refresh_tokens: RefreshTokens,
        authenticator: Authenticator,
        *,
        life: timedelta,
    ) -> None:
        self._db = db
        self._passwords = passwords
        self._access = access_tokens
        self._refresh = refresh_tokens
        self._authenticator = authenticator
        self._life = life
        self._throttle = SignInThrottle()

    async def login(self, name: str, password: str, client_name: str, address: str) -> tuple[Tokens, User]:
        """Open a session; one answer, in one time, for every wrong credential."""
        with self._throttle.attempt(address, name):
            account = await self._verify(name, password)
        password_hash = await self._passwords.renewed(account.password_hash, password)
        session_id = new_id()

        async def work(tx: Any) -> tuple[Session | None, User | None]:
            await key_repository.insert_session(tx, session_id, account.user_id, client_name, self._life)
            await repository.signed_in(tx, account.user_id, password_hash)
            session = await key_repository.get_session(tx, session_id)
            return session, await repository.get_user(tx, account.user_id)

        session, user = await self._db.write(work)
        if session is None or user is None:
            raise wrong_credentials()
        return await self._tokens(session), user

    async def refresh(self, token: str, address: str) -> Tokens:
        """A new pair for a refresh token; one that comes again ends its session."""
        with self._throttle.attempt(address, ""):
            session_id, generation = self._refresh.read(token)
        session = await self._db.write(lambda tx: self._rotate(tx, session_id, generation))
        if session is None:
            self._authenticator.forget_session(session_id)
            raise TokenRevoked("the session was ended; sign in again")
        return await self._tokens(session)

    async def logout(self, caller: Caller) -> None:
        """End the caller's own session."""
        session_id = caller.session_id
        if session_id is None:
            raise StateConflict(
                "an API key has no session; to end the key, revoke it", state="API_KEY", allowed="SESSION"
            )
        await self._db.write(lambda tx: key_repository.end_session(tx, session_id))
        self._authenticator.forget_session(session_id)

    async def _verify(self, name: str, password: str) -> Account:
        async with self._db.read() as tx:
            account = await repository.account(tx, name)
        right = await self._passwords.check(account.password_hash if account else "", password)
        if account is None or not right or account.disabled:
            raise wrong_credentials()
        return account

    async def _rotate(self, tx: Any, session_id: UUID, generation: int) -> Session | None:
        session = await key_repository.get_session(tx, session_id)
        if session is None or session.ended:
            return None
        if not await key_repository.rotate(tx, session_id, generation, self._life):
            # A token that was good before: somebody else has a copy of it.
            await key_repository.end_session(tx, session_id)
            return None
        return await key_repository.get_session(tx, session_id)

    async def _tokens(self, session: Session) -> Tokens:
        access, expires = await self._access.make(session.user_id, session.id)
        return Tokens(
            access,
            datetime.fromtimestamp(expires, UTC),
            self._refresh.make(session.id, session.generation),
            session.expire_time,
        )
