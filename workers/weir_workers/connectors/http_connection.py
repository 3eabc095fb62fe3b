"""Settings of a connection of the connector `http`, as people write them."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from weir_workers.connectors.setting_types import (
    HeaderName,
    HeaderValue,
    Parameter,
    Strict,
    WebAddress,
    plain_address,
)

# These are set by the connector itself or would change what a request means.
_RESERVED_HEADERS = {
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "connection",
    "authorization",
    "accept-encoding",
}
_NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "none": (),
    "bearer": ("token",),
    "header": ("token",),
    "query": ("token",),
    "basic": ("username",),
    "oauth2_client_credentials": ("token_url", "client_id", "client_secret"),
    "oauth2_refresh_token": ("token_url", "client_id", "refresh_token"),
}
_SECRETS = ("token", "password", "client_secret", "refresh_token")

Secret = Annotated[SecretStr, Field(max_length=65536)]


class HttpConnection(Strict):
    """How to reach the API."""

    base_url: WebAddress = Field(
        description="Where the API is, such as https://api.example.com/v2. No user name or password in it.",
    )
    auth: Literal[
        "none", "bearer", "header", "query", "basic", "oauth2_client_credentials", "oauth2_refresh_token"
    ] = Field(
        default="none",
        description=(
            "How requests show who asks. `none`: not at all. `bearer`, `header`, `query`: with the secret "
            "`token`, as `Authorization: Bearer`, in the header `auth_header`, or in the query parameter "
            "`auth_param`. `basic`: with `username` and the secret `password`. "
            "`oauth2_client_credentials` and `oauth2_refresh_token`: with a token that is fetched from "
            "`token_url` when it is needed and kept until shortly before it ends."
        ),
    )
    auth_header: HeaderName = Field(
        default="X-Api-Key", description="The header that carries the token, for `header`."
    )
    auth_param: Parameter = Field(
        default="api_key",
        description="The query parameter that carries the token, for `query`. No message tells it.",
    )
    token: Secret | None = Field(
        default=None, description="The secret that `bearer`, `header` and `query` send."
    )
    username: str = Field(
        default="", max_length=1000, pattern=r"^[^:\x00-\x1f]*$", description="User name, for `basic`."
    )
    password: Secret | None = Field(default=None, description="Its password; none sends an empty one.")
    token_url: Annotated[str, Field(max_length=2000, pattern=r"^(https?://.*)?$")] = Field(
        default="",
        description="Where OAuth2 tokens are fetched, such as https://login.example.com/oauth2/token.",
    )
    client_id: str = Field(default="", max_length=1000, description="Who asks for OAuth2 tokens.")
    client_secret: Secret | None = Field(default=None, description="Its secret, for OAuth2.")
    refresh_token: Secret | None = Field(
        default=None,
        description=(
            "The token that `oauth2_refresh_token` changes for access tokens. A new one that comes in "
            "exchange is used until the worker ends, and is not stored: take a provider that leaves the "
            "old one good."
        ),
    )
    client_auth: Literal["basic", "body"] = Field(
        default="basic",
        description="How `client_id` and `client_secret` go to token_url: as basic auth, or in the form.",
    )
    token_params: dict[Parameter, Annotated[str, Field(max_length=2000)]] = Field(
        default_factory=dict,
        max_length=16,
        description="Further fields of the form sent to token_url, such as scope or audience. No secrets.",
    )
    headers: dict[HeaderName, HeaderValue] = Field(
        default_factory=dict, max_length=32, description="Fixed headers of each request. No secrets."
    )
    extra_hosts: list[Annotated[str, Field(min_length=1, max_length=260)]] = Field(
        default_factory=list,
        max_length=32,
        description=(
            "Other hosts that are trusted like the one of base_url, as HOST or HOST:PORT: next links may "
            "lead there, and they get the token. A redirect to any other host is followed without token and "
            "headers."
        ),
    )
    check_path: str = Field(
        default="",
        max_length=2000,
        pattern=r"^[^?#]*$",
        description=(
            "Path below base_url that a check of the connection asks for, such as /me: it must answer JSON. "
            "Empty: base_url itself, and any answer counts that is no refusal."
        ),
    )
    timeout_seconds: float = Field(
        default=30.0, gt=0, le=600, description="Time for one request, its body included."
    )
    max_concurrency: int = Field(
        default=16,
        ge=1,
        le=64,
        description=(
            "Most requests under way at a time, of all runs over this connection in one worker process. A "
            "source that refuses with 429 or 503 is asked by fewer at a time until it answers well again."
        ),
    )

    @field_validator("base_url")
    @classmethod
    def _plain_base(cls, url: str) -> str:
        return plain_address(url, "parameters belong to the collection's `params`")

    @field_validator("token_url")
    @classmethod
    def _plain_token_url(cls, url: str) -> str:
        return plain_address(url, "parameters belong to `token_params`") if url else url

    @field_validator("headers")
    @classmethod
    def _free_headers(cls, headers: dict[str, str]) -> dict[str, str]:
        taken = sorted(name for name in headers if name.lower() in _RESERVED_HEADERS)
        if taken:
            raise ValueError(f"can't set {', '.join(taken)}; a token is sent by `auth`")
        return headers

    @model_validator(mode="after")
    def _has_what_auth_needs(self) -> "HttpConnection":
        for name in _NEEDED[self.auth]:
            if not (self.secret(name) if name in _SECRETS else getattr(self, name)):
                what = f"the secret `{name}`" if name in _SECRETS else f"`{name}`"
                raise ValueError(f"auth {self.auth!r} needs {what}")
        for name in _SECRETS:
            secret = self.secret(name)
            if not secret.isprintable() or (name == "token" and not secret.isascii()):
                raise ValueError(
                    f"the secret `{name}` can't be sent in a header: "
                    "it has other than visible ASCII characters"
                )
        return self

    def secret(self, name: str) -> str:
        """A secret as it is sent; empty where there is none."""
        held: SecretStr | None = getattr(self, name)
        return held.get_secret_value() if held is not None else ""
