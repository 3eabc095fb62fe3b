"""GetFile, ListFiles and DownloadFile, over the wire."""

import asyncio
import hashlib
import io
import os
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import pytest

import weir
from tests.fixtures.engine import ECHO
from tests.fixtures.proxy import proxied_port
from tests.fixtures.server import Client, ServerUnderTest, refused
from tests.fixtures.stores import ON_BOTH_STORES
from weir.v1 import task_pb2
from weir.v1 import task_service_pb2 as pb
from weir_core.files.models import File, NewFile, event_body
from weir_core.ids import new_id
from weir_core.stores.folder import FolderStore
from weir_core.tasks.events import EventKind
from weir_core.tasks.execution import Claimed
from weir_core.tasks.outcomes import Ended

CODE = grpc.StatusCode
CONTENT = os.urandom(1_300_000)


@pytest.fixture
async def worker(server: ServerUnderTest) -> UUID:
    worker_id = new_id()
    values = {"host": "here", "version": "1", "slots": 8, "queues": ["default"]}
    await server.runtime.fleet.register(worker_id, values, [ECHO])
    return worker_id


async def claimed(server: ServerUnderTest, worker: UUID) -> Claimed:
    wanted = task_pb2.TaskSpec(type="probe.echo")
    wanted.input["text"] = "hi"
    task = (await server.admin.tasks.SubmitTask(pb.SubmitTaskRequest(spec=wanted))).task
    (found,) = await server.runtime.execution.claim([UUID(task.id)], worker, {"probe.echo": 1})
    return found


async def made(server: ServerUnderTest, held: Claimed, name: str = "a.bin", content: bytes = CONTENT) -> File:
    files = server.runtime.files
    new = NewFile(name, "text/csv")
    file = await files.store(held.task, new, len(content), io.BytesIO(content))
    await files.commit(file)
    return file


async def listed(client: Client, **request: Any) -> pb.ListFilesResponse:
    return await client.tasks.ListFiles(pb.ListFilesRequest(**request))


async def downloaded(client: Client, file: File, **request: Any) -> list[pb.DownloadFileResponse]:
    call = client.tasks.DownloadFile(pb.DownloadFileRequest(file_id=str(file.id), **request))
    return [message async for message in call]


class TestGetFile:
    async def test_it_tells_all_that_is_known(self, server: ServerUnderTest, worker: UUID):
        held = await claimed(server, worker)
        file = await made(server, held)
        found = (await server.admin.tasks.GetFile(pb.GetFileRequest(file_id=str(file.id)))).file
        assert (found.id, found.project, found.name) == (str(file.id), "default", "a.bin")
        assert (found.media_type, found.size_bytes) == ("text/csv", len(CONTENT))
        assert found.sha256 == hashlib.sha256(CONTENT).digest()
        assert (found.task_id, found.creator.name) == (str(held.task.id), "admin")
        assert not found.HasField("expire_time")
        await server.runtime.execution.finish(held.log, Ended(output={}))
        found = (await server.admin.tasks.GetFile(pb.GetFileRequest(file_id=str(file.id)))).file
        task = await server.admin.tasks.GetTask(pb.GetTaskRequest(task_id=str(held.task.id)))
        assert found.expire_time == task.task.expire_time

    async def test_its_event_says_the_same(self, server: ServerUnderTest, worker: UUID):
        held = await claimed(server, worker)
        file = await made(server, held)
        held.log.add(EventKind.ARTIFACT, event_body(file))
        await server.runtime.execution.finish(held.log, Ended(output={}))
        request = pb.ListTaskEventsRequest(task_id=str(held.task.id), kinds=[task_pb2.EVENT_KIND_ARTIFACT])
        (event,) = (await server.admin.tasks.ListTaskEvents(request)).events
        found = (await server.admin.tasks.GetFile(pb.GetFileRequest(file_id=str(file.id)))).file
        found.ClearField("expire_time")
        assert (event.artifact, event.attempt) == (found, 1)

    async def test_p13_what_one_may_not_see_is_not_there(self, server: ServerUnderTest, worker: UUID):
        file = await made(server, await claimed(server, worker))
        elsewhere = await server.user("eva", "viewer", "system")
        here = await server.user("vera", "viewer")
        assert (await here.tasks.GetFile(pb.GetFileRequest(file_id=str(file.id)))).file.id == str(file.id)
        for call in (
            elsewhere.tasks.GetFile(pb.GetFileRequest(file_id=str(file.id))),
            elsewhere.tasks.DownloadFile(pb.DownloadFileRequest(file_id=str(file.id))),
            here.tasks.GetFile(pb.GetFileRequest(file_id=str(new_id()))),
        ):
            assert (await refused(call)).code is CODE.NOT_FOUND
        assert not (await listed(elsewhere)).files


