"""`weir users`: who may call."""

import sys

import click

from weir.cli.naming import user_id
from weir.cli.output import as_json, show, show_list
from weir.cli.profile import connected
from weir.v1.common_pb2 import PrincipalKind
from weir.v1.user_pb2 import RoleBinding

bindings = click.option(
    "--role", "roles", multiple=True, help="ROLE@PROJECT, or ROLE@* for all projects; may be given again."
)


@click.group()
def command() -> None:
    """Look at users and roles, make users."""


@command.command("list")
@click.option("--filter", "filter_text", default="", help="Such as: disabled = false")
@as_json
def list_users(filter_text: str, *, as_json: bool) -> None:
    """List users."""
    with connected() as client:
        columns = ("id", "name", "kind", "disabled", "last_login_time")
        show_list(client.users.list_users(filter=filter_text), columns, json_lines=as_json)


@command.command()
@click.argument("user", default="self")
@as_json
def get(user: str, *, as_json: bool) -> None:
    """Show a user, by name or id, with what it may do; `self` is who is signed in."""
    with connected() as client:
        show(client.users.get_user(user_id(client, user)), json_lines=as_json)


@command.command()
@click.argument("name")
@bindings
@click.option("--display-name", default="", help="Name to show.")
@click.option("--service", is_flag=True, help="A program: signs in by API keys only.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@as_json
def create(
    name: str,
    roles: tuple[str, ...],
    display_name: str,
    *,
    service: bool,
    password_stdin: bool,
    as_json: bool,
) -> None:
    """Make a user. A person's password is asked for."""
    password = "" if service else _new_password(from_stdin=password_stdin)
    kind = "SERVICE" if service else "PERSON"
    with connected() as client:
        answer = client.users.create_user(
            name,
            kind=PrincipalKind.Value(f"PRINCIPAL_KIND_{kind}"),
            display_name=display_name,
            bindings=[binding(each) for each in roles],
            password=password,
        )
    show(answer.user, json_lines=as_json)


@command.command()
@as_json
def roles(*, as_json: bool) -> None:
    """List roles, with the permissions that each holds."""
    with connected() as client:
        show_list(client.users.list_roles().roles, ("name", "description"), json_lines=as_json)


def binding(text: str) -> RoleBinding:
    """A role and where it is held, from `ROLE@PROJECT`."""
    role, at, project = text.partition("@")
    if not at or not project:
        raise click.UsageError(f"--role {text}: must be ROLE@PROJECT, such as editor@default or viewer@*")
    return RoleBinding(role=role, project=project)


def _new_password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    return click.prompt("Password of the new user", hide_input=True, confirmation_prompt=True, err=True)
