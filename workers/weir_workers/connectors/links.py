"""Where links and redirects may lead, and what they may carry."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from yarl import URL

from weir_workers.connectors.errors import SourceError


@dataclass(frozen=True, slots=True)
class Trust:
    """Which hosts get the token and the fixed headers."""

    base: URL
    extra_hosts: frozenset[str]

    def covers(self, url: URL) -> bool:
        """True for the connection's own host and those named beside it."""
        if url.scheme not in {self.base.scheme, "https"}:
            return False
        own = (url.scheme, url.host, url.port) == (self.base.scheme, self.base.host, self.base.port)
        return own or str(url.host) in self.extra_hosts or f"{url.host}:{url.port}" in self.extra_hosts


def with_query(url: URL, query: Mapping[str, str]) -> URL:
    """The address as it is sent; what stands there stays as it is, to the letter."""
    if not query:
        return url
    return URL(f"{url}{'&' if url.raw_query_string else '?'}{urlencode(query)}", encoded=True)


def target(url: URL, location: str) -> URL:
    """Where a redirect leads; SourceError if that is nowhere on the web."""
    try:
        found = url.join(URL(location))
    except ValueError:
        raise bad_redirect(url, "to something that is no URL") from None
    if not location or found.scheme not in {"http", "https"} or not found.host:
        raise bad_redirect(url, "to something that is no web address")
    return found.with_user(None).with_fragment(None)


def bad_redirect(url: URL, why: str) -> SourceError:
    """The error for a redirect that is not followed."""
    return SourceError(
        "INVALID_INPUT", f"{url.host} redirects {why}", code="http.redirect", host=url.host or ""
    )


def foreign(url: URL) -> SourceError:
    """The error for a next link that leaves the connection's hosts."""
    return SourceError(
        "INVALID_INPUT",
        f"the next link leads to {url.origin()}, which is not the connection's host; "
        "if that is right, add it to the connection's `extra_hosts`",
        code="link.foreign",
        host=url.host or "",
    )
