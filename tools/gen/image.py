"""Compiles the contract into one descriptor set, which buf and the generators read.

`buf/validate/validate.proto` is in no package: its descriptor comes from the installed protovalidate.
Generated modules must not import it either, since two copies of that file in one process clash; the rules
stay in the options' bytes, where protovalidate finds them.
"""

import subprocess
import sys
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

ROOT = Path(__file__).parents[2]
PROTOS = ROOT / "protos"
RULES = "buf/validate/validate.proto"


class GenerationError(Exception):
    """The contract does not compile, a check of it failed, or what was generated is stale."""


def contract_files() -> list[str]:
    """Names of the contract's files, as they import each other."""
    return sorted(path.relative_to(PROTOS).as_posix() for path in PROTOS.rglob("*.proto"))


def build_image() -> FileDescriptorSet:
    """The contract with all it imports and its comments."""
    with TemporaryDirectory() as folder:
        rules = Path(folder, "rules.binpb")
        rules.write_bytes(FileDescriptorSet(file=[_rules_descriptor()]).SerializeToString())
        image = Path(folder, "image.binpb")
        run_protoc(
            f"--descriptor_set_in={rules}",
            f"--proto_path={PROTOS}",
            f"--proto_path={files('grpc_tools') / '_proto'}",
            # googleapis-common-protos brings google.rpc as source too.
            f"--proto_path={Path(str(files('google.rpc').joinpath('status.proto'))).parents[2]}",
            f"--descriptor_set_out={image}",
            "--include_imports",
            "--include_source_info",
            "--fatal_warnings",
            *contract_files(),
        )
        return FileDescriptorSet.FromString(image.read_bytes())


def without_rules_import(image: FileDescriptorSet) -> FileDescriptorSet:
    """The same image in which nothing imports the proto of the validation rules."""
    kept = FileDescriptorSet(file=[file for file in image.file if file.name != RULES])
    for file in kept.file:
        names = [name for name in file.dependency if name != RULES]
        del file.dependency[:]
        file.dependency.extend(names)
    return kept


def run_protoc(*arguments: str) -> None:
    """Runs the protoc that grpcio-tools carries."""
    command = [sys.executable, "-m", "grpc_tools.protoc", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise GenerationError(done.stderr.replace(f"{ROOT}/", "").strip())


def _rules_descriptor() -> FileDescriptorProto:
    carried = import_module("protovalidate._gen.buf.validate.validate_pb")
    return FileDescriptorProto.FromString(carried._DESC.proto.to_binary())  # noqa: SLF001  no public way
