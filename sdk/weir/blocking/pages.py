"""Lists that page by themselves."""

from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar

from weir.blocking import io
from weir.blocking.caller import Caller
from weir.deadline import Timeout
from weir.errors import WeirError
from weir.method import Method, Req, Resp

Item = TypeVar("Item")


class Page(Protocol):
    """What every answer of a List has."""

    @property
    def next_page_token(self) -> str: ...


PageResp = TypeVar("PageResp", bound=Page)


class Pages(Generic[PageResp, Item]):
    """All entries, over as many pages as there are; `pages()` gives the answers themselves.

    `timeout` is for each page. A page may be short or empty: the list ends where the server says so.
    """

    def __init__(
        self,
        fetch: Callable[[str], io.Answer[PageResp]],
        first: str,
        items: Callable[[PageResp], Iterable[Item]],
    ) -> None:
        self._fetch = fetch
        self._first = first
        self._items = items

    def __iter__(self) -> io.Iterating[Item]:
        for page in self.pages():
            yield from self._items(page)

    def pages(self) -> io.Iterating[PageResp]:
        """The answers, a page each."""
        token = self._first
        while True:
            page = self._fetch(token)
            yield page
            if not page.next_page_token:
                return
            if page.next_page_token == token:
                raise WeirError("the server gave the same page token twice; the list has no end")
            token = page.next_page_token


def fetcher(
    caller: Caller, method: Method[Req, Resp], request: Callable[[str], Req], timeout: Timeout
) -> Callable[[str], io.Answer[Resp]]:
    """Calls the List for the page of a token."""
    return lambda token: caller.unary(method, request(token), timeout)
