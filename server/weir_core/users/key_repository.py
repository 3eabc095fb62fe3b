"""All SQL about what proves who calls: sessions, API keys, signing keys."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.columns import database_now, insert_new, now_plus
from weir_core.idempotency import RequestKey, request_values
from weir_core.principals import PrincipalKind, creator_of, creator_values
from weir_core.users.models import (
    ApiKey,
    Binding,
    Session,
    SigningKey,
    Standing,
    api_key,
    session,
    signing_key,
    user,
)
from weir_core.users.repository import bindings_of, insert_bindings

_MINUTE = timedelta(minutes=1)

_session_ended = or_(session.c.revoke_time.is_not(None), session.c.expire_time <= database_now())
_key_ended = or_(api_key.c.revoke_time.is_not(None), api_key.c.expire_time <= database_now())
_user_ended = or_(user.c.disabled, user.c.is_delete)


async def insert_session(
    tx: AsyncConnection, session_id: UUID, user_id: UUID, client_name: str, life: timedelta
) -> None:
    """Store a new sign-in, whose refresh token is number 1."""
    await tx.execute(
        insert(session).values(
            id=session_id,
            user_id=user_id,
            client_name=client_name,
            generation=1,
            create_time=database_now(),
            expire_time=now_plus(life),
        )
    )


async def get_session(tx: AsyncConnection, session_id: UUID) -> Session | None:
    """A sign-in and its state now; ended as well where its user may not sign in."""
    query = (
        select(
            session.c.id,
            session.c.user_id,
            session.c.generation,
            session.c.expire_time,
            or_(_session_ended, _user_ended).label("ended"),
        )
        .join(user, user.c.id == session.c.user_id)
        .where(session.c.id == session_id)
    )
    row = (await tx.execute(query)).first()
    return Session(row.id, row.user_id, row.generation, row.expire_time, bool(row.ended)) if row else None


async def rotate(tx: AsyncConnection, session_id: UUID, generation: int, life: timedelta) -> bool:
    """Go on to the next refresh token; False where `generation` is not the good one."""
    statement = (
        update(session)
        .where(session.c.id == session_id, session.c.generation == generation, ~_session_ended)
        .values(generation=generation + 1, expire_time=now_plus(life))
    )
    return (await tx.execute(statement)).rowcount == 1


async def end_session(tx: AsyncConnection, session_id: UUID) -> None:
    """End a sign-in for good."""
    statement = update(session).where(session.c.id == session_id, session.c.revoke_time.is_(None))
    await tx.execute(statement.values(revoke_time=database_now()))


async def session_standing(tx: AsyncConnection, session_id: UUID) -> Standing | None:
    """Who signed in, and what that one may do now."""
    query = (
        select(user.c.id, user.c.name, user.c.kind, or_(_session_ended, _user_ended).label("ended"))
        .join_from(session, user, user.c.id == session.c.user_id)
        .where(session.c.id == session_id)
    )
    row = (await tx.execute(query)).first()
    if row is None:
        return None
    held = await bindings_of(tx, [row.id])
    return Standing(row.id, row.name, PrincipalKind(row.kind), bool(row.ended), held.get(row.id, []))


async def key_standing(tx: AsyncConnection, prefix: str) -> Standing | None:
    """For whom the key with that prefix acts, and what both may do now."""
    query = (
        select(
            user.c.id,
            user.c.name,
            user.c.kind,
            or_(_key_ended, _user_ended).label("ended"),
            api_key.c.id.label("key_id"),
            api_key.c.digest,
            api_key.c.last_used_time,
        )
        .join_from(api_key, user, user.c.id == api_key.c.user_id)
        .where(api_key.c.prefix == prefix, api_key.c.is_delete.is_(False))
    )
    row = (await tx.execute(query)).first()
    if row is None:
        return None
    held = await bindings_of(tx, [row.id, row.key_id])
    return Standing(
        row.id,
        row.name,
        PrincipalKind(row.kind),
        bool(row.ended),
        held.get(row.id, []),
        key_id=row.key_id,
        key_bindings=held.get(row.key_id, []),
        key_digest=row.digest,
        key_used=row.last_used_time,
    )


async def user_standing(tx: AsyncConnection, user_id: UUID, key_id: UUID | None) -> Standing | None:
    """What a user may do now, and what a key of it was given, be that ended or not."""
    query = select(user.c.id, user.c.name, user.c.kind, _user_ended.label("ended")).where(
        user.c.id == user_id
    )
    row = (await tx.execute(query)).first()
    if row is None:
        return None
    held = await bindings_of(tx, [row.id] if key_id is None else [row.id, key_id])
    return Standing(
        row.id,
        row.name,
        PrincipalKind(row.kind),
        bool(row.ended),
        held.get(row.id, []),
        key_id=key_id,
        key_bindings=held.get(key_id, []) if key_id else [],
    )


async def touch_key(tx: AsyncConnection, key_id: UUID) -> None:
    """Note a key's use, once a minute."""
    stale = or_(api_key.c.last_used_time.is_(None), api_key.c.last_used_time <= now_plus(-_MINUTE))
    await tx.execute(
        update(api_key).where(api_key.c.id == key_id, stale).values(last_used_time=database_now())
    )


