"""The story from beginning to end, each part a function."""

import json
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

import weir
from demo.environment import clean_environment
from demo.fingerprint import Fingerprint
from demo.flights import COLUMNS
from demo.following import Follower
from demo.processes import ROOT
from demo.received import of_batches, wrong_types
from demo.screen import Screen
from demo.source import Source
from demo.system import Settings, System
from demo.verdict import Evidence, checks
from weir.types import SyncMode

PAGE_SIZE = 2_000
_EXPECTED_SECONDS = 60.0
_SHOWN = ("time_hour", "carrier", "flight", "origin", "dest", "dep_delay", "tailnum")


@dataclass(frozen=True)
class Options:
    """How the story is told."""

    flights: int | None = None
    settings: Settings = field(default_factory=Settings)


class Story:
    """One telling, in a folder of its own."""

    def __init__(self, screen: Screen, folder: Path, options: Options) -> None:
        self._screen = screen
        self._folder = folder
        self._options = options
        self._began = time.monotonic()

    def tell(self) -> bool:
        """Whether all of it was true. What was started is stopped in any case."""
        self._screen.say("Weir: collect a year of flights, kill the worker, lose nothing.", "bold")
        with ExitStack() as started:
            expected = Expected(self._options.flights)
            started.callback(expected.stop)
            source = Source(self._folder, PAGE_SIZE, self._options.flights)
            started.callback(source.stop)
            system = System(self._folder, self._options.settings)
            started.callback(system.stop)
            self._start(source, system)
            with system.client() as client:
                seen = self._collect(client, source, system, expected)
        return self._judge(seen)

    def _start(self, source: Source, system: System) -> None:
        screen, settings = self._screen, self._options.settings
        screen.step("A source: a web API with the flights that left New York in 2013")
        source.wait()
        planned = ", ".join(f"{fault} {count} times" for fault, count in source.planned().items())
        screen.tell(f"{PAGE_SIZE:,} flights a page, as JSON: {source.first_page()}")
        screen.tell(f"Like real ones it has bad moments, always at the same pages: {planned}.")
        screen.step("A whole Weir: server, worker, scheduler, SQLite and a private Redis, by `weir up`")
        system.wait()
        screen.tell(f"Ready at {system.address} after {time.monotonic() - self._began:.1f} s.")
        screen.tell(
            f"To be quick, a worker counts as lost after {settings.lease_seconds} s of silence (usually 15), "
            f"and a segment has {settings.segment_rows:,} records (usually 131,072)."
        )

    def _collect(self, client: weir.Client, source: Source, system: System, expected: "Expected") -> Evidence:
        run = self._begin(client, source)
        total = expected.wait()
        self._screen.step("Watch it live, and kill its worker on the way")
        with self._screen.bar(total.records) as bar:
            followed = Follower(run, system, source, self._screen).follow(bar)
        done = run.result()
        history = [event.seq for event in client.tasks.list_task_events(run.id, page_size=1000)]
        read, wrong = self._read_back(client, run.dataset_id)
        return Evidence(
            expected=total,
            read=read,
            wrong_columns=wrong,
            run=done,
            followed=followed,
            history=history,
            record=source.record(),
            planned=source.planned(),
            page_size=PAGE_SIZE,
        )

    def _begin(self, client: weir.Client, source: Source) -> weir.RunHandle:
        self._screen.step("Describe the source, and start collecting it")
        connection = client.collections.create_connection(
            name="flights-api",
            connector="http",
            settings={"base_url": source.base_url},
            # The source is on this machine, which a connection may reach only if it says so.
            allow_private_addresses=True,
        ).connection
        collection = client.collections.create_collection(
            name="flights",
            connection_id=connection.id,
            settings=_collection_settings(),
            mode=SyncMode.SYNC_MODE_FULL,
        ).collection
        run = client.collections.run(collection.id)
        self._screen.tell("Signed in as admin; connection `flights-api`, collection `flights`, 19 columns.")
        self._screen.tell(f"The run is a task like any other: {run.id}")
        return run

    def _read_back(self, client: weir.Client, dataset_id: str) -> tuple[Fingerprint, list[str]]:
        self._screen.step("Read every record back, as Arrow batches")
        began = time.monotonic()
        table = client.collections.read_arrow(dataset_id)
        seconds = time.monotonic() - began
        self._screen.tell(f"{table.num_rows:,} records, {table.nbytes / 1e6:.0f} MB, in {seconds:.1f} s:")
        for line in _first_rows(table):
            self._screen.tell(f"  {line}")
        return of_batches(table.to_batches()), wrong_types(table.schema)

    def _judge(self, seen: Evidence) -> bool:
        screen, all_checks = self._screen, checks(seen)
        screen.step("Was it all true?")
        for check in all_checks:
            text = check.sentence if check.holds else f"{check.sentence}: NO, {check.found}"
            screen.tell(f"{'✓' if check.holds else '✗'} {text}", "" if check.holds else "bold red")
        self._sum_up(seen)
        return all(check.holds for check in all_checks)

    def _sum_up(self, seen: Evidence) -> None:
        committed, others = seen.asked_again
        answers = ", ".join(f"{count} {answer}" for answer, count in seen.record.answers().items())
        lines = {
            "segments": f"{seen.run.counters.segments}",
            "requests to the source": f"{len(seen.record.requests)} for {seen.pages} pages ({answers})",
            "events seen": f"{len(seen.followed.numbers)}",
            "records expected": f"{seen.expected.records:,}",
            "records read": f"{seen.read.records:,}",
            "checksum expected": seen.expected.checksum,
            "checksum read": seen.read.checksum,
            "pages asked again after the kill": (
                f"{committed} of committed segments, {others} of the segment that was being gathered"
            ),
            "seconds": f"{time.monotonic() - self._began:.1f}",
        }
        screen = self._screen
        screen.say()
        for name, value in lines.items():
            screen.say(f"{name:<34}{value}")


class Expected:
    """Count and checksum of the CSV, computed by a process of its own that has nothing of Weir in it."""

    def __init__(self, flights: int | None) -> None:
        command = [sys.executable, "-m", "demo.expected", *([str(flights)] if flights is not None else [])]
        self._process = subprocess.Popen(command, cwd=ROOT, env=clean_environment(), stdout=subprocess.PIPE)

    def wait(self) -> Fingerprint:
        """The result."""
        said, _ = self._process.communicate(timeout=_EXPECTED_SECONDS)
        if self._process.returncode:
            raise RuntimeError("the checksum of the CSV could not be computed; its error stands above")
        return Fingerprint(**json.loads(said))

    def stop(self) -> None:
        """End it, where it still runs."""
        self._process.kill()
        self._process.wait()


def _collection_settings() -> dict[str, Any]:
    return {
        "path": "/flights",
        "records_path": "flights",
        "pagination": {"kind": "page", "page_size": PAGE_SIZE, "total_path": "total"},
        "columns": [{"name": name, "type": kind, "nullable": missing} for name, kind, missing in COLUMNS],
    }


def _first_rows(table: pa.Table) -> list[str]:
    rows = table.select(list(_SHOWN)).slice(0, 3).to_pylist()
    return ["  ".join(f"{name} {row[name]}" for name in _SHOWN) for row in rows]
