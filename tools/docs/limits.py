"""What has a bound: how much, and what happens at it. The numbers come from where they are obeyed."""

from datetime import timedelta
from importlib import import_module
from typing import Any, Final

from tools.docs.markdown import size, span, table
from weir_core.datasets.segments import Limits as SegmentLimits
from weir_core.files.models import FileLimits
from weir_core.users.throttle import SignInThrottle


def limits() -> str:
    """All of them, by what they are about."""
    rows = [*_calls(), *_tasks(), *_events(), *_collections(), *_people(), *_processes()]
    return table(("what", "at most", "then"), rows)


_REFUSED: Final = "`QUOTA_EXCEEDED`"
_INVALID: Final = "`FIELD_INVALID`"
_Rows = list[tuple[str, str, str]]


def _calls() -> _Rows:
    server, grpc = "weir_server.interceptors", dict(_of("weir_server.app", "_OPTIONS"))
    text = "weir_core.filtering"
    submit = _of(f"{server}.call", "_LARGE")["/weir.v1.TaskService/SubmitTask"]
    return [
        (
            "gRPC message",
            size(grpc["grpc.max_receive_message_length"]),
            "gRPC refuses it: a bare RESOURCE_EXHAUSTED",
        ),
        ("request of SubmitTask", size(submit), _REFUSED),
        ("any other request", size(_of(f"{server}.call", "_SMALL")), _REFUSED),
        ("depth of JSON in a request", str(_of(f"{server}.json_values", "DEPTH")), _INVALID),
        ("JSON values in a request", f"{_of(f'{server}.json_values', 'VALUES'):,}", _INVALID),
        ("answer", "3 MiB", "the page ends before it; its token leads on"),
        (
            "entries of a page",
            f"{_of('weir_core.paging', 'LARGEST_SIZE'):,}",
            f"a larger `page_size` is lowered; 0 means {_of('weir_core.paging', 'DEFAULT_SIZE')}",
        ),
        (
            "tasks of a page in the FULL view",
            str(_of("weir_server.rpc.task_service", "_WHOLE")),
            "as above",
        ),
        (
            "life of a page token",
            span(timedelta(seconds=_of("weir_core.paging", "_LIFE_SECONDS"))),
            "`PAGE_TOKEN_INVALID`",
        ),
        (
            "filter",
            f"{_of(text, '_MAX_LENGTH'):,} characters, {_of(text, '_MAX_TERMS')} terms",
            "`FILTER_INVALID`",
        ),
        (
            "time of a unary call",
            span(timedelta(seconds=_of(f"{server}.deadline", "SECONDS"))),
            "`DEADLINE`; a `wait` in the request adds to it",
        ),
        (
            "unary calls of a server at a time",
            f"{_of(f'{server}.admission', 'UNARY_CALLS'):,}",
            "`RATE_LIMITED`",
        ),
        ("streams of a server at a time", f"{_of(f'{server}.admission', 'STREAMS'):,}", "`RATE_LIMITED`"),
        (
            "streams of a connection at a time",
            str(grpc["grpc.max_concurrent_streams"]),
            "gRPC waits; the SDK opens another connection",
        ),
        (
            "age of a connection",
            span(timedelta(milliseconds=grpc["grpc.max_connection_age_ms"])),
            "it is closed; the SDK reconnects and resumes",
        ),
    ]


def _failed(code: str) -> str:
    return f"the handler gets a TaskFailure: USER_ERROR, code `{code}`"


