"""`weir login` and `weir logout`."""

import json
import os
import sys

import click

from weir.cli.output import as_json, show_json


@click.command()
@click.option("--address", envvar="WEIR_ENDPOINT", default="localhost:7443", show_default=True)
@click.option("--user", prompt="User name", envvar="WEIR_USER")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option("--tls", is_flag=True, envvar="WEIR_TLS", help="Speak TLS, with a publicly known certificate.")
@click.option(
    "--ca",
    envvar="WEIR_CA",
    type=click.Path(exists=True, dir_okay=False, resolve_path=True),
    help="Speak TLS, with a certificate by this authority (a PEM file).",
)
@click.option("--insecure", is_flag=True, envvar="WEIR_INSECURE", help="Plain text to another machine.")
@as_json
def login(
    address: str,
    user: str,
    ca: str | None,
    *,
    password_stdin: bool,
    tls: bool,
    insecure: bool,
    as_json: bool,
) -> None:
    """Sign in, and stay signed in on this machine.

    The password is that in WEIR_PASSWORD, else it is asked for.
    """
    from weir.cli.profile import Server, save
    from weir.v1.user_service_pb2 import LoginRequest

    server = Server(address, tls=tls, ca=ca or "", insecure=insecure)
    with server.client() as client:
        password = LoginRequest.Password(user_name=user, password=_password(from_stdin=password_stdin))
        answer = client.users.login(password=password, client_name="weir-cli")
    save(server, answer.tokens)
    if as_json:
        show_json(answer.user)
    else:
        click.echo(f"signed in to {address} as {answer.user.name}")


@click.command()
@as_json
def logout(*, as_json: bool) -> None:
    """End the session, and forget it."""
    from weir.cli.profile import connected, forget
    from weir.errors import Unauthenticated

    try:
        with connected() as client:
            client.users.logout()
    except Unauthenticated:
        told = "was not signed in any more"
    else:
        told = "signed out"
    forget()
    click.echo(json.dumps({"status": told}) if as_json else told)


def _password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    return os.environ.get("WEIR_PASSWORD") or click.prompt("Password", hide_input=True, err=True)
