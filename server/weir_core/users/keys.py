"""API keys: programs act with them for a user, with at most that one's rights."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from weir_core.db import Database
from weir_core.errors import Conflict, InvalidArgument, NotFound, PermissionMissing
from weir_core.filtering import Filterable, parse, to_sql
from weir_core.idempotency import RequestKey, request_key
from weir_core.ids import new_id
from weir_core.paging import Page
from weir_core.principals import Caller
from weir_core.users import key_repository, repository
from weir_core.users.authentication import Authenticator
from weir_core.users.credentials import new_key
from weir_core.users.models import ApiKey, Binding, api_key
from weir_core.users.permissions import ALL_PROJECTS
from weir_core.users.projects import Projects

FILTERS: Final = {"name": Filterable(api_key.c.name)}

_WRITE: Final = "api_keys.write"
_LIFE: Final = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class NewKey:
    """An API key as a caller describes it."""

    user_id: UUID
    name: str
    bindings: tuple[Binding, ...]
    expire_time: datetime | None = None


class ApiKeyService:
    """Keys for programs."""

    def __init__(self, db: Database, authenticator: Authenticator, projects: Projects) -> None:
        self._db = db
        self._authenticator = authenticator
        self._projects = projects

    async def create(self, caller: Caller, new: NewKey, request_id: str = "") -> tuple[ApiKey, str]:
        """Make a key and tell its secret; a repeat gives the key without."""
        if caller.principal.api_key_id is not None and not caller.holds(_WRITE, ALL_PROJECTS):
            # A key that was stolen must not live on in others.
            raise PermissionMissing(_WRITE)
        if new.expire_time is not None and new.expire_time <= datetime.now(UTC):
            raise InvalidArgument.at("api_key.expire_time", "must be in the future")
        await self._projects.check_grant(caller, new.bindings, "api_key.bindings")
        content = [new.user_id, new.name, sorted(set(new.bindings)), new.expire_time]
        key = request_key(caller.principal, "CreateApiKey", request_id, content)
        return await self._insert(caller, new, key)

    async def list(self, user_id: UUID | None, page: Page, filter_text: str = "") -> list[ApiKey]:
        """Keys of a user, or of all, oldest first; one more than the page holds, where there is."""
        conditions = to_sql(parse(filter_text), FILTERS)
        after = UUID(page.key[0]) if page.key else None
        async with self._db.read() as tx:
            return await key_repository.list_keys(tx, user_id, conditions, after, page.size + 1)

    async def revoke(self, user_id: UUID, key_id: UUID) -> None:
        """End one of a user's keys; one that was ended stays so."""

        async def work(tx: Any) -> ApiKey | None:
            found = await key_repository.get_key(tx, user_id, key_id)
            if found is not None:
                await key_repository.revoke_key(tx, key_id)
            return found

        found = await self._db.write(work)
        if found is None:
            raise NotFound("API key", key_id)
        self._authenticator.forget_key(found.prefix)

    async def _insert(self, caller: Caller, new: NewKey, key: RequestKey | None) -> tuple[ApiKey, str]:
        secret, now = new_key(), datetime.now(UTC)
        made = ApiKey(
            new_id(),
            new.user_id,
            new.name,
            secret.prefix,
            new.expire_time or now + _LIFE,
            caller.principal,
            now,
            bindings=sorted(set(new.bindings)),
        )

        async def work(tx: Any) -> ApiKey | None:
            if await repository.get_user(tx, new.user_id) is None:
                raise NotFound("user", new.user_id)
            if not await key_repository.insert_key(tx, made, secret.digest, key):
                return None
            return await key_repository.get_key(tx, new.user_id, made.id)

        if stored := await self._db.write(work):
            return stored, secret.text
        async with self._db.read() as tx:
            earlier = await key_repository.key_of_request(tx, key) if key else None
        if earlier is None or key is None:
            raise Conflict("two keys met; call again")
        key.check(earlier[1])
        return earlier[0], ""
