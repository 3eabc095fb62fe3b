import hashlib
import io
from pathlib import Path
from typing import Any

import pytest

from tests.sdk.fake import Fail, FakeServer
from weir import AsyncClient, Client, errors, methods
from weir.v1.task_pb2 import TASK_STATE_FAILED, TASK_STATE_SUCCEEDED, File, Task
from weir.v1.task_service_pb2 import DownloadFileResponse, GetTaskResponse, ListFilesResponse

LOST = Fail("UNAVAILABLE")
CONTENT = b"0123456789"
FILE = File(id="f1", name="a.txt", size_bytes=10, sha256=hashlib.sha256(CONTENT).digest())
BY_FILE = GetTaskResponse(task=Task(id="t1", state=TASK_STATE_SUCCEEDED, output_file_id="f1"))


def part(offset: int, end: int, content: bytes = CONTENT, file: File | None = None) -> DownloadFileResponse:
    return DownloadFileResponse(file=file, offset=offset, data=content[offset:end])


def first(end: int, content: bytes = CONTENT) -> DownloadFileResponse:
    file = File(id="f1", size_bytes=len(content), sha256=hashlib.sha256(content).digest())
    return part(0, end, content, file)


def offsets(server: FakeServer) -> list[int]:
    return [request.offset for request in server.requests(methods.DOWNLOAD_FILE)]


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


class TestDownload:
    async def test_a_file_is_there_once_it_is_whole(
        self, server: FakeServer, client: AsyncClient, tmp_path: Path
    ):
        target = tmp_path / "a.txt"

        def looked(_: Any) -> DownloadFileResponse:
            assert not target.exists()
            return part(4, 10)

        server.script(methods.DOWNLOAD_FILE, [part(0, 4, file=FILE), looked])
        assert await client.tasks.download("f1", target) == FILE
        assert target.read_bytes() == CONTENT
        assert names(tmp_path) == ["a.txt"]

    async def test_it_goes_on_where_the_connection_broke(
        self, server: FakeServer, client: AsyncClient, tmp_path: Path
    ):
        server.script(
            methods.DOWNLOAD_FILE,
            [part(0, 4, file=FILE), LOST],
            [LOST],
            [part(4, 7, file=FILE), Fail("INTERNAL")],
            [part(7, 10, file=FILE)],
        )
        await client.tasks.download("f1", str(tmp_path / "a.txt"))
        assert (tmp_path / "a.txt").read_bytes() == CONTENT
        assert offsets(server) == [0, 4, 4, 7]

    async def test_a_break_after_the_last_byte_costs_nothing(self, server: FakeServer, client: AsyncClient):
        server.script(methods.DOWNLOAD_FILE, [first(10), LOST], [part(10, 10, file=FILE)])
        target = io.BytesIO()
        await client.tasks.download("f1", target)
        assert (target.getvalue(), offsets(server)) == (CONTENT, [0, 10])

    @pytest.mark.parametrize(
        "messages,said",
        [
            ([part(0, 10, b"012345678x", FILE)], "its SHA-256 differs"),
            ([part(0, 9, file=FILE)], "its SHA-256 differs"),
            ([part(0, 4, file=FILE), part(5, 10)], "byte 5 of file f1 came where 4 must"),
        ],
        ids=["changed", "short", "hole"],
    )
    async def test_what_is_not_what_was_stored_is_no_file(
        self,
        server: FakeServer,
        client: AsyncClient,
        tmp_path: Path,
        messages: list[DownloadFileResponse],
        said: str,
    ):
        server.script(methods.DOWNLOAD_FILE, messages)
        with pytest.raises(errors.DataLoss, match=said):
            await client.tasks.download("f1", tmp_path / "a")
        assert names(tmp_path) == []

    async def test_what_is_not_there_is_raised_at_once(
        self, server: FakeServer, client: AsyncClient, tmp_path: Path
    ):
        server.script(methods.DOWNLOAD_FILE, [Fail("NOT_FOUND", "NOT_FOUND")])
        with pytest.raises(errors.NotFound):
            await client.tasks.download("f1", tmp_path / "a")
        assert (names(tmp_path), len(offsets(server))) == ([], 1)

    def test_blocking(self, server: FakeServer, blocking: Client, tmp_path: Path):
        server.script(methods.DOWNLOAD_FILE, [part(0, 4, file=FILE), LOST], [part(4, 10)])
        assert blocking.tasks.download("f1", tmp_path / "a") == FILE
        assert (tmp_path / "a").read_bytes() == CONTENT


class TestResult:
    TEXT = b'{"n": 1, "large": 1152921504606846976, "whole": 3.0, "half": 0.5, "list": [1.0, {"x": null}]}'

    async def test_a_large_one_is_followed_and_looks_like_a_small_one(
        self, server: FakeServer, client: AsyncClient
    ):
        server.script(methods.GET_TASK, BY_FILE)
        server.script(methods.DOWNLOAD_FILE, [first(20, self.TEXT), part(20, 200, self.TEXT)])
        result = await client.tasks.handle("t1").result()
        assert result == {
            "n": 1,
            "large": "1152921504606846976",
            "whole": 3,
            "half": 0.5,
            "list": [1, {"x": None}],
        }
        assert [type(result[name]) for name in ("n", "whole", "half")] == [int, int, float]

    def test_blocking(self, server: FakeServer, blocking: Client):
        server.script(methods.GET_TASK, BY_FILE)
        server.script(methods.DOWNLOAD_FILE, [first(200, self.TEXT)])
        assert blocking.tasks.result("t1")["n"] == 1

    async def test_one_that_is_too_large_is_not_taken_into_memory(
        self, server: FakeServer, client: AsyncClient
    ):
        huge = File(id="f1", size_bytes=300 << 20)
        server.script(methods.GET_TASK, BY_FILE)
        server.script(methods.DOWNLOAD_FILE, [DownloadFileResponse(file=huge, data=b"x")])
        with pytest.raises(errors.ResultTooLarge, match=r"314,572,800 bytes.*tasks\.download\('f1', path\)"):
            await client.tasks.result("t1")
        with pytest.raises(errors.ResultTooLarge):
            await client.tasks.output(BY_FILE.task, most=1 << 20)

    async def test_a_failed_task_is_raised_and_nothing_is_downloaded(
        self, server: FakeServer, client: AsyncClient
    ):
        with pytest.raises(errors.TaskFailed):
            await client.tasks.output(Task(id="t1", state=TASK_STATE_FAILED))
        assert server.calls == []


async def test_a_handle_lists_its_artifacts(server: FakeServer, client: AsyncClient):
    server.script(methods.LIST_FILES, ListFilesResponse(files=[FILE]))
    assert [file.name async for file in client.tasks.handle("t1").artifacts()] == ["a.txt"]
    assert server.requests(methods.LIST_FILES)[0].filter == 'task_id = "t1"'
