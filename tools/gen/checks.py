"""buf's checks of the contract, run offline on the compiled image."""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tools.gen.image import PROTOS, ROOT, GenerationError, build_image


def lint() -> None:
    """Fails on a broken rule of buf.yaml and on a file that `buf format` would change."""
    with TemporaryDirectory() as folder:
        image = Path(folder, "image.binpb")
        save_image(image)
        _buf("lint", str(image), *_contract_only())
    _buf("format", str(PROTOS.relative_to(ROOT)), "--diff", "--exit-code")


def breaking(against: Path) -> None:
    """Fails when a client built from the older image would no longer work."""
    with TemporaryDirectory() as folder:
        image = Path(folder, "image.binpb")
        save_image(image)
        _buf("breaking", str(image), "--against", str(against.resolve()), *_contract_only())


def save_image(path: Path) -> None:
    """Writes the compiled contract."""
    path.write_bytes(build_image().SerializeToString())


def _contract_only() -> list[str]:
    """Else buf would judge google's and protovalidate's files too, which are in the image."""
    return ["--config", str(ROOT / "buf.yaml"), "--path", "weir"]


def _buf(*arguments: str) -> None:
    command = [str(Path(sys.executable).with_name("buf")), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise GenerationError((done.stdout + done.stderr).strip())
