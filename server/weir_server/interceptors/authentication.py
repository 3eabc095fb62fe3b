"""Finds out who calls, and tells it to what runs inside of the call."""

from contextvars import ContextVar

from weir_core.errors import CredentialsMissing
from weir_core.principals import Caller
from weir_core.users.authentication import Authenticator
from weir_server.interceptors.access import Access
from weir_server.interceptors.call import Call, Proceed

_current: ContextVar[Call] = ContextVar("call")


def caller() -> Caller:
    """Who calls; in a stream with the rights of this moment."""
    found = _current.get().caller
    if found is None:
        raise CredentialsMissing("this call needs `authorization: Bearer …` with a token or an API key")
    return found


def stands_on(project: str) -> None:
    """Say which project a stream is about: it ends when the right to that is taken."""
    _current.get().project = project


class Authentication:
    """Asks the core who is behind the metadata `authorization`."""

    def __init__(self, authenticator: Authenticator, access: Access) -> None:
        self._authenticator = authenticator
        self._access = access

    async def identify(self, call: Call, proceed: Proceed) -> bytes | None:
        """Sets the caller, but for methods that are open to all."""
        _current.set(call)
        if call.known and not self._access.rule(call.method).anonymous:
            call.caller = await self._authenticator.authenticate(call.metadata.get("authorization", ""))
        return await proceed(call)
