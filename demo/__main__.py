"""`python -m demo`: run it, tell it, and exit 0 only if all of it was true."""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

import weir
from demo import expected, received
from demo.accounts import Accounts
from demo.api import PATH
from demo.fingerprint import Fingerprint
from demo.flights import COLUMNS, NAMES, NoFlights, read_lines, rows
from demo.following import Follower
from demo.hourly import Hourly, collect_weather
from demo.processes import DidNotStart
from demo.screen import Screen
from demo.source import Source
from demo.system import NoWorker, Settings, System
from weir.types import SyncMode

_PAGE_SIZE: Final = 2_000
_SHOWN: Final = ("time_hour", "carrier", "flight", "tailnum", "origin", "dest", "dep_delay", "air_time")


class Demo:
    """The story, step by step."""

    def __init__(self, folder: Path, screen: Screen, flights: int | None) -> None:
        self._folder = folder
        self._screen = screen
        self._flights = flights
        self._schema: pa.Schema | None = None
        self._connection_id = ""

    def run(self) -> list[str]:
        """Run it; what was not true."""
        began, settings = time.monotonic(), Settings()
        with ExitStack() as stack:
            system = System(self._folder, settings)
            stack.callback(system.stop)
            source = Source(self._folder, _PAGE_SIZE, self._flights)
            stack.callback(source.stop)
            self._screen.step("Weir and a source of data start on this machine")
            wanted = expected.of_rows(rows(read_lines(self._flights)))
            source.wait()
            system.wait()
            self._tell_start(system, source, settings, wanted)
            client = stack.enter_context(system.client())
            accounts = self._collect(client, system, source, wanted)
            hourly = collect_weather(client, source, self._screen, self._connection_id)
        self._summary(accounts, hourly, time.monotonic() - began)
        return [*accounts.untrue(), *hourly.untrue]

    def _tell_start(self, system: System, source: Source, settings: Settings, wanted: Fingerprint) -> None:
        planned = ", ".join(f"{count}x {fault}" for fault, count in sorted(source.planned().items()))
        self._screen.tell(f"Weir serves gRPC on {system.address}, on SQLite and a Redis of its own")
        self._screen.tell(f"a web API serves {wanted.records:,} flights: {source.first_page()}")
        self._screen.tell(f"as real ones do, it misbehaves now and then: {planned}")
        self._screen.tell(
            f"for the demo: segments of {settings.segment_rows:,} records, a worker is given up "
            f"after {settings.lease_seconds} s of silence (15 s by default)"
        )

    def _collect(self, client: weir.Client, system: System, source: Source, wanted: Fingerprint) -> Accounts:
        self._screen.step("A connection to the source, and a collection of its flights")
        collection_id = self._describe(client, source)
        self._screen.step("The collection runs; its worker is killed on the way")
        run = client.collections.run(collection_id)
        with self._screen.bar(wanted.records) as bar:
            seen = Follower(run, system, source, self._screen).follow(bar)
        counters = run.get().counters
        self._screen.step("Everything is read back, and compared with the file that the source has it from")
        found = received.of_batches(self._read(client, run.dataset_id))
        schema = self._schema
        return Accounts(
            expected=wanted,
            received=found,
            quarantined=counters.records_quarantined,
            wrong_types=received.wrong_types(schema) if schema is not None else ["nothing was read"],
            seen=seen,
            record=source.record(),
            page_size=_PAGE_SIZE,
        )

    def _describe(self, client: weir.Client, source: Source) -> str:
        connection = client.collections.create_connection(
            name="flights-api",
            connector="http",
            settings={"base_url": source.base_url},
            allow_private_addresses=True,
        ).connection
        self._connection_id = connection.id
        collection = client.collections.create_collection(
            name="flights",
            connection_id=connection.id,
            mode=SyncMode.SYNC_MODE_FULL,
            settings=_settings(),
        ).collection
        self._screen.tell(f"connection {connection.name}: it may reach this machine's own addresses")
        self._screen.tell(f"collection {collection.name}: {len(NAMES)} columns, read in full")
        return collection.id

    def _read(self, client: weir.Client, dataset_id: str) -> Iterator[pa.RecordBatch]:
        shown = False
        for batch in client.collections.read_batches(dataset_id):
            self._schema = batch.schema
            if not shown:
                self._show(batch)
                shown = True
            yield batch

    def _show(self, batch: pa.RecordBatch) -> None:
        self._screen.tell(
            "  ".join(f"{name:<19}" if name == "time_hour" else f"{name:>9}" for name in _SHOWN)
        )
        for row in batch.slice(0, 4).select(list(_SHOWN)).to_pylist():
            cells = [f"{row['time_hour']:%Y-%m-%d %H:%M:%S}"]
            cells += [f"{row[name] if row[name] is not None else '-':>9}" for name in _SHOWN[1:]]
            self._screen.tell("  ".join(cells))

    def _summary(self, accounts: Accounts, hourly: Hourly, seconds: float) -> None:
        self._screen.say()
        for label, value in (
            ("records expected", f"{accounts.expected.records:,}"),
            ("records read", f"{accounts.received.records:,}"),
            ("checksum expected", accounts.expected.checksum),
            ("checksum read", accounts.received.checksum),
            ("pages asked again after the kill", _again(accounts)),
            ("hours of weather, merged and mended", f"{hourly.records:,}"),
            ("seconds", f"{seconds:.1f}"),
        ):
            self._screen.say(f"{label:<36}{value}")


def _again(accounts: Accounts) -> str:
    return (
        f"{len(accounts.asked_again)} of {accounts.pages}, "
        f"{len(accounts.committed_asked_again)} of them of the {accounts.committed_pages} committed ones"
    )


def _settings() -> dict[str, Any]:
    return {
        "path": PATH,
        "records_path": "flights",
        "pagination": {
            "kind": "page",
            "page_param": "page",
            "start": 1,
            "size_param": "per_page",
            "page_size": _PAGE_SIZE,
        },
        "columns": [{"name": name, "type": kind, "nullable": nullable} for name, kind, nullable in COLUMNS],
    }


def main() -> int:
    """Run the demo in a temporary folder, which stays where something was not true."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--flights", type=int, default=None, help="only so many; all by default")
    given = parser.parse_args()
    screen = Screen()
    folder = Path(tempfile.mkdtemp(prefix="weir-demo-"))
    try:
        untrue = Demo(folder, screen, given.flights).run()
    except KeyboardInterrupt:
        shutil.rmtree(folder, ignore_errors=True)
        return 130
    except (DidNotStart, NoFlights, NoWorker, weir.errors.WeirError) as error:
        untrue = [str(error)]
    if untrue:
        for text in untrue:
            screen.say(f"NOT TRUE: {text}", "bold red")
        screen.say(f"the logs are in {folder}")
        return 1
    screen.say("all of it was true", "bold green")
    shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
