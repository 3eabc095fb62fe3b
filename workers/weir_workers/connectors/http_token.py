"""Fetches an OAuth2 token. Of what the token endpoint says, only the error codes of the standard are told."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote_plus

import aiohttp
import orjson
from yarl import URL

from weir_workers.connectors.addresses import check_literal
from weir_workers.connectors.errors import BodyCut, SourceError
from weir_workers.connectors.failures import broken, refused_answer
from weir_workers.connectors.http_auth import Grant, basic
from weir_workers.connectors.http_connection import HttpConnection
from weir_workers.connectors.inflate import TooGreat, UnknownEncoding, inflate
from weir_workers.connectors.retry import retry_after

_MAX_ANSWER = 256 * 1024
_MAX_TOKEN = 65536
_MAX_SECONDS = 10 * 365 * 86400
_ADVICE = {
    "invalid_client": "are `client_id` and the secret `client_secret` right, and `client_auth`?",
    "invalid_grant": "the secret `refresh_token` is not, or no longer, good",
    "unauthorized_client": "the client may not use this kind of `auth`",
    "unsupported_grant_type": "it does not serve this kind of `auth`",
    "invalid_scope": "is `scope` in `token_params` right?",
    "invalid_request": "what does it want in `token_params`, and as `client_auth`?",
    "invalid_target": "are the fields of `token_params` right?",
}


async def fetch_token(
    session: aiohttp.ClientSession,
    connection: HttpConnection,
    refresh_token: str | None,
    *,
    allow_private: bool,
) -> Grant:
    """A new token; `refresh_token` takes the place of the one in the settings."""
    url = URL(connection.token_url)
    host = url.host or ""
    check_literal(host, allow_private=allow_private)
    form, headers = _form(connection, refresh_token)
    try:
        async with (
            asyncio.timeout(connection.timeout_seconds),
            session.post(url, data=form, headers=headers, allow_redirects=False) as response,
        ):
            body = await response.content.read(_MAX_ANSWER + 1)
            while len(body) <= _MAX_ANSWER and (more := await response.content.read(_MAX_ANSWER)):
                body += more
            answer = _document(body, response.headers.get("Content-Encoding", ""))
    except (aiohttp.ClientError, TimeoutError) as error:
        raise broken(error, host, connection.timeout_seconds) from None
    if response.status != HTTPStatus.OK:
        raise _refusal(url, response, answer)
    return _grant(host, answer)


def _form(connection: HttpConnection, refresh_token: str | None) -> tuple[dict[str, str], dict[str, str]]:
    form = dict(connection.token_params)
    if connection.auth == "oauth2_client_credentials":
        form["grant_type"] = "client_credentials"
    else:
        form["grant_type"] = "refresh_token"
        form["refresh_token"] = refresh_token or connection.secret("refresh_token")
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    secret = connection.secret("client_secret")
    if connection.client_auth == "basic" and secret:
        headers["Authorization"] = basic(quote_plus(connection.client_id), quote_plus(secret))
        return form, headers
    form["client_id"] = connection.client_id
    if secret:
        form["client_secret"] = secret
    return form, headers


def _document(body: bytes, encoding: str) -> Mapping[str, Any]:
    """The answer's JSON object; empty if it is none."""
    try:
        found = orjson.loads(inflate(body, encoding, _MAX_ANSWER)) if len(body) <= _MAX_ANSWER else None
    except (ValueError, BodyCut, TooGreat, UnknownEncoding):
        found = None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _refusal(url: URL, response: aiohttp.ClientResponse, answer: Mapping[str, Any]) -> SourceError:
    status, host = response.status, url.host or ""
    error = refused_answer(url, status, retry_after(response.headers.get("Retry-After")))
    if error.kind != "INVALID_INPUT":
        return error
    said = answer.get("error")
    code = said if isinstance(said, str) and said in _ADVICE else ""
    advice = f" ({code}): {_ADVICE[code]}" if code else ": are `token_url`, client and secrets right?"
    return SourceError(
        "INVALID_INPUT", f"{host} gives no token, but {status}{advice}", code="http.token", host=host
    )


def _grant(host: str, answer: Mapping[str, Any]) -> Grant:
    token, kind = answer.get("access_token"), str(answer.get("token_type") or "bearer").lower()
    if not isinstance(token, str) or not 0 < len(token) <= _MAX_TOKEN or not _visible(token):
        raise _odd(host, "no `access_token` that can be sent in a header; is `token_url` right?")
    if kind != "bearer":
        raise _odd(host, "a token that is not of the type bearer")
    again = answer.get("refresh_token")
    return Grant(token, _seconds(answer.get("expires_in")), again if isinstance(again, str) else None)


def _visible(token: str) -> bool:
    return token.isascii() and token.isprintable()


def _seconds(told: object) -> float | None:
    try:
        seconds = float(cast("Any", told))
    except (TypeError, ValueError):
        return None
    return min(seconds, _MAX_SECONDS) if seconds > 0 else None


def _odd(host: str, what: str) -> SourceError:
    return SourceError("INVALID_INPUT", f"{host} answers with {what}", code="http.token", host=host)