class TestListFiles:
    async def test_newest_first_page_by_page_and_by_filter(self, server: ServerUnderTest, worker: UUID):
        one, other = await claimed(server, worker), await claimed(server, worker)
        for name in ("a", "b", "c"):
            await made(server, one, name, b"x")
        last = await made(server, other, "a", b"y")
        first = await listed(server.admin, page_size=3)
        assert [file.name for file in first.files] == ["a", "c", "b"]
        rest = await listed(server.admin, page_size=3, page_token=first.next_page_token)
        assert ([file.name for file in rest.files], rest.next_page_token) == (["a"], "")
        of_one = await listed(server.admin, filter=f'task_id = "{one.task.id}"')
        assert [file.name for file in of_one.files] == ["c", "b", "a"]
        named = await listed(server.admin, filter="name = a AND project = default")
        assert [file.task_id for file in named.files] == [str(other.task.id), str(one.task.id)]
        later = await listed(server.admin, filter=f'create_time >= "{last.create_time.isoformat()}"')
        assert [file.id for file in later.files] == [str(last.id)]
        assert (
            await refused(server.admin.tasks.ListFiles(pb.ListFilesRequest(filter="size = 1")))
        ).reason == ("FILTER_INVALID")


class TestDownloadFile:
    @ON_BOTH_STORES
    async def test_the_whole_and_parts_of_it(self, server: ServerUnderTest, worker: UUID):
        file = await made(server, await claimed(server, worker))
        whole = await downloaded(server.admin, file)
        assert b"".join(message.data for message in whole) == CONTENT
        assert [message.HasField("file") for message in whole] == [True, False, False]
        assert [message.offset for message in whole] == [0, 524_288, 1_048_576]
        for offset, length in ((0, 10), (600_000, 0), (1_299_999, 5), (524_288, 524_288), (7, 1_000_000)):
            part = await downloaded(server.admin, file, offset=offset, length=length)
            end = offset + length if length else len(CONTENT)
            assert b"".join(message.data for message in part) == CONTENT[offset:end]
            assert (part[0].offset, part[0].file.id) == (offset, str(file.id))
        (end,) = await downloaded(server.admin, file, offset=len(CONTENT))
        assert (end.file.id, end.data) == (str(file.id), b"")

    async def test_an_empty_file_has_a_description(self, server: ServerUnderTest, worker: UUID):
        file = await made(server, await claimed(server, worker), content=b"")
        (message,) = await downloaded(server.admin, file)
        assert (message.file.size_bytes, message.data) == (0, b"")

    async def test_beyond_its_end_there_is_nothing(self, server: ServerUnderTest, worker: UUID):
        file = await made(server, await claimed(server, worker), content=b"abc")
        call = server.admin.tasks.DownloadFile(pb.DownloadFileRequest(file_id=str(file.id), offset=4))
        error = await refused(call)
        assert (error.code, list(error.fields)) == (CODE.INVALID_ARGUMENT, ["offset"])
        assert "beyond the end of the file at 3" in error.message

    @ON_BOTH_STORES
    async def test_content_that_was_cut_or_is_gone_is_told(self, server: ServerUnderTest, worker: UUID):
        file = await made(server, await claimed(server, worker), content=b"abcdef")
        server.runtime.store.put(file.path, b"abc")
        request = pb.DownloadFileRequest(file_id=str(file.id))
        error = await refused(server.admin.tasks.DownloadFile(request))
        assert (error.code, error.reason) == (CODE.DATA_LOSS, "CHECKSUM_MISMATCH")
        server.runtime.store.delete(file.path)
        assert (await refused(server.admin.tasks.DownloadFile(request))).code is CODE.NOT_FOUND

    async def test_p14_who_does_not_read_costs_little_and_who_goes_away_ends_it(
        self, server: ServerUnderTest, worker: UUID, monkeypatch: pytest.MonkeyPatch
    ):
        file = await made(server, await claimed(server, worker), content=bytes(32 << 20))
        reads: list[int] = []
        read = FolderStore.read

        def counted(self: FolderStore, name: str, offset: int, size: int) -> bytes:
            reads.append(offset)
            return read(self, name, offset, size)

        monkeypatch.setattr(FolderStore, "read", counted)
        call = server.admin.tasks.DownloadFile(pb.DownloadFileRequest(file_id=str(file.id)))
        async for _ in call:
            break
        call.cancel()
        async with asyncio.timeout(20):
            while server.metric("weir_open_calls", kind="stream"):
                await asyncio.sleep(0.02)
        assert len(reads) < 40

    async def test_the_sdk_brings_it_home_over_connections_that_break(
        self, server: ServerUnderTest, worker: UUID, tmp_path: Path
    ):
        content = os.urandom(20 << 20)
        file = await made(server, await claimed(server, worker), content=content)
        port = server.server.port
        async with (
            proxied_port(lambda: asyncio.open_connection("127.0.0.1", port)) as proxy,
            weir.AsyncClient(f"127.0.0.1:{proxy.port}", token=server.admin.credential) as client,
        ):
            # Slow enough to be broken off on its way.
            proxy.slow(0.002)
            saving = asyncio.create_task(client.tasks.download(str(file.id), tmp_path / "file"))
            partial, breaks = tmp_path / "file.partial", 0
            async with asyncio.timeout(60):
                while not saving.done():
                    if size(partial) > breaks * (5 << 20):
                        proxy.reset()
                        breaks += 1
                    await asyncio.sleep(0.01)
            assert (await saving).id == str(file.id)
        assert breaks >= 3
        assert content == (tmp_path / "file").read_bytes()


def size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
