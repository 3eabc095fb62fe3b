"""The calls of TaskService that are about files."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from weir.v1 import task_service_pb2 as pb
from weir_core.ids import parse_id
from weir_core.runtime import Runtime
from weir_server.interceptors.authentication import caller, stands_on
from weir_server.rpc import convert_files


class FileCalls:
    """Read, call, convert, return."""

    def __init__(self, runtime: Runtime) -> None:
        self._files = runtime.files
        self._pages = runtime.pages

    async def get(self, request: pb.GetFileRequest) -> pb.GetFileResponse:
        """GetFile."""
        found = await self._files.get(caller(), parse_id("file_id", request.file_id))
        return pb.GetFileResponse(file=convert_files.file(found))

    async def list(self, request: pb.ListFilesRequest) -> pb.ListFilesResponse:
        """ListFiles."""
        scope = f"ListFiles {caller().principal.id} {request.filter}"
        page = self._pages.page(request.page_size, request.page_token, scope)
        found = await self._files.list_files(caller(), page, request.filter)
        files, token = self._pages.cut(found, page, scope, lambda each: [str(each.id)], convert_files.file)
        return pb.ListFilesResponse(files=files, next_page_token=token)

    async def download(self, request: pb.DownloadFileRequest) -> AsyncGenerator[pb.DownloadFileResponse]:
        """DownloadFile."""
        found = await self._files.get(caller(), parse_id("file_id", request.file_id))
        stands_on(found.project)
        message = pb.DownloadFileResponse(file=convert_files.file(found), offset=request.offset)
        async with aclosing(self._files.read(found, request.offset, request.length)) as parts:
            async for part in parts:
                message.offset, message.data = part.offset, part.data
                yield message
                message = pb.DownloadFileResponse()
        # An empty part of a file is told as well.
        if message.HasField("file"):
            yield message
