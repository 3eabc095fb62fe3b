"""All SQL about users, their roles, and projects."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.columns import database_now, insert_new
from weir_core.fleet.models import task_type
from weir_core.idempotency import RequestKey, request_values
from weir_core.principals import Principal, PrincipalKind, creator_values
from weir_core.users.models import Account, Binding, User, project, role_binding, user


async def any_user(tx: AsyncConnection) -> bool:
    """True where there is a user at all, a deleted one included."""
    return (await tx.execute(select(user.c.id).limit(1))).first() is not None


async def insert_user(
    tx: AsyncConnection, new: User, password_hash: str, creator: Principal, key: RequestKey | None
) -> bool:
    """Store a user with its roles; False where the name or the request key is taken."""
    values = {
        "id": new.id,
        "name": new.name,
        "kind": int(new.kind),
        "display_name": new.display_name,
        "password_hash": password_hash,
        "disabled": new.disabled,
        "create_time": new.create_time,
        "is_delete": False,
    }
    if not await insert_new(tx, user, values | creator_values(creator) | request_values(key)):
        return False
    await insert_bindings(tx, new.id, new.bindings)
    return True


async def get_user(tx: AsyncConnection, user_id: UUID) -> User | None:
    """The user with that id."""
    return await _one_user(tx, user.c.id == user_id)


async def user_of_request(tx: AsyncConnection, key: RequestKey) -> tuple[User, bytes] | None:
    """The user that a request made, with the hash of that request's content."""
    query = select(user.c.id, user.c.request_content).where(user.c.request_key == key.key)
    row = (await tx.execute(query)).first()
    if row is None:
        return None
    made = await get_user(tx, row.id)
    return (made, row.request_content) if made else None


async def list_users(
    tx: AsyncConnection, conditions: Iterable[ColumnElement[bool]], after: str, limit: int
) -> list[User]:
    """Users by name, from the one after `after` on."""
    query = (
        select(user)
        .where(user.c.name > after, user.c.is_delete.is_(False), *conditions)
        .order_by(user.c.name)
        .limit(limit)
    )
    rows = (await tx.execute(query)).all()
    held = await bindings_of(tx, [row.id for row in rows])
    return [_user(row, held.get(row.id, [])) for row in rows]


async def account(tx: AsyncConnection, name: str) -> Account | None:
    """What a sign-in under that name is checked against."""
    query = select(user.c.id, user.c.name, user.c.password_hash, user.c.disabled).where(
        user.c.name == name, user.c.is_delete.is_(False)
    )
    row = (await tx.execute(query)).first()
    # MySQL takes no notice of blanks at the end.
    return Account(row.id, row.password_hash, row.disabled) if row and row.name == name else None


async def signed_in(tx: AsyncConnection, user_id: UUID, password_hash: str) -> None:
    """Note a sign-in; the hash may be a fresh one."""
    await tx.execute(
        update(user)
        .where(user.c.id == user_id)
        .values(last_login_time=database_now(), password_hash=password_hash)
    )


async def insert_bindings(tx: AsyncConnection, owner_id: UUID, bindings: Sequence[Binding]) -> None:
    """Give roles to a new user or key."""
    rows = [{"owner_id": owner_id, "role": each.role, "project": each.project} for each in bindings]
    if rows:
        await tx.execute(insert(role_binding), rows)


async def bindings_of(tx: AsyncConnection, owners: Sequence[UUID]) -> dict[UUID, list[Binding]]:
    """The roles of users and keys."""
    held: dict[UUID, list[Binding]] = {}
    if owners:
        rows = await tx.execute(select(role_binding).where(role_binding.c.owner_id.in_(owners)))
        for row in rows:
            held.setdefault(row.owner_id, []).append(Binding(row.role, row.project))
    return {owner: sorted(bindings) for owner, bindings in held.items()}


async def projects(tx: AsyncConnection) -> set[str]:
    """The names of all projects."""
    return set((await tx.execute(select(project.c.name))).scalars())


async def add_project(tx: AsyncConnection, name: str) -> None:
    """Make a project where there is none of that name."""
    await insert_new(tx, project, {"name": name, "create_time": datetime.now(UTC)})


async def type_permissions(tx: AsyncConnection) -> set[str]:
    """The permissions that task types ask for besides those of the contract."""
    query = select(task_type.c.permission).distinct().where(task_type.c.permission != "")
    return set((await tx.execute(query)).scalars())


async def _one_user(tx: AsyncConnection, condition: ColumnElement[bool]) -> User | None:
    row = (await tx.execute(select(user).where(condition, user.c.is_delete.is_(False)))).first()
    return _user(row, (await bindings_of(tx, [row.id])).get(row.id, [])) if row else None


def _user(row: Row[Any], bindings: list[Binding]) -> User:
    return User(
        row.id,
        row.name,
        PrincipalKind(row.kind),
        row.display_name,
        row.disabled,
        row.create_time,
        row.last_login_time,
        bindings,
    )
