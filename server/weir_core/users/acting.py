"""What is done later in somebody's name, with the rights that one has by then."""

from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.principals import Caller, Principal
from weir_core.users import key_repository
from weir_core.users.permissions import overlap, rights_of


async def acting_as(tx: AsyncConnection, principal: Principal) -> Caller | None:
    """The principal with the rights of now; None where its user was disabled or deleted.

    An API key need not be good any more: its bindings hold, as far as its user has them.
    """
    if principal.id is None:
        return None
    standing = await key_repository.user_standing(tx, principal.id, principal.api_key_id)
    if standing is None or standing.ended:
        return None
    rights = rights_of(standing.user_bindings)
    if principal.api_key_id is not None:
        rights = overlap(rights_of(standing.key_bindings), rights)
    return Caller(principal, rights)
