"""Log lines of a process: text for people, or one JSON object a line."""

import json
import logging
import sys
import time
from contextvars import ContextVar
from typing import Final

import orjson

from weir_core.config import Settings

request_id: ContextVar[str] = ContextVar("request_id", default="")

_PLAIN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request := request_id.get():
            line["request"] = request
        line |= {key: value for key, value in vars(record).items() if key not in _PLAIN}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        try:
            return orjson.dumps(line, default=str).decode()
        except orjson.JSONEncodeError:
            # A number beyond 64 bits, or text that is no Unicode; slower, and takes both.
            return json.dumps(line, default=str)


class _TextFormatter(logging.Formatter):
    _second: tuple[int, str] = (0, "")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's
        """The time, whose text is the same for a second."""
        second = int(record.created)
        if self._second[0] != second:
            self._second = second, time.strftime(datefmt or "", time.gmtime(second))
        return self._second[1]

    def format(self, record: logging.LogRecord) -> str:
        extra = {key: value for key, value in vars(record).items() if key not in _PLAIN}
        if request := request_id.get():
            extra["request"] = request
        tail = "".join(f" {key}={value}" for key, value in extra.items())
        return super().format(record) + tail


def configure(settings: Settings) -> None:
    """Send this process's log to its standard error."""
    # What no line of ours tells need not be found out for each.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler(sys.stderr)
    if settings.log_format == "json":
        handler.setFormatter(_JsonFormatter())
    else:
        handler.setFormatter(
            _TextFormatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%FT%T")
        )
    logging.basicConfig(level=settings.log_level, handlers=[handler], force=True)
