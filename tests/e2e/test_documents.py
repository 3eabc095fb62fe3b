"""The programs in README.md and docs/, run as they stand there, against a real server and worker."""

import asyncio
import os
import shlex
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

import weir
from tests.e2e.test_submit_to_watch import PASSWORD, free_port
from tests.fixtures.http_source import Asked, HttpSource
from tests.fixtures.workers import ROOT, SECONDS, WEIR, Fleet
from tests.structure.documents import documents

PROGRAMS = {name: code for document in documents() for name, code in document.program_files.items()}
CITIES = [{"name": "Lima", "people": 10092000}, {"name": "Oslo", "people": 717710}]

# The programs are about the SDK; that both databases serve it is shown elsewhere.
on_one_database = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


@dataclass
class Reader:
    """Who reads the documents, and does what they say."""

    folder: Path
    fleet: Fleet
    address: str
    web: str

    async def run(self, *command: str | Path, **variables: str) -> str:
        """What a command prints."""
        process = await asyncio.create_subprocess_exec(
            *command,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=self.folder,
            env=os.environ
            | {"WEIR_PASSWORD": PASSWORD, "XDG_CONFIG_HOME": str(self.folder / "config")}
            | variables,
        )
        async with asyncio.timeout(2 * SECONDS):
            said, _ = await process.communicate()
        assert process.returncode == 0, said.decode()
        return said.decode()

    async def program(self, name: str, **changed: str) -> list[str]:
        """What a program prints, line by line; on this test's server and web site in place of its own."""
        code = PROGRAMS[name].replace('"localhost:7443"', repr(self.address))
        assert code != PROGRAMS[name]
        for old, new in changed.items():
            assert old in code
            code = code.replace(old, new)
        (self.folder / name).write_text(code.replace("http://127.0.0.1:8000", self.web))
        return (await self.run(sys.executable, name)).splitlines()

    async def command(self, line: str) -> str:
        """What a `weir` command of a document prints."""
        return await self.run(WEIR, *shlex.split(line)[1:])

    async def worker(self, packs: str, kind: str) -> None:
        """Start a worker with the folder's modules, and wait until it serves a type."""
        self.fleet.start("worker", "--packs", packs, PYTHONPATH=str(self.folder))
        async with asyncio.timeout(SECONDS):
            while kind not in {
                name for each in await self.fleet.engine.runtime.fleet.active() for name in each.types
            }:
                await asyncio.sleep(0.1)

    def client(self) -> weir.AsyncClient:
        return weir.AsyncClient(self.address, user="admin", password=PASSWORD)


@pytest.fixture
async def site() -> AsyncGenerator[str]:
    """The address of a small web site with one list."""
    app = web.Application()
    app.router.add_get("/cities.json", _list)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def _list(_: web.Request) -> web.Response:
    return web.json_response(CITIES)


@pytest.fixture
async def reader(fleet: Fleet, site: str, tmp_path: Path) -> Reader:
    await fleet.engine.runtime.people.users.bootstrap(PASSWORD)
    address = f"127.0.0.1:{free_port()}"
    fleet.start("server", "--listen", address)
    folder = tmp_path / "reader"
    folder.mkdir()
    reader = Reader(folder, fleet, address, site)
    async with asyncio.timeout(SECONDS), reader.client() as client:
        while True:
            try:
                await client.users.get_user(user_id="self", timeout=2)
            except weir.errors.CallError:
                await asyncio.sleep(0.1)
            else:
                return reader


def test_these_are_all_the_programs():
    sdk = {"first.py", "queues.py", "collect.py", "look.py"}
    assert set(PROGRAMS) == sdk | {"words.py", "test_words.py", "oai_weir.py", "test_oai_weir.py"}


@on_one_database
async def test_what_the_sdk_shows(reader: Reader):
    await reader.worker("builtin", "monitor.source")

    assert await reader.program("collect.py") == (again := await reader.program("collect.py"))
    assert again[-2:] == ["2 records", "Lima"]

    looked = await reader.program("look.py")
    assert looked[-3:-1] == [f"{reader.web}/cities.json: 200", f"{reader.web}/none: 404"]
    assert looked[-1].startswith("http://127.0.0.1:9/: input.url: must lie on")

    async with reader.client() as client:
        [connection] = [each async for each in client.collections.list_connections()]
    given = f'{{"url": "{reader.web}/cities.json", "connection_id": "{connection.id}"}}'
    first = await reader.program("first.py", **{'{"url": "https://example.org"}': given})
    assert first[0] != first[-1]
    assert "'status': 200" in first[-1]

    queues = await reader.program("queues.py")
    assert queues[0].endswith("8 slots, 0 tasks")
    assert {"default 20 open", "slow 0 paused"} <= set(queues)


