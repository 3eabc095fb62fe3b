"""Users: making, finding and listing them, and the first one of an installation."""

import hmac
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any, Final
from uuid import UUID

from weir_core.db import Database
from weir_core.errors import InvalidArgument, NameTaken, NotFound
from weir_core.filtering import Filterable, bool_value, enum_value, parse, to_sql
from weir_core.idempotency import RequestKey, request_key
from weir_core.ids import new_id
from weir_core.paging import Page
from weir_core.principals import SYSTEM, Caller, Principal, PrincipalKind
from weir_core.users import repository
from weir_core.users.credentials import Passwords
from weir_core.users.models import Binding, User, user
from weir_core.users.permissions import ALL_PROJECTS
from weir_core.users.projects import Projects

FIRST_USER: Final = "admin"


class _UserKind(IntEnum):
    PERSON = PrincipalKind.PERSON
    SERVICE = PrincipalKind.SERVICE


FILTERS: Final = {
    "name": Filterable(user.c.name),
    "kind": Filterable(user.c.kind, enum_value(_UserKind)),
    "disabled": Filterable(user.c.disabled, bool_value),
}


@dataclass(frozen=True, slots=True)
class NewUser:
    """A user as a caller describes it."""

    name: str
    kind: PrincipalKind = PrincipalKind.PERSON
    display_name: str = ""
    disabled: bool = False
    bindings: tuple[Binding, ...] = ()
    password: str = ""


class UserService:
    """Who may call."""

    def __init__(self, db: Database, passwords: Passwords, projects: Projects, content_key: bytes) -> None:
        self._db = db
        self._passwords = passwords
        self._projects = projects
        self._content_key = content_key

    async def create(self, caller: Caller, new: NewUser, request_id: str = "") -> User:
        """Make a user; the same request again gives the same one."""
        if not new.name:
            raise InvalidArgument.at("user.name", "must not be empty")
        if new.password and new.kind is not PrincipalKind.PERSON:
            raise InvalidArgument.at("password", "must be empty for a SERVICE; it signs in by API keys only")
        await self._projects.check_grant(caller, new.bindings, "user.bindings")
        key = request_key(caller.principal, "CreateUser", request_id, self._content(new))
        made = await self._insert(new, caller.principal, key)
        if made is not None:
            return made
        async with self._db.read() as tx:
            earlier = await repository.user_of_request(tx, key) if key else None
        if earlier is None or key is None:
            raise NameTaken("user", new.name)
        key.check(earlier[1])
        return earlier[0]

    async def get(self, user_id: UUID) -> User:
        """The user with that id."""
        async with self._db.read() as tx:
            found = await repository.get_user(tx, user_id)
        if found is None:
            raise NotFound("user", user_id)
        return found

    async def list(self, page: Page, filter_text: str = "") -> list[User]:
        """Users by name; one more than the page holds, where there is."""
        conditions = to_sql(parse(filter_text), FILTERS)
        async with self._db.read() as tx:
            return await repository.list_users(tx, conditions, page.key[0] if page.key else "", page.size + 1)

    async def type_permissions(self) -> set[str]:
        """The permissions that task types ask for besides those of the contract."""
        async with self._db.read() as tx:
            return await repository.type_permissions(tx)

    async def bootstrap(self, admin_password: str) -> bool:
        """Make what every installation has: the first projects, and a first user where there is none."""
        await self._projects.make_first()
        async with self._db.read() as tx:
            if not admin_password or await repository.any_user(tx):
                return False
        first = NewUser(
            FIRST_USER,
            display_name="Administrator",
            bindings=(Binding("admin", ALL_PROJECTS),),
            password=admin_password,
        )
        return await self._insert(first, SYSTEM, None) is not None

    async def _insert(self, new: NewUser, creator: Principal, key: RequestKey | None) -> User | None:
        password_hash = await self._passwords.hash(new.password) if new.password else ""
        made = User(
            new_id(),
            new.name,
            new.kind,
            new.display_name,
            new.disabled,
            datetime.now(UTC),
            bindings=sorted(set(new.bindings)),
        )

        async def work(tx: Any) -> User | None:
            if not await repository.insert_user(tx, made, password_hash, creator, key):
                return None
            return await repository.get_user(tx, made.id)

        return await self._db.write(work)

    def _content(self, new: NewUser) -> dict[str, Any]:
        # A plain hash over the password would let a reader of the database try passwords fast.
        signed = hmac.digest(self._content_key, new.password.encode(), "sha256").hex()
        bindings = sorted(set(new.bindings))
        return asdict(replace(new, password=signed, bindings=tuple(bindings)))
