"""Steps of `make lint` go red on what they are for, in a copy of the checkout."""

import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PACKAGES = ("sdk/weir", "server/weir_core", "server/weir_server", "workers/weir_workers")


class Checkout:
    """A copy of what the steps read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for part in (*PACKAGES, "migrations", "protos", "tools"):
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("buf.yaml", "pyproject.toml"):
            shutil.copyfile(ROOT / name, folder / name)

    def replace(self, file: str, old: str, new: str) -> None:
        """Change a file in one place."""
        text = (self.folder / file).read_text()
        assert text.count(old) >= 1, f"{file} has no {old!r}"
        (self.folder / file).write_text(text.replace(old, new, 1))

    def append(self, file: str, text: str) -> None:
        with (self.folder / file).open("a") as opened:
            opened.write(text)

    def red(self, program: str, *arguments: str) -> str:
        """What a step says, which must fail."""
        paths = [str(self.folder / package.partition("/")[0]) for package in PACKAGES]
        ended = subprocess.run(
            [BIN / program, *arguments],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert ended.returncode == 1, ended.stdout + ended.stderr
        return ended.stdout + ended.stderr


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


class TestMain:
    def test_runs_every_step_to_its_end_and_is_red_if_one_is(
        self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ):
        lint = import_module("tools.lint")
        bad = ["python", "-c", "print('this is why'); raise SystemExit(7)"]
        good = ["python", "-c", "print('not to be seen')"]
        monkeypatch.setattr(sys, "argv", ["lint"])
        monkeypatch.setattr(lint, "_STEPS", {"first": bad, "second": good})
        assert lint.main() == 1
        said = capfd.readouterr()
        assert [line.split()[1:3] for line in said.out.splitlines() if line.startswith("lint:")] == [
            ["first", "FAILED"],
            ["second", "ok"],
        ]
        assert "this is why" in said.out
        assert "not to be seen" not in said.out
        assert said.err == "lint: first failed\n"


class TestLayers:
    def test_the_core_knows_no_grpc_and_the_processes_never_meet(self, checkout: Checkout):
        checkout.append("server/weir_core/tasks/states.py", "\nimport grpc\n")
        checkout.append("workers/weir_workers/lease.py", "\nimport weir_server.app\n")
        checkout.append("sdk/weir/times.py", "\nimport weir_core.ids\n")
        said = checkout.red("lint-imports", "--no-logo", "--no-cache")
        assert "weir_core.tasks.states -> grpc" in said
        assert "weir_workers.lease -> weir_server.app" in said
        assert "weir.times -> weir_core.ids" in said


class TestContract:
    def test_an_rpc_without_an_access_option_is_named(self, checkout: Checkout):
        checkout.replace(
            "protos/weir/v1/system_service.proto",
            "  // Says how the parts are",
            "  // Says how the parts are now.\n"
            "  rpc GetStatusNow(GetStatusNowRequest) returns (GetStatusNowResponse);\n\n"
            "  // Says how the parts are",
        )
        checkout.append(
            "protos/weir/v1/system_service.proto",
            "\n// Request of GetStatusNow.\nmessage GetStatusNowRequest {}\n"
            "\n// Response of GetStatusNow.\nmessage GetStatusNowResponse {}\n",
        )
        said = checkout.red("python", "-m", "tools.gen", "--check")
        assert "weir.v1.SystemService.GetStatusNow: no (weir.v1.access) option says who may call it" in said

    def test_generated_code_that_was_changed_or_left_behind_is_named(self, checkout: Checkout):
        checkout.append("sdk/weir/methods.py", "# by hand\n")
        checkout.append("sdk/weir/aio/records.py", "LATE = 1\n")
        said = checkout.red("python", "-m", "tools.gen", "--check")
        assert said.strip() == "stale, run `make gen`: sdk/weir/blocking/records.py, sdk/weir/methods.py"

    def test_a_field_without_a_comment_is_named(self, checkout: Checkout):
        checkout.replace(
            "protos/weir/v1/system.proto", "  // Name.\n  string name = 1;", "  string name = 1;"
        )
        said = checkout.red("python", "-m", "tools.gen", "--check")
        assert "system.proto" in said
        assert 'Field "name" should have a non-empty comment' in said


class TestMigrations:
    def test_a_column_without_a_migration_is_named(self, checkout: Checkout):
        slots = 'Column("slots", Integer, nullable=False)'
        colour = slots.replace("slots", "colour")
        checkout.replace("server/weir_core/fleet/models.py", slots, f"{slots},\n    {colour}")
        said = checkout.red("python", "-m", "tools.lint", "migrations")
        assert "add_column" in said
        assert "colour" in said
        assert 'make revision m="what changed"' in said
