"""From a name that a person types to the id that a call wants."""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Protocol
from uuid import UUID

import click

from weir import Client, errors


class Named(Protocol):
    """What has an id."""

    @property
    def id(self) -> str: ...


def connection_id(client: Client, text: str) -> str:
    """The id of the connection with this name or id."""
    listed = "weir collections connections"
    return _id("connection", text, listed, lambda query: client.collections.list_connections(filter=query))


def collection_id(client: Client, text: str) -> str:
    """The id of the collection with this name or id."""
    return _id(
        "collection",
        text,
        "weir collections list",
        lambda query: client.collections.list_collections(filter=query),
    )


def dataset_id(client: Client, text: str) -> str:
    """The id of the dataset with this name or id."""
    return _id(
        "dataset", text, "weir datasets list", lambda query: client.collections.list_datasets(filter=query)
    )


def user_id(client: Client, text: str) -> str:
    """The id of the user with this name or id; `self` stands for the caller."""
    if text == "self":
        return text
    return _id("user", text, "weir users list", lambda query: client.users.list_users(filter=query))


def _id(kind: str, text: str, listed: str, found: Callable[[str], Iterable[Named]]) -> str:
    if _is_id(text):
        return text
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    entries = list(islice(found(f'name = "{quoted}"'), 2))
    if not entries:
        raise errors.NotFound(
            f"{kind} {text!r} does not exist, or you may not see it",
            help_text=f"see what there is with: {listed}",
        )
    if len(entries) > 1:
        raise click.UsageError(f"several projects have a {kind} {text!r}; give its id")
    return entries[0].id


def _is_id(text: str) -> bool:
    try:
        return bool(UUID(text))
    except ValueError:
        return False
