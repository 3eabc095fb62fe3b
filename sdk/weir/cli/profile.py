"""Where the command line keeps who is signed in: one file that only its owner can read.

A refresh token is good once, and one that comes again ends the session. So nobody keeps tokens in memory:
each call of each command reads the file under a lock, and who finds the access token about to end renews it
for all.
"""

import fcntl
import json
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import weir
from weir.errors import CredentialsMissing
from weir.v1.user_service_pb2 import Tokens

DEFAULT_ADDRESS: Final = "localhost:7443"
_RENEW_EARLY: Final = 60.0
_YES: Final = ("1", "true", "yes", "on")


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server is, and how it is spoken to."""

    address: str = DEFAULT_ADDRESS
    tls: bool = False
    ca: str = ""
    insecure: bool = False

    def client(self, **credentials: Any) -> weir.Client:
        """A client of it."""
        return weir.Client(
            self.address,
            tls=self.tls,
            ca=self.ca or None,
            insecure=self.insecure,
            client_name="weir-cli",
            **credentials,
        )


def save(server: Server, tokens: Tokens | None) -> None:
    """Keep the server and the newest tokens."""
    with _turn():
        _write(server, tokens)


def forget() -> None:
    """Keep nothing any more."""
    (_folder() / "profile.json").unlink(missing_ok=True)


@contextmanager
def connected() -> Generator[weir.Client]:
    """A client for WEIR_ENDPOINT, by WEIR_API_KEY or as whoever signed in there by `weir login`."""
    server = _server()
    key = os.environ.get("WEIR_API_KEY")
    credentials: dict[str, Any] = {"api_key": key} if key else {"token": partial(_access_token, server)}
    with server.client(**credentials) as client:
        yield client


def _server() -> Server:
    """The one that was signed in to, unless the environment names another."""
    kept = _load()
    known = Server(**{name: kept[name] for name in asdict(Server()) if name in kept})
    address = os.environ.get("WEIR_ENDPOINT") or known.address
    if address == known.address and "tokens" in kept:
        return known
    return Server(
        address,
        tls=_said("WEIR_TLS"),
        ca=os.environ.get("WEIR_CA", ""),
        insecure=_said("WEIR_INSECURE"),
    )


def _access_token(server: Server) -> str:
    with _turn():
        kept = _load()
        # Another server's tokens are nothing to show to this one.
        if "tokens" not in kept or kept.get("address") != server.address:
            raise CredentialsMissing(f"nobody is signed in at {server.address}")
        tokens = Tokens.FromString(bytes.fromhex(kept["tokens"]))
        if tokens.access_expire_time.ToNanoseconds() / 1e9 - _RENEW_EARLY < time.time():
            with server.client() as anyone:
                tokens = anyone.users.refresh_token(refresh_token=tokens.refresh_token).tokens
            _write(server, tokens)
        return tokens.access_token


def _folder() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "weir"


def _load() -> dict[str, Any]:
    try:
        return json.loads((_folder() / "profile.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def _write(server: Server, tokens: Tokens | None) -> None:
    kept: dict[str, Any] = asdict(server)
    if tokens is not None:
        kept["tokens"] = tokens.SerializeToString().hex()
    fresh = _folder() / "profile.new"
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(kept, file)
    fresh.replace(_folder() / "profile.json")


@contextmanager
def _turn() -> Generator[None]:
    _folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    with (_folder() / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _said(variable: str) -> bool:
    return os.environ.get(variable, "").lower() in _YES