@on_one_database
async def test_the_pack(reader: Reader):
    for name in ("words.py", "test_words.py"):
        (reader.folder / name).write_text(PROGRAMS[name])
    assert "3 passed" in await reader.run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", ".")

    await reader.worker("words", "words.count")
    text, late = reader.folder / "text", reader.folder / "late"
    text.write_text("to be\nor not to be\nto\n")
    late.touch()
    async with reader.client() as client:
        waiting = await client.tasks.submit("words.count", {"path": str(late)})
        counted = await client.tasks.submit("words.count", {"path": str(text), "top": 1})
        assert await counted.result(SECONDS) == {"lines": 3, "words": {"to": 3}}

        missing = await client.tasks.submit("words.count", {"path": str(reader.folder / "none")})
        with pytest.raises(weir.errors.InvalidInput, match="there is no file") as failed:
            await missing.result(SECONDS)
        assert failed.value.failure.code == "file.missing"
        with pytest.raises(weir.errors.SchemaMismatch, match="top"):
            await client.tasks.submit("words.count", {"path": str(text), "top": 0})

        late.write_text("at last")
        assert (await waiting.result(SECONDS))["lines"] == 1
        assert (await waiting.get()).attempt > 1


ADDED = next(document for document in documents() if str(document) == "docs/add-a-connector.md")
RECORD = (
    "<record><header><identifier>oai:{0}</identifier><datestamp>2026-01-01T00:00:{0:02}Z</datestamp></header>"
    '<metadata><dc xmlns="http://purl.org/dc/elements/1.1/"><title>Book {0}</title></dc></metadata></record>'
)


@dataclass
class Archive:
    """Thirty records, ten a page; the last page does not come until it may."""

    asked: list[str] = field(default_factory=list[str])
    may_end: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, asked: Asked) -> web.Response:
        body = "<Identify/>"
        if asked.query["verb"] == "ListRecords":
            token = asked.query.get("resumptionToken", "")
            self.asked.append(token)
            if token == "20":
                await self.may_end.wait()
            begin = int(token or 0)
            records = "".join(RECORD.format(number) for number in range(begin, begin + 10))
            following = "" if token == "20" else str(begin + 10)
            body = f"<ListRecords>{records}<resumptionToken>{following}</resumptionToken></ListRecords>"
        return web.Response(text=f'<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/">{body}</OAI-PMH>')


@on_one_database
async def test_a_connector_of_a_package_outside(reader: Reader, http_source: HttpSource):
    package, site = reader.folder / "oai-weir", reader.folder / "site"
    package.mkdir()
    [project] = [code for kind, code in ADDED.fences if kind == "toml"]
    for name, code in {**ADDED.program_files, "pyproject.toml": project}.items():
        (package / name).write_text(code)
    install = ["pip", "install", "-q", "--offline", "--no-deps", "--no-build-isolation"]
    to = ["--python", sys.executable, "--target", site, package]
    await reader.run(Path(sys.executable).with_name("uv"), *install, *to)
    tests = "-m", "pytest", "-q", "-p", "no:cacheprovider", package
    assert "4 passed" in await reader.run(sys.executable, *tests, PYTHONPATH=str(site))

    worker = {"PYTHONPATH": f"{ROOT}:{site}", "WEIR_SEGMENT_ROWS": "10"}
    killed = await reader.fleet.worker("builtin", **worker)
    await reader.run(WEIR, "login", "--address", reader.address, "--user", "admin")
    archive = Archive()
    http_source.apis["/oai2"] = archive.answer
    listed, connect, check, create, preview, run = (
        line.replace("https://export.arxiv.org", http_source.url)
        for line in ADDED.shell_lines()
        if line.startswith("weir ")
    )
    assert "by OAI-PMH" in await reader.command(listed)
    await reader.command(f"{connect} --allow-private")
    assert "works" in await reader.command(check)
    await reader.command(create)
    assert (await reader.command(preview)).count('"Book ') == 5

    running = asyncio.create_task(reader.command(run))
    async with asyncio.timeout(SECONDS):
        while "20" not in archive.asked:
            await asyncio.sleep(0.05)
    killed.kill()
    archive.may_end.set()
    await reader.fleet.worker("builtin", **worker)
    assert "goes on after segment" in await running
    # The preview asked for the first page, the run for it and two more, the attempt after it for none.
    assert archive.asked.count("") == 2
    async with reader.client() as client:
        [dataset] = [each async for each in client.collections.list_datasets()]
        rows = [row async for row in client.collections.read_records(dataset.id)]
    assert sorted(row["identifier"] for row in rows) == sorted(f"oai:{number}" for number in range(30))
