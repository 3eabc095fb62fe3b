"""CollectionService: read the request, call the domain, convert, return."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final

from weir.v1 import collection_service_pb2 as pb
from weir.v1 import collection_service_pb2_grpc
from weir_core.collections.collecting import Collecting
from weir_core.collections.models import Collection, Connection, ConnectionChange, NewCollection
from weir_core.collections.service import Expected
from weir_core.collections.trying import Trying
from weir_core.datasets.quarantine import Action
from weir_core.ids import parse_id
from weir_core.paging import Page, PageTokens
from weir_server.interceptors.authentication import caller, stands_on
from weir_server.interceptors.validation import Validation
from weir_server.rpc import convert_collections as convert
from weir_server.rpc import convert_trying
from weir_server.rpc.convert_records import rows_in
from weir_server.rpc.masks import changed

_ROWS: Final = 500
_BATCH_BYTES: Final = 1024 * 1024
_MOST_QUARANTINED: Final = 50
_ACTIONS: Final = {
    pb.QUARANTINE_ACTION_REPLAY: Action.REPLAY,
    pb.QUARANTINE_ACTION_DISCARD: Action.DISCARD,
}


class CollectionServicer(collection_service_pb2_grpc.CollectionServiceServicer):
    """Collect data from outside systems and read it back."""

    def __init__(
        self, collecting: Collecting, trying: Trying, pages: PageTokens, validation: Validation
    ) -> None:
        self._validation = validation
        self._connections = collecting.connections
        self._collections = collecting.collections
        self._runs = collecting.runs
        self._datasets = collecting.datasets
        self._quarantine = collecting.quarantine
        self._trying = trying
        self._pages = pages

    async def ListConnectors(
        self, request: pb.ListConnectorsRequest, context: Any
    ) -> pb.ListConnectorsResponse:
        page, scope = self._page(request)
        found = await self._connections.list_connectors(page, request.filter)
        connectors, token = self._pages.cut(found, page, scope, lambda each: [each.name], convert.connector)
        return pb.ListConnectorsResponse(connectors=connectors, next_page_token=token)

    async def CreateConnection(
        self, request: pb.CreateConnectionRequest, context: Any
    ) -> pb.CreateConnectionResponse:
        new = convert.new_connection(request.connection)
        made = await self._connections.create_connection(caller(), new, request.request_id)
        return pb.CreateConnectionResponse(connection=convert.connection(made))

    async def GetConnection(self, request: pb.GetConnectionRequest, context: Any) -> pb.GetConnectionResponse:
        connection_id = parse_id("connection_id", request.connection_id)
        found = await self._connections.get_connection(caller(), connection_id)
        return pb.GetConnectionResponse(connection=convert.connection(found))

    async def ListConnections(
        self, request: pb.ListConnectionsRequest, context: Any
    ) -> pb.ListConnectionsResponse:
        page, scope = self._page(request)
        found = await self._connections.list_connections(caller(), page, request.filter)
        connections, token = self._pages.cut(
            found, page, scope, lambda each: [each.name, str(each.id)], convert.connection
        )
        return pb.ListConnectionsResponse(connections=connections, next_page_token=token)

    async def CheckConnection(
        self, request: pb.CheckConnectionRequest, context: Any
    ) -> pb.CheckConnectionResponse:
        target = convert_trying.checked_target(request)
        found = await self._trying.check(caller(), target, discover=request.discover)
        return convert_trying.checked(found)

    async def PreviewCollection(
        self, request: pb.PreviewCollectionRequest, context: Any
    ) -> pb.PreviewCollectionResponse:
        target = convert_trying.previewed_target(request)
        found = await self._trying.preview(caller(), target, request.count)
        return convert_trying.previewed(found)

    async def CreateCollection(
        self, request: pb.CreateCollectionRequest, context: Any
    ) -> pb.CreateCollectionResponse:
        new = convert.new_collection(request.collection)
        made = await self._collections.create_collection(caller(), new, request.request_id)
        return pb.CreateCollectionResponse(collection=convert.collection(made))

    async def GetCollection(self, request: pb.GetCollectionRequest, context: Any) -> pb.GetCollectionResponse:
        collection_id = parse_id("collection_id", request.collection_id)
        found = await self._collections.get_collection(caller(), collection_id)
        return pb.GetCollectionResponse(collection=convert.collection(found))

    async def ListCollections(
        self, request: pb.ListCollectionsRequest, context: Any
    ) -> pb.ListCollectionsResponse:
        page, scope = self._page(request)
        found = await self._collections.list_collections(caller(), page, request.filter)
        collections, token = self._pages.cut(
            found, page, scope, lambda each: [each.name, str(each.id)], convert.collection
        )
        return pb.ListCollectionsResponse(collections=collections, next_page_token=token)

    async def UpdateConnection(
        self, request: pb.UpdateConnectionRequest, context: Any
    ) -> pb.UpdateConnectionResponse:
        connection_id = parse_id("connection.id", request.connection.id)

        def change(found: Connection) -> ConnectionChange:
            wanted, kept = convert.changed_connection(found, request.connection, request.update_mask)
            self._validation.check(wanted, "connection")
            return ConnectionChange(convert.new_connection(wanted), kept)

        stored = await self._connections.update_connection(
            caller(), connection_id, request.connection.etag, change
        )
        return pb.UpdateConnectionResponse(connection=convert.connection(stored))

    async def DeleteConnection(
        self, request: pb.DeleteConnectionRequest, context: Any
    ) -> pb.DeleteConnectionResponse:
        connection_id = parse_id("connection_id", request.connection_id)
        await self._connections.delete_connection(caller(), connection_id, request.etag)
        return pb.DeleteConnectionResponse()

    async def UpdateCollection(
        self, request: pb.UpdateCollectionRequest, context: Any
    ) -> pb.UpdateCollectionResponse:
        collection_id = parse_id("collection.id", request.collection.id)

        def change(found: Collection) -> NewCollection:
            wanted = changed(
                convert.collection(found),
                request.collection,
                request.update_mask,
                convert.COLLECTION_SETTABLE,
            )
            self._validation.check(wanted, "collection")
            return convert.new_collection(wanted)

        stored = await self._collections.update_collection(
            caller(), collection_id, request.collection.etag, change
        )
        return pb.UpdateCollectionResponse(collection=convert.collection(stored))

    async def DeleteCollection(
        self, request: pb.DeleteCollectionRequest, context: Any
    ) -> pb.DeleteCollectionResponse:
        collection_id = parse_id("collection_id", request.collection_id)
        await self._collections.delete_collection(caller(), collection_id, request.etag)
        return pb.DeleteCollectionResponse()

    async def SetCursor(self, request: pb.SetCursorRequest, context: Any) -> pb.SetCursorResponse:
        collection_id = parse_id("collection_id", request.collection_id)
        cursor = convert.cursor("cursor", request.cursor) if request.HasField("cursor") else None
        expected = None
        if request.HasField("expected_cursor"):
            expected = Expected(convert.cursor("expected_cursor", request.expected_cursor))
        stored = await self._collections.set_cursor(caller(), collection_id, cursor, expected)
        return pb.SetCursorResponse(collection=convert.collection(stored))

    async def RunCollection(self, request: pb.RunCollectionRequest, context: Any) -> pb.RunCollectionResponse:
        collection_id = parse_id("collection_id", request.collection_id)
        backfill = convert.span(request.backfill) if request.HasField("backfill") else None
        run, created = await self._runs.start(
            caller(), collection_id, full=request.full, backfill=backfill, request_id=request.request_id
        )
        return pb.RunCollectionResponse(run=convert.run(run), created=created)

    async def GetRun(self, request: pb.GetRunRequest, context: Any) -> pb.GetRunResponse:
        found = await self._runs.get(caller(), parse_id("run_id", request.run_id))
        return pb.GetRunResponse(run=convert.run(found, full=True))

    async def ListRuns(self, request: pb.ListRunsRequest, context: Any) -> pb.ListRunsResponse:
        page, scope = self._page(request)
        found = await self._runs.list_runs(caller(), page, request.filter)
        runs, token = self._pages.cut(found, page, scope, lambda each: [str(each.id)], convert.run)
        return pb.ListRunsResponse(runs=runs, next_page_token=token)

    async def GetDataset(self, request: pb.GetDatasetRequest, context: Any) -> pb.GetDatasetResponse:
        found = await self._datasets.get(caller(), parse_id("dataset_id", request.dataset_id))
        return pb.GetDatasetResponse(dataset=convert.dataset(found))

    async def ListDatasets(self, request: pb.ListDatasetsRequest, context: Any) -> pb.ListDatasetsResponse:
        page, scope = self._page(request)
        found = await self._datasets.list_datasets(caller(), page, request.filter)
        datasets, token = self._pages.cut(
            found, page, scope, lambda each: [each.name, str(each.id)], convert.dataset
        )
        return pb.ListDatasetsResponse(datasets=datasets, next_page_token=token)

    async def DeleteDataset(self, request: pb.DeleteDatasetRequest, context: Any) -> pb.DeleteDatasetResponse:
        await self._datasets.delete(caller(), parse_id("dataset_id", request.dataset_id), request.etag)
        return pb.DeleteDatasetResponse()

    async def ReadRecords(
        self, request: pb.ReadRecordsRequest, context: Any
    ) -> AsyncGenerator[pb.ReadRecordsResponse]:
        reading = await self._datasets.open(caller(), convert.record_query(request.query))
        stands_on(reading.project)
        most = request.batch_size or _ROWS
        # A step of reading costs too much for a few rows.
        async with aclosing(reading.portions(max(most, _ROWS))) as portions:
            async for portion in portions:
                done = 0
                for rows in rows_in(portion.records, most):
                    done += len(rows)
                    yield pb.ReadRecordsResponse(
                        records=rows, resume_token=portion.token_after(done), version=reading.version
                    )

    async def ReadArrow(
        self, request: pb.ReadArrowRequest, context: Any
    ) -> AsyncGenerator[pb.ReadArrowResponse]:
        reading = await self._datasets.open(caller(), convert.record_query(request.query))
        stands_on(reading.project)
        async with aclosing(reading.messages(request.batch_bytes or _BATCH_BYTES)) as messages:
            async for message, token in messages:
                yield pb.ReadArrowResponse(
                    data=message.data, row_count=message.rows, resume_token=token, version=reading.version
                )

    async def ListQuarantine(
        self, request: pb.ListQuarantineRequest, context: Any
    ) -> pb.ListQuarantineResponse:
        page, scope = self._page(request)
        # Each may have 64 KiB.
        page = replace(page, size=min(page.size, _MOST_QUARANTINED))
        found = await self._quarantine.list_records(caller(), page, request.filter)
        records, token = self._pages.cut(found, page, scope, lambda each: [str(each.id)], convert.quarantined)
        return pb.ListQuarantineResponse(records=records, next_page_token=token)

    async def ResolveQuarantine(
        self, request: pb.ResolveQuarantineRequest, context: Any
    ) -> pb.ResolveQuarantineResponse:
        dataset_id = parse_id("dataset_id", request.dataset_id)
        made = await self._quarantine.resolve(
            caller(), dataset_id, request.filter, _ACTIONS[request.action], request.request_id
        )
        return pb.ResolveQuarantineResponse(task_id=str(made.task.id))

    def _page(self, request: Any) -> tuple[Page, str]:
        scope = f"{type(request).__name__} {caller().principal.id} {request.filter}"
        return self._pages.page(request.page_size, request.page_token, scope), scope
