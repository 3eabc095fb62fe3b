"""Where the command line keeps who is signed in: one file that only its owner can read."""

import fcntl
import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import weir
from weir.v1.user_service_pb2 import Tokens

_DEFAULT = "localhost:7443"


def folder() -> Path:
    """The folder of the profile."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "weir"


def save(address: str, tokens: Tokens | None) -> None:
    """Keep the address and the newest tokens."""
    folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    kept: dict[str, Any] = {"address": address}
    if tokens is not None:
        kept["tokens"] = tokens.SerializeToString().hex()
    fresh = folder() / "profile.new"
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(kept, file)
    fresh.replace(folder() / "profile.json")


@contextmanager
def connected() -> Generator[weir.Client]:
    """A client for WEIR_ENDPOINT, by WEIR_API_KEY or as whoever signed in by `weir login`."""
    kept = _load()
    address = os.environ.get("WEIR_ENDPOINT") or kept.get("address", _DEFAULT)
    if key := os.environ.get("WEIR_API_KEY"):
        with weir.Client(address, api_key=key, client_name="weir-cli") as client:
            yield client
        return
    # A refresh token is good once: two commands at a time take turns.
    with _turn():
        kept = _load()
        tokens = Tokens.FromString(bytes.fromhex(kept["tokens"])) if "tokens" in kept else None
        if tokens is None:
            client = weir.Client(address, client_name="weir-cli")
        else:
            client = weir.Client(
                address, tokens=tokens, on_tokens=lambda new: save(address, new), client_name="weir-cli"
            )
    with client:
        yield client


def _load() -> dict[str, Any]:
    try:
        return json.loads((folder() / "profile.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


@contextmanager
def _turn() -> Generator[None]:
    folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder() / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
