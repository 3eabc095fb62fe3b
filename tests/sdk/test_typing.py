import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WRONG = """
from weir import Client
with Client() as weir:
    task = weir.tasks.submit("demo.add", {}, queue=3)
    print(weir.tasks.get_task(task.id).task.stat)
    for event in task.watch(kinds=["everything"]):
        print(event.seq)
    weir.collections.create_connection(connector="http")
"""


def pyright(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    """In strict mode as a user has it: without the project's own exceptions."""
    (folder / "program.py").write_text(program)
    (folder / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--project", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=folder)


@pytest.mark.timeout(300)
class TestTyping:
    def test_a_program_with_the_sdk_is_strictly_typed(self, tmp_path: Path):
        checked = pyright(tmp_path, (ROOT / "tests/sdk/typed_program.py").read_text())
        assert checked.returncode == 0, checked.stdout

    def test_its_mistakes_are_seen(self, tmp_path: Path):
        checked = pyright(tmp_path, WRONG)
        for hint in ('parameter "queue"', 'attribute "stat"', "everything", 'parameter "name"'):
            assert hint in checked.stdout
