"""A submitted task's way through the code: the ten steps, in the files that the architecture names.

Each step is a file and what stands in it that hands the task on. A step that moves is moved here, and in
docs/architecture.md.
"""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

STEPS = [
    ("protos/weir/v1/task_service.proto", "rpc SubmitTask(SubmitTaskRequest) returns (SubmitTaskResponse)"),
    ("sdk/weir/aio/task_service.py", "async def submit_task"),
    ("server/weir_server/interceptors/wrap.py", "class Wrap"),
    ("server/weir_server/rpc/task_service.py", "self._tasks.submit("),
    ("server/weir_core/tasks/service.py", "await store_one(tx, made)"),
    ("server/weir_core/tasks/hot_repository.py", "async def insert_tasks"),
    ("server/weir_core/queue.py", "async def hint"),
    ("workers/weir_workers/supervisor.py", "self._execution.claim("),
    ("workers/weir_workers/handlers/runner.py", "await definition.handler(given, context)"),
    ("workers/weir_workers/recorder.py", "self._execution.report("),
    ("server/weir_core/events.py", "async def append"),
    ("server/weir_core/tasks/execution.py", "async def finish"),
    ("server/weir_server/rpc/task_service.py", "self._hub.watch("),
]


@pytest.mark.parametrize("file,text", STEPS)
def test_each_step_stands_where_the_architecture_says(file: str, text: str):
    assert text in (ROOT / file).read_text()


def test_commit_comes_before_notice():
    submit = _function("server/weir_core/tasks/service.py", "submit")
    assert submit.index("self._db.write(work)") < submit.index("self.started(stored)")


def test_sql_stands_only_in_repositories():
    found = [
        str(path.relative_to(ROOT))
        for package in ("server/weir_core", "server/weir_server", "workers/weir_workers")
        for path in (ROOT / package).rglob("*.py")
        if "repository" not in path.name
        and path.name not in {"columns.py", "db.py"}
        and re.search(r"from sqlalchemy import .*\b(select|insert|update|delete)\b", path.read_text())
    ]
    assert found == []


def test_stream_keys_stand_only_where_streams_do():
    owners = {"events.py", "queue.py", "signals.py", "pubsub.py"}
    found = [
        str(path.relative_to(ROOT))
        for package in ("server", "workers/weir_workers")
        for path in (ROOT / package).rglob("*.py")
        if path.name not in owners
        and re.search(r"\.(xadd|xreadgroup|xautoclaim|xrange|xtrim|pubsub)\(", path.read_text())
    ]
    assert found == []


def _function(file: str, name: str) -> str:
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, ast.AsyncFunctionDef) and node.name == name:
            return ast.unparse(node)
    raise AssertionError(f"{file} has no {name}")
