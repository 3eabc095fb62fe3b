"""`weir login` and `weir logout`."""

import os
import sys

import click


@click.command()
@click.option("--address", envvar="WEIR_ENDPOINT", default="localhost:7443", show_default=True)
@click.option("--user", prompt="User name", envvar="WEIR_USER")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def login(address: str, user: str, *, password_stdin: bool) -> None:
    """Sign in, and stay signed in on this machine."""
    import weir
    from weir.cli.profile import save
    from weir.v1.user_service_pb2 import LoginRequest

    password = _password(from_stdin=password_stdin)
    with weir.Client(address) as client:
        given = LoginRequest.Password(user_name=user, password=password)
        answer = client.users.login(password=given, client_name="weir-cli")
    save(address, answer.tokens)
    click.echo(f"signed in to {address} as {answer.user.name}")


@click.command()
def logout() -> None:
    """End the session, and forget it."""
    from weir.cli.profile import connected, folder

    with connected() as client:
        client.users.logout()
    (folder() / "profile.json").unlink(missing_ok=True)
    click.echo("signed out")


def _password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    return os.environ.get("WEIR_PASSWORD") or click.prompt("Password", hide_input=True)
