"""The source's process as the demo sees it: started, asked for its record, stopped."""

import json
import sys
import urllib.request
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from demo.api import PATH, RECORD_PATH
from demo.environment import clean_environment
from demo.processes import Program
from demo.weather import CLOCK_PATH

_READY_SECONDS = 30.0
_ASK_SECONDS = 10.0


@dataclass(frozen=True)
class Record:
    """Every request that the source got so far: page, and how it was answered."""

    requests: list[tuple[int, str]]

    def answers(self) -> Counter[str]:
        """How often it answered how."""
        return Counter(answer for _, answer in self.requests)

    def again_after(self, earlier: "Record") -> Counter[int]:
        """Pages asked for before that record ended, and again after it."""
        before = {page for page, _ in earlier.requests}
        return Counter(page for page, _ in self.requests[len(earlier.requests) :] if page in before)

    def pages_given(self) -> set[int]:
        """Pages that were answered whole at least once."""
        return {page for page, answer in self.requests if answer in {"ok", "slow"}}


class Source:
    """The API of flights, in a process of its own."""

    def __init__(self, folder: Path, page_size: int, flights: int | None) -> None:
        command = [sys.executable, "-m", "demo.api", "--page-size", str(page_size)]
        command += ["--flights", str(flights)] if flights is not None else []
        self._program = Program(command, folder / "api.log", clean_environment())
        self.base_url = ""

    def wait(self) -> None:
        """Wait until it serves."""
        self.base_url = f"http://127.0.0.1:{self._program.ready(_READY_SECONDS)}"

    def record(self) -> Record:
        """What it was asked so far."""
        return Record([(page, answer) for page, answer in self._told()["requests"]])

    def planned(self) -> dict[str, int]:
        """How many answers of each kind of fault it has in mind."""
        return self._told()["planned"]

    def first_page(self) -> str:
        """Where a person may look at it."""
        return f"{self.base_url}{PATH}?page=1&per_page=3"

    def set_clock(self, now: str, *, is_corrected: bool = False) -> None:
        """Let it give what lies before `now` of its weather, corrected or not."""
        query = urlencode({"now": now} | ({"corrected": "1"} if is_corrected else {}))
        url = f"{self.base_url}{CLOCK_PATH}?{query}"
        urllib.request.urlopen(url, timeout=_ASK_SECONDS).close()  # noqa: S310  its own

    def stop(self) -> None:
        """End it."""
        self._program.stop()

    def _told(self) -> dict[str, Any]:
        with urllib.request.urlopen(self.base_url + RECORD_PATH, timeout=_ASK_SECONDS) as answer:  # noqa: S310  its own
            return json.load(answer)
