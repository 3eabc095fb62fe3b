"""The program as a whole: its help, its status, what it says of the server."""

from tests.fixtures.cli import Weir
from tests.fixtures.up import within
from weir import __version__
from weir.cli.exits import EXITS


def test_help_lists_every_command_with_a_sentence_and_the_exit_statuses(weir_program: Weir):
    ran = weir_program("--help")
    assert ran.status == 0
    for name in (
        *(
            "collections",
            "datasets",
            "db",
            "doctor",
            "keys",
            "login",
            "logout",
            "scheduler",
            "server",
            "status",
        ),
        *("tasks", "up", "users", "worker"),
    ):
        row = next(line for line in ran.out.splitlines() if line.startswith(f"  {name} "))
        assert len(row.split()) > 2
        assert "can't be loaded" not in row
    assert " ".join(ran.out.split()).endswith(EXITS)


def test_help_loads_neither_server_nor_sdk(weir_program: Weir):
    loaded = weir_program("--help", PYTHONPROFILEIMPORTTIME="1").err
    assert "weir.cli.app" in loaded
    for name in ("grpc", "google.protobuf", "pydantic", "sqlalchemy"):
        assert f" {name}\n" not in loaded


def test_version(weir_program: Weir):
    assert weir_program("--version").out == f"weir {__version__}\n"


def test_status_says_how_the_parts_are(weir: Weir):
    # `ready` waits for whoever runs tasks, not for the scheduler.
    within(lambda: weir("status").status == 0)
    ran = weir("status")
    first, *rest = ran.out.splitlines()
    assert first.startswith(f"weir {__version__}: ")
    parts = {row.split()[0]: row.split()[1] for row in rest[rest.index("") + 2 :]}
    assert parts == {"db": "OK", "redis": "OK", "storage": "OK", "scheduler": "OK"}
    assert weir("status", "--json").document["worker_count"] == 1
