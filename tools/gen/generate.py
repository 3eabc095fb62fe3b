"""Writes what is generated into a folder that looks like `sdk/`, or compares it with `sdk/`."""

import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tools.gen.blocking import HAND_WRITTEN, make_blocking
from tools.gen.image import (
    ROOT,
    GenerationError,
    build_image,
    contract_files,
    run_protoc,
    without_rules_import,
)

SDK = ROOT / "sdk"
GENERATED = (
    "weir/v1/*.py*",
    "weir/methods.py",
    "weir/types.py",
    "weir/aio/*_service.py",
    "weir/blocking/*.py",
)


def write() -> None:
    """Replaces what is generated in the SDK."""
    with TemporaryDirectory() as folder:
        made = Path(folder)
        _generate(made)
        for name in _generated_in(SDK) - _generated_in(made):
            (SDK / name).unlink()
        for name in sorted(_generated_in(made)):
            (SDK / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(made / name, SDK / name)


def check() -> None:
    """Raises GenerationError naming the files that are not what the protos give."""
    with TemporaryDirectory() as folder:
        made = Path(folder)
        _generate(made)
        names = sorted(_generated_in(made) | _generated_in(SDK))
        stale = [f"sdk/{name}" for name in names if not _same(made / name, SDK / name)]
    if stale:
        raise GenerationError(f"stale, run `make gen`: {', '.join(stale)}")


def _generated_in(folder: Path) -> set[str]:
    found = {path.relative_to(folder).as_posix() for glob in GENERATED for path in folder.glob(glob)}
    return found - {f"weir/blocking/{name}" for name in HAND_WRITTEN}


def _generate(out: Path) -> None:
    _write_messages(out)
    _write_clients(out)
    shutil.copytree(SDK / "weir/aio", out / "weir/aio", ignore=_generated_clients, dirs_exist_ok=True)
    make_blocking(out / "weir/aio", out / "weir/blocking")
    _tidy(out)


def _write_messages(out: Path) -> None:
    image = out / "image.binpb"
    image.write_bytes(without_rules_import(build_image()).SerializeToString())
    everything, services = contract_files(), [name for name in contract_files() if "_service." in name]
    run_protoc(
        f"--descriptor_set_in={image}",
        f"--plugin=protoc-gen-mypy={_script('protoc-gen-mypy')}",
        f"--python_out={out}",
        f"--mypy_out=relax_strict_optional_primitives,quiet:{out}",
        *everything,
    )
    run_protoc(
        f"--descriptor_set_in={image}",
        f"--plugin=protoc-gen-mypy_grpc={_script('protoc-gen-mypy_grpc')}",
        f"--grpc_python_out={out}",
        f"--mypy_grpc_out=quiet:{out}",
        *services,
    )
    (out / "weir/v1/__init__.py").write_text('"""Messages and stubs of the contract, generated."""\n')


def _write_clients(out: Path) -> None:
    """The plugin needs the whole image: what an argument must be stands in the validation rules."""
    image = out / "whole.binpb"
    image.write_bytes(build_image().SerializeToString())
    plugin = out / "protoc-gen-weir"
    plugin.write_text(f'#!/bin/sh\ncd "{ROOT}" && exec "{sys.executable}" -m tools.gen.plugin\n')
    plugin.chmod(0o700)
    own = [name for name in contract_files() if not name.endswith("/annotations.proto")]
    run_protoc(
        f"--descriptor_set_in={image}", f"--plugin=protoc-gen-weir={plugin}", f"--weir_out={out}", *own
    )


def _tidy(out: Path) -> None:
    """Unused imports, order and line breaks are ruff's business, not the templates'."""
    folders = [str(out / "weir" / part) for part in ("aio", "blocking", "methods.py", "types.py")]
    config = ["--config", str(ROOT / "pyproject.toml"), "--no-cache", "--quiet"]
    for command in (
        ["check", "--fix", "--select", "F401,I,RUF022,UP028", "--unsafe-fixes", *config],
        ["format", *config],
    ):
        done = subprocess.run(
            [str(_script("ruff")), *command, *folders],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            raise GenerationError(done.stdout + done.stderr)


def _generated_clients(_folder: str, names: list[str]) -> set[str]:
    return {name for name in names if name.endswith("_service.py") or name == "__pycache__"}


def _script(name: str) -> Path:
    return Path(sys.executable).with_name(name)


def _same(made: Path, kept: Path) -> bool:
    return made.is_file() and kept.is_file() and made.read_bytes() == kept.read_bytes()