def _tasks() -> _Rows:
    return [
        ("input of a task", size(_of("weir_core.tasks.validation", "MAX_INPUT")), _INVALID),
        ("references to secrets in an input", str(_of("weir_core.tasks.references", "MOST")), _INVALID),
        (
            "output of a task",
            size(_of("weir_workers.handlers.results", "_MAX_OUTPUT")),
            "it becomes a file, which the SDK follows",
        ),
        ("output of a task, as a file", "`WEIR_RESULT_BYTES`", _failed("output.size")),
        (
            "output that the SDK takes into memory",
            size(_of("weir.outcome", "LARGEST_RESULT")),
            "`ResultTooLarge`",
        ),
        ("one file of a task", "`WEIR_FILE_BYTES`", _failed("artifact.size")),
        ("all files of a task", "`WEIR_TASK_FILE_BYTES`", _failed("artifact.total")),
        ("files of a task", f"{FileLimits(1, 1, 1).count:,}", _failed("artifact.count")),
        (
            "files that a worker stores at a time",
            str(_of("weir_core.files.service", "_AT_ONCE")),
            "further ones wait",
        ),
        (
            "attempts shown with a task",
            f"{_of('weir_core.tasks.hot_repository', 'NEWEST_ATTEMPTS')}",
            "the newest ones",
        ),
        (
            "stack trace of a failure",
            size(_of("weir_workers.handlers.failures", "_STACK")),
            "its end is kept",
        ),
        (
            "errors in the chain of a failure",
            str(_of("weir_workers.handlers.failures", "_CAUSES")),
            "the first ones are kept",
        ),
        (
            "hints waiting in a queue's stream",
            f"{_of('weir_core.queue', '_LONGEST'):,}",
            "the oldest go; the scheduler hints again",
        ),
    ]


def _events() -> _Rows:
    events = "weir_core.tasks.events"
    return [
        ("log line", size(_of(events, "_TEXT")), "cut, and marked `[cut]`"),
        (
            "log lines of an attempt",
            f"{_of(events, '_LINES'):,}",
            "further ones are dropped; a log line says so",
        ),
        (
            "log lines waiting at the worker",
            f"{_of(events, '_BACKLOG'):,}",
            "dropped and counted; a log line says how many",
        ),
        (
            "log lines with a failure",
            f"{_of(events, '_TAIL_LINES')} and {size(_of(events, '_TAIL_BYTES'))}",
            "the newest are kept",
        ),
        ("progress", "the newest", "what was told before and is not sent yet is replaced"),
        (
            "events kept in a server's memory for its watchers",
            size(_of("weir_core.tasks.watching", "_RECENT_BYTES")),
            "the oldest go; who still needs them reads history: nothing is left out",
        ),
        (
            "one message of WatchTask",
            f"{_of(events, '_STRETCH_EVENTS')} events, {size(_of(events, '_STRETCH_BYTES'))}",
            "the next message; a single larger event has one of its own",
        ),
        (
            "changes waiting for a watcher of many tasks",
            f"{_of('weir_core.tasks.news', '_MOST'):,}",
            "they go; the tasks that changed come as they are now",
        ),
        (
            "snapshot of WatchTasks",
            f"{_of('weir_core.tasks.change_reading', '_LARGEST_SNAPSHOT'):,} tasks",
            "`QUOTA_EXCEEDED`; narrow the filter",
        ),
        (
            "life of a running attempt's stream in Redis",
            span(timedelta(seconds=_of("weir_core.events", "_LIFE_SECONDS"))),
            "it is written anew; what is archived is in the database",
        ),
    ]


