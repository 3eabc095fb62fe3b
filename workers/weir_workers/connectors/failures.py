"""What a failed request means: who has to act, in plain words. No query and no body is told."""

import http

import aiohttp
from yarl import URL

from weir_workers.connectors.errors import BodyCut, SourceError

_ADVICE = {
    401: "the connection's credentials are not accepted",
    403: "the connection's credentials do not allow it",
    404: "is `base_url` with `path` right?",
    406: "it does not serve JSON",
    410: "it is gone for good",
}
# Codes of failures that a repetition will not mend though the source is the cause.
_LASTING = {"http.tls"}


def retryable(error: SourceError) -> bool:
    """True if the same request may succeed in a moment."""
    return error.kind in {"DEPENDENCY", "RATE_LIMITED"} and error.code not in _LASTING


def refused_answer(url: URL, status: int, hint: float | None) -> SourceError:
    """The error for an answer that is not 200."""
    host = url.host or ""
    what = f"{host} answers {url.path!r} with {status} {_phrase(status)}".rstrip()
    if status == http.HTTPStatus.TOO_MANY_REQUESTS:
        return SourceError("RATE_LIMITED", what, code="http.429", status=status, host=host, retry_after=hint)
    if status >= http.HTTPStatus.INTERNAL_SERVER_ERROR or status in {408, 425}:
        return SourceError(
            "DEPENDENCY", what, code=f"http.{status}", status=status, host=host, retry_after=hint
        )
    advice = f": {_ADVICE[status]}" if status in _ADVICE else ""
    return SourceError("INVALID_INPUT", f"{what}{advice}", code=f"http.{status}", status=status, host=host)


def too_large(host: str, limit: int, advice: str) -> SourceError:
    """The error for a body beyond its bound, packed or unpacked."""
    message = f"an answer of {host} is greater than {limit} bytes; {advice}"
    return SourceError("INVALID_INPUT", message, code="http.too_large", host=host)


def held_back(host: str, seconds: float) -> SourceError:
    """The error for a request that is not made, since the source has told others to wait."""
    message = f"{host} has told us to wait; {seconds:.0f} s are left of that"
    return SourceError("RATE_LIMITED", message, code="http.held", host=host, retry_after=seconds)


def broken(error: Exception, host: str, timeout: float) -> SourceError:
    """The error for a request without a whole answer."""
    code, message = _told(error, host, timeout)
    kind = "INVALID_INPUT" if code == "http.url" else "DEPENDENCY"
    return SourceError(kind, message, code=code, host=host)


def _told(error: Exception, host: str, timeout: float) -> tuple[str, str]:
    name = type(error).__name__
    match error:
        case TimeoutError():
            told = "http.timeout", f"{host} did not answer within {timeout:g} s"
        case BodyCut():
            told = "http.body", f"an answer of {host} is no whole JSON document"
        case aiohttp.ClientConnectorDNSError():
            told = "http.dns", f"the name {host!r} can't be resolved"
        case aiohttp.ClientSSLError():
            told = "http.tls", f"no TLS connection to {host}: {name}; is its certificate valid?"
        case aiohttp.ClientConnectorError():
            told = "http.connect", f"can't connect to {host}: {error.os_error.strerror or name}"
        case aiohttp.InvalidURL():
            told = "http.url", f"not a web address of {host}"
        case _:
            told = "http.broken", f"the connection to {host} broke: {name}"
    return told


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ""
