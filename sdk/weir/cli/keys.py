"""`weir keys`: API keys, by which programs sign in."""

from datetime import UTC, datetime, timedelta

import click

from weir.cli.naming import user_id
from weir.cli.output import as_json, show_json, show_list
from weir.cli.profile import connected
from weir.cli.users import binding, bindings


@click.group()
def command() -> None:
    """Make, list and revoke API keys."""


@command.command("list")
@click.option("--user", default="", help="Whose: a name, an id, or `self`; default: all that may be seen.")
@as_json
def list_keys(user: str, *, as_json: bool) -> None:
    """List API keys, without their secrets."""
    with connected() as client:
        columns = ("id", "name", "prefix", "expire_time", "last_used_time", "revoke_time")
        entries = client.users.list_api_keys(user_id=user and user_id(client, user))
        show_list(entries, columns, json_lines=as_json)


@command.command()
@click.argument("name")
@bindings
@click.option("--user", default="self", show_default=True, help="Whose: a name, an id, or `self`.")
@click.option("--days", type=click.IntRange(1), default=365, show_default=True, help="Until it ends.")
@as_json
def create(name: str, roles: tuple[str, ...], user: str, days: int, *, as_json: bool) -> None:
    """Make an API key, for WEIR_API_KEY. Its secret is shown now and never again."""
    if not roles:
        raise click.UsageError("say what it may do, at most what its user may: --role ROLE@PROJECT")
    with connected() as client:
        answer = client.users.create_api_key(
            user_id(client, user),
            name=name,
            bindings=[binding(each) for each in roles],
            expire_time=datetime.now(UTC) + timedelta(days=days),
        )
    if as_json:
        show_json(answer)
        return
    click.echo(answer.secret)
    click.echo(f"key {answer.api_key.id}; keep the secret: it can't be shown again", err=True)


@command.command()
@click.argument("key_id")
@click.option("--user", default="self", show_default=True, help="Whose: a name, an id, or `self`.")
@as_json
def revoke(key_id: str, user: str, *, as_json: bool) -> None:
    """End an API key, everywhere within 2 seconds."""
    with connected() as client:
        answer = client.users.revoke_api_key(user_id(client, user), api_key_id=key_id)
    show_json(answer) if as_json else click.echo("revoked")