def _collections() -> _Rows:
    segment, bucket = SegmentLimits(), "weir_core.stores.s3_bucket"
    return [
        (
            "one answer of a source",
            size(_of("weir_workers.connectors.fetch", "MAX_BODY")),
            "the run fails: RESOURCE",
        ),
        (
            "redirects of a source",
            str(_of("weir_workers.connectors.fetch", "_MAX_REDIRECTS")),
            "the run fails: INVALID_INPUT",
        ),
        (
            "file that is read whole: JSON, Excel, packed Parquet",
            size(_of("weir_workers.connectors.files_formats", "WHOLE")),
            "the run fails: INVALID_INPUT",
        ),
        (
            "line of a file",
            size(_of("weir_workers.connectors.files_lines", "LONGEST")),
            "it goes to quarantine, cut",
        ),
        (
            "files of a run",
            f"{_of('weir_workers.connectors.files_places', 'MAX_FILES'):,}",
            "the run fails: INVALID_INPUT",
        ),
        (
            "rows of a table without key that have one cursor value",
            f"{_of('weir_workers.connectors.sql_reading', '_MOST_EQUAL'):,}",
            "the run fails: INVALID_INPUT",
        ),
        (
            "columns of a dataset",
            f"{_of('weir_workers.connectors.infer', 'MAX_COLUMNS'):,}",
            "the run fails: INVALID_INPUT",
        ),
        (
            "segment",
            f"`WEIR_SEGMENT_ROWS` records, {size(segment.bytes)} or {segment.seconds:g}s",
            "it is committed, and the next begins",
        ),
        (
            "call to a bucket",
            f"{_of(bucket, 'TRIES')} times {_of(bucket, 'READ_SECONDS'):g}s of silence",
            "`DEPENDENCY_DOWN`; a run waits and tries again",
        ),
        (
            "part of a large file on its way to a bucket",
            size(_of("weir_core.stores.s3", "_PART")),
            "the next part; a part is in memory while it is sent",
        ),
        ("record in quarantine", size(_of("weir_core.datasets.commits", "MAX_RAW")), "cut, and marked"),
        (
            "segments that become one",
            f"{_of('weir_core.datasets.grouping', '_MOST_TOGETHER'):,}, as large together as a segment",
            "the others become a further one",
        ),
        ("versions that were replaced", "1h", "removed; reading them is `POSITION_EXPIRED`"),
    ]


def _people() -> _Rows:
    throttle = SignInThrottle()
    return [
        (
            "wrong sign-ins from one address",
            _tries(throttle, "_addresses"),
            "`RATE_LIMITED`, with the time to wait",
        ),
        (
            "wrong sign-ins for one name from one address",
            _tries(throttle, "_accounts"),
            "`RATE_LIMITED`; the name can sign in from elsewhere",
        ),
        ("password", "12 to 256 characters", _INVALID),
        (
            "life of an API key",
            span(_of("weir_core.users.keys", "_LIFE")),
            "what a key gets that names no `expire_time`",
        ),
        ("until a revocation counts everywhere", "2s", "open streams end as well"),
    ]


def _processes() -> _Rows:
    log = "weir_server.embedded.log_pipe"
    return [
        (
            "read of the database",
            span(timedelta(seconds=_of("weir_core.db", "_READ_SECONDS"))),
            "`DEPENDENCY_DOWN`",
        ),
        (
            "transaction",
            span(timedelta(seconds=_of("weir_core.db", "_WRITE_SECONDS"))),
            "`DEPENDENCY_DOWN`; one that meets another is repeated 3 times, then `CONFLICT`",
        ),
        (
            "connections to MySQL of a process",
            "16, and 1 for a worker's lease",
            "calls wait 5 s for one, then `DEPENDENCY_DOWN`",
        ),
        ("HTTP connections at a time", str(_of("weir_server.http_port", "_CONNECTIONS")), "closed"),
        (
            "free room where data is kept",
            size(_of("weir_core.system.health", "_LITTLE")),
            "below it `storage` is DEGRADED, below 64 MiB DOWN",
        ),
        (
            "log file of `weir up`",
            f"{size(_of(log, '_FILE_BYTES'))}, and {_of(log, '_OLD_FILES')} older ones",
            "the oldest goes",
        ),
    ]


def _tries(throttle: SignInThrottle, name: str) -> str:
    bucket: Any = getattr(throttle, name)
    burst, every = (getattr(bucket, part) for part in ("_burst", "_every"))
    return f"{burst}, then 1 every {every:g}s"


def _of(module: str, name: str) -> Any:
    return getattr(import_module(module), name)
