# pyright: basic, reportMissingImports=false, reportMissingModuleSource=false, reportFunctionMemberAccess=false
"""Celery's side of `drain`, run by an environment of its own that `make bench` installs.

A task makes the two writes that Weir makes for one: claimed, then ended, each committed on its own.

    celery -A tests.bench.celery_app worker     the worker
    python -m tests.bench.celery_app            publishes the ids that it reads while the worker looks away
"""

import json
import os
import sys
import time
from typing import Any

import pymysql
from celery import Celery
from celery.signals import worker_process_init

_CLAIM = (
    "UPDATE task SET state = 6, attempt = attempt + 1, start_time = %s "
    "WHERE id = %s AND attempt = 0 AND state = 5"
)
_END = "UPDATE task SET state = 7, output = '{}', end_time = %s WHERE id = %s AND attempt = 1 AND state = 6"
_QUEUE = "drained"

app = Celery("bench", broker=os.environ.get("BENCH_BROKER"))
app.conf.update(task_ignore_result=True, task_default_queue=_QUEUE, worker_enable_remote_control=True)
_connections: list[Any] = []


@worker_process_init.connect
def connect(**_: Any) -> None:
    """One connection a process, which commits each statement."""
    place = json.loads(os.environ["BENCH_DATABASE"])
    _connections.append(pymysql.connect(**place, autocommit=True))


@app.task(name="bench.two_writes")
def two_writes(task_id: str) -> None:
    """Claim a row, do nothing, end it."""
    with _connections[0].cursor() as cursor:
        for statement in (_CLAIM, _END):
            assert cursor.execute(statement, (time.time_ns() // 1000, bytes.fromhex(task_id))) == 1


def main() -> None:
    """Publish while the worker looks away, then let it begin; says `begun` with the time."""
    app.control.cancel_consumer(_QUEUE, reply=True)
    with app.pool.acquire(block=True) as connection, app.amqp.Producer(connection) as producer:
        for line in sys.stdin:
            two_writes.apply_async((line.strip(),), producer=producer)
    print(f"begun {time.time()}", flush=True)
    app.control.add_consumer(_QUEUE, reply=True)


if __name__ == "__main__":
    main()
