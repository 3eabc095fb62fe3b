"""What small processes load: each import is memory of theirs, and time before they do anything."""

import json
import subprocess
import sys

import pytest

LOADED = """
import json, sys
import {module}
print(json.dumps([name for name in {heavy} if name in sys.modules]))
"""


@pytest.mark.parametrize(
    "module,heavy",
    [
        ("weir_workers.app", ["pyarrow"]),
        ("weir_workers.connectors.sql_child", ["sqlalchemy", "pydantic", "aiohttp"]),
        ("weir_workers.wards.warden", ["asyncio", "pydantic", "sqlalchemy"]),
    ],
)
def test_it_does_without(module: str, heavy: list[str]):
    program = LOADED.format(module=module, heavy=heavy)
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(told.stdout) == []