async def insert_key(tx: AsyncConnection, new: ApiKey, digest: bytes, key: RequestKey | None) -> bool:
    """Store a key with its roles; False where its prefix or the request key is taken."""
    values = {
        "id": new.id,
        "user_id": new.user_id,
        "name": new.name,
        "prefix": new.prefix,
        "digest": digest,
        "expire_time": new.expire_time,
        "create_time": new.create_time,
        "is_delete": False,
    }
    if not await insert_new(tx, api_key, values | creator_values(new.creator) | request_values(key)):
        return False
    await insert_bindings(tx, new.id, new.bindings)
    return True


async def get_key(tx: AsyncConnection, user_id: UUID, key_id: UUID) -> ApiKey | None:
    """One of a user's keys."""
    query = select(api_key).where(
        api_key.c.id == key_id, api_key.c.user_id == user_id, api_key.c.is_delete.is_(False)
    )
    row = (await tx.execute(query)).first()
    return _key(row, (await bindings_of(tx, [row.id])).get(row.id, [])) if row else None


async def key_of_request(tx: AsyncConnection, key: RequestKey) -> tuple[ApiKey, bytes] | None:
    """The key that a request made, with the hash of that request's content."""
    row = (await tx.execute(select(api_key).where(api_key.c.request_key == key.key))).first()
    if row is None:
        return None
    return _key(row, (await bindings_of(tx, [row.id])).get(row.id, [])), row.request_content


async def list_keys(
    tx: AsyncConnection,
    user_id: UUID | None,
    conditions: Iterable[ColumnElement[bool]],
    after: UUID | None,
    limit: int,
) -> list[ApiKey]:
    """Keys of a user, or of all, oldest first."""
    query = select(api_key).where(api_key.c.is_delete.is_(False), *conditions)
    if user_id is not None:
        query = query.where(api_key.c.user_id == user_id)
    if after is not None:
        query = query.where(api_key.c.id > after)
    rows = (await tx.execute(query.order_by(api_key.c.id).limit(limit))).all()
    held = await bindings_of(tx, [row.id for row in rows])
    return [_key(row, held.get(row.id, [])) for row in rows]


async def revoke_key(tx: AsyncConnection, key_id: UUID) -> None:
    """End a key for good."""
    statement = update(api_key).where(api_key.c.id == key_id, api_key.c.revoke_time.is_(None))
    await tx.execute(statement.values(revoke_time=database_now()))


async def insert_signing_key(
    tx: AsyncConnection, key_id: UUID, number: int, sealed: bytes, life: timedelta
) -> None:
    """Store a signing key; nothing happens where that number is taken."""
    made = datetime.now(UTC)
    values = {
        "id": key_id,
        "number": number,
        "sealed": sealed,
        "create_time": made,
        "retire_time": made + life,
    }
    await insert_new(tx, signing_key, values)


async def signing_keys(tx: AsyncConnection, kept: timedelta) -> list[SigningKey]:
    """Signing keys that are in use, or retired no longer than `kept` ago; the newest first."""
    query = (
        select(
            signing_key.c.id,
            signing_key.c.number,
            signing_key.c.sealed,
            (signing_key.c.retire_time <= database_now()).label("retired"),
        )
        .where(signing_key.c.retire_time > now_plus(-kept))
        .order_by(signing_key.c.number.desc())
        .limit(20)
    )
    return [SigningKey(row.id, row.number, row.sealed, bool(row.retired)) for row in await tx.execute(query)]


async def newest_number(tx: AsyncConnection) -> int:
    """The number of the newest signing key there ever was; 0 for none."""
    return (await tx.execute(select(func.max(signing_key.c.number)))).scalar() or 0


def _key(row: Row[Any], bindings: list[Binding]) -> ApiKey:
    return ApiKey(
        row.id,
        row.user_id,
        row.name,
        row.prefix,
        row.expire_time,
        creator_of(row),
        row.create_time,
        row.last_used_time,
        row.revoke_time,
        bindings,
    )
