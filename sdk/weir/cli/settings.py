"""Values on the command line: secrets by the environment variable they stand in, cursors as meant."""

import os

import click


def secret(text: str) -> tuple[str, str]:
    """NAME=VARIABLE as the secret's name and its value."""
    name, _, variable = text.partition("=")
    if not variable or variable not in os.environ:
        raise click.UsageError(
            f"--secret {name}=VARIABLE: names an environment variable that is set, so that no secret stands "
            "in the list of processes"
        )
    return name, os.environ[variable]


def cursor_value(text: str) -> str | int | float:
    """A number where it is one, else the text."""
    try:
        return int(text) if text.lstrip("-").isdigit() else float(text)
    except ValueError:
        return text
