"""The domain's services, wired."""

from dataclasses import dataclass
from typing import Self

from weir_core.config import Settings
from weir_core.db import Database
from weir_core.secrets import SecretBox
from weir_core.users.authentication import Authenticator
from weir_core.users.credentials import Passwords, RefreshTokens
from weir_core.users.keys import ApiKeyService
from weir_core.users.projects import Projects
from weir_core.users.service import UserService
from weir_core.users.sessions import SessionService
from weir_core.users.tokens import AccessTokens, Keyring


@dataclass(frozen=True, slots=True)
class People:
    """All that is about who calls."""

    users: UserService
    sessions: SessionService
    api_keys: ApiKeyService
    projects: Projects
    authenticator: Authenticator
    passwords: Passwords

    @classmethod
    def wire(cls, settings: Settings, db: Database, secrets: SecretBox) -> Self:
        """Put the parts together."""
        passwords, projects = Passwords(), Projects(db)
        access = AccessTokens(Keyring(db, secrets), settings.access_token_life)
        refresh = RefreshTokens(secrets.derive("refresh tokens"))
        authenticator = Authenticator(db, access)
        return cls(
            users=UserService(db, passwords, projects, secrets.derive("request content")),
            sessions=SessionService(
                db, passwords, access, refresh, authenticator, life=settings.session_life
            ),
            api_keys=ApiKeyService(db, authenticator, projects),
            projects=projects,
            authenticator=authenticator,
            passwords=passwords,
        )

    async def close(self) -> None:
        """End what runs on the side."""
        await self.authenticator.close()
        self.passwords.close()
