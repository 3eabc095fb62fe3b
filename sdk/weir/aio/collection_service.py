# ruff: noqa: A002  arguments are called as the fields they fill
"""The client of CollectionService. Generated from `weir/v1/collection_service.proto` by `make gen`."""

from collections.abc import Iterable, Mapping

from weir import methods
from weir.aio.caller import AsyncCaller
from weir.aio.pages import AsyncPages, fetcher
from weir.aio.stream import AsyncStream
from weir.deadline import Timeout
from weir.masks import MaskLike, to_mask
from weir.method import fresh_id
from weir.times import DurationLike, to_duration
from weir.v1 import (
    collection_pb2,
    collection_service_pb2,
)
from weir.values import StructLike, ValueLike, to_struct, to_value


class AsyncCollectionClient:
    """Connectors, connections, collections, runs and datasets."""

    def __init__(self, caller: AsyncCaller) -> None:
        self._caller = caller

    def list_connectors(
        self, *, page_size: int = 0, page_token: str = "", filter: str = "", timeout: Timeout = None
    ) -> AsyncPages[collection_service_pb2.ListConnectorsResponse, collection_pb2.Connector]:
        """Lists connectors with the JSON schemas of their settings.

        Args:
            page_size: Entries a page; 0 means 50, above 1,000 is lowered to 1,000.
            page_token: Page to give: `next_page_token` of the page before. Empty: the first.
            filter: Which entries; see common.proto. Empty: all.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """

        def request(page_token: str) -> collection_service_pb2.ListConnectorsRequest:
            return collection_service_pb2.ListConnectorsRequest(
                page_size=page_size, page_token=page_token, filter=filter
            )

        fetch = fetcher(self._caller, methods.LIST_CONNECTORS, request, timeout)
        return AsyncPages(fetch, page_token, lambda page: page.connectors)

    async def create_connection(
        self,
        *,
        project: str = "",
        name: str,
        connector: str = "",
        settings: StructLike = None,
        secrets: Mapping[str, str] | None = None,
        politeness: collection_pb2.Politeness | None = None,
        allow_private_addresses: bool = False,
        request_id: str = "",
        timeout: Timeout = None,
    ) -> collection_service_pb2.CreateConnectionResponse:
        """Creates a connection. The settings are checked by their schema, not tried.

        Args:
            project: Project it belongs to. Empty: `default`. Can't change.
            name: Name, unique within the project.
            connector: Connector's name. Can't change. Empty: nothing is read over it, it is a set of
                secrets that the inputs of tasks refer to; it has no settings then.
            settings: Fits the connector's `connection_schema`. No secrets.
            secrets: Secrets by name. Input only: never in an answer, event or log. Without a connector
                any names; one at least.
            politeness: How much at a time the source is asked, by all workers together.
            allow_private_addresses: True: may reach private, loopback and link-local addresses. Setting
                it needs `connections.private` besides.
            request_id: Makes the call safe to repeat; see common.proto.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = collection_service_pb2.CreateConnectionRequest(
            connection=collection_pb2.Connection(
                project=project,
                name=name,
                connector=connector,
                settings=to_struct(settings, "settings"),
                secrets=secrets,
                politeness=politeness,
                allow_private_addresses=allow_private_addresses,
            ),
            request_id=request_id or fresh_id(),
        )
        return await self._caller.unary(methods.CREATE_CONNECTION, request, timeout)

    async def get_connection(
        self, connection_id: str, *, timeout: Timeout = None
    ) -> collection_service_pb2.GetConnectionResponse:
        """Gets a connection, without its secrets.

        Args:
            connection_id: The connection.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = collection_service_pb2.GetConnectionRequest(connection_id=connection_id)
        return await self._caller.unary(methods.GET_CONNECTION, request, timeout)

    def list_connections(
        self, *, page_size: int = 0, page_token: str = "", filter: str = "", timeout: Timeout = None
    ) -> AsyncPages[collection_service_pb2.ListConnectionsResponse, collection_pb2.Connection]:
        """Lists connections by name.

        Args:
            page_size: Entries a page; 0 means 50, above 1,000 is lowered to 1,000.
            page_token: Page to give: `next_page_token` of the page before. Empty: the first.
            filter: Which entries; see common.proto. Empty: all.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """

        def request(page_token: str) -> collection_service_pb2.ListConnectionsRequest:
            return collection_service_pb2.ListConnectionsRequest(
                page_size=page_size, page_token=page_token, filter=filter
            )

        fetch = fetcher(self._caller, methods.LIST_CONNECTIONS, request, timeout)
        return AsyncPages(fetch, page_token, lambda page: page.connections)

    async def update_connection(
        self,
        *,
        connection: collection_pb2.Connection | None = None,
        update_mask: MaskLike = None,
        timeout: Timeout = None,
    ) -> collection_service_pb2.UpdateConnectionResponse:
        """Changes a connection; also rotates secrets, all of them or one (`secrets` or `secrets.KEY` in
        the mask; a key that is not given is removed). A run takes what is new at its next attempt.

        Args:
            connection: `id` says which; `etag`, if set, must be current. Checked as a whole after the
                change is applied.
            update_mask: What to change.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = collection_service_pb2.UpdateConnectionRequest(
            connection=connection, update_mask=to_mask(update_mask, "update_mask")
        )
        return await self._caller.unary(methods.UPDATE_CONNECTION, request, timeout)

    async def delete_connection(
        self, connection_id: str, *, etag: str = "", timeout: Timeout = None
    ) -> collection_service_pb2.DeleteConnectionResponse:
        """Deletes a connection that no collection uses.

        Args:
            connection_id: Which one.
            etag: If set, must be current.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = collection_service_pb2.DeleteConnectionRequest(connection_id=connection_id, etag=etag)
        return await self._caller.unary(methods.DELETE_CONNECTION, request, timeout)

    async def check_connection(
        self,
        *,
        connection_id: str | None = None,
        connection: collection_pb2.Connection | None = None,
        discover: bool = False,
        timeout: Timeout = None,
    ) -> collection_service_pb2.CheckConnectionResponse:
        """Tries a stored or an unsaved connection, and with `discover` lists what can be read. A failed
        try is an answer, not an error. An unsaved one needs `connections.write`. A worker tries;
        STATE_CONFLICT where none lives, DEADLINE where none answers in 25 s.

        Args:
            connection_id: A stored one.
            connection: One not stored yet, secrets included, in its `project`.
            discover: True: list its streams too.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = collection_service_pb2.CheckConnectionRequest(
            connection_id=connection_id, connection=connection, discover=discover
        )
        return await self._caller.unary(methods.CHECK_CONNECTION, request, timeout)

    async def create_collection(
        self,
        *,
        project: str = "",
        name: str,
        connection_id: str,
        stream: str = "",
        settings: StructLike = None,
        mode: collection_pb2.SyncMode.ValueType,
        cursor_field: str = "",
        key_fields: Iterable[str] = (),
        deleted_field: str = "",
        lag: DurationLike = None,
        dataset: str = "",
        schema_policy: collection_pb2.SchemaPolicy.ValueType = collection_pb2.SCHEMA_POLICY_UNSPECIFIED,
        guards: Iterable[collection_pb2.Guard] = (),
        request_id: str = "",
        timeout: Timeout = None,
    ) -> collection_service_pb2.CreateCollectionResponse:
        """Creates a collection, and its dataset where that does not exist.

        Args:
            project: Project it belongs to. Empty: `default`. Can't change.
            name: Name, unique within the project.
            connection_id: The connection, of the same project; naming one needs `connections.use`.
            stream: What to read, for connectors that know several streams; `http` has none.
            settings: Fits the connector's `collection_schema`.
            mode: How a run changes the dataset.
            cursor_field: Column to go forward by; for INCREMENTAL and MERGE.
            key_fields: Columns of the key; for MERGE. A record in which one of them is null goes to
                quarantine.
            deleted_field: Column that says of a record that the source has deleted it; for MERGE. Such
                a record takes its place like any other and is not shown. True, a number other than 0,
                or any text or time in the column means deleted. Empty: there is no such column.
            lag: How far before its cursor a run begins to read, for records that the source commits
                late; for MERGE with a cursor field of times. At most 400 days.
            dataset: Name of the dataset to write to. A dataset has one writing collection: that of
                another is refused with IN_USE. Empty: the collection's own name.
            schema_policy: What happens when the source's columns change.
            guards: Checks before a run's result counts; at most 20. Where there is one that does not
                only warn, nothing of a run is shown before its end, and a run that it stops leaves the
                dataset as it was.
            request_id: Makes the call safe to repeat; see common.proto.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = collection_service_pb2.CreateCollectionRequest(
            collection=collection_pb2.Collection(
                project=project,
                name=name,
                connection_id=connection_id,
                stream=stream,
                settings=to_struct(settings, "settings"),
                mode=mode,
                cursor_field=cursor_field,
                key_fields=key_fields,
                deleted_field=deleted_field,
                lag=to_duration(lag, "lag"),
                dataset=dataset,
                schema_policy=schema_policy,
                guards=guards,
            ),
            request_id=request_id or fresh_id(),
        )
        return await self._caller.unary(methods.CREATE_COLLECTION, request, timeout)

    async def get_collection(
        self, collection_id: str, *, timeout: Timeout = None
    ) -> collection_service_pb2.GetCollectionResponse:
        """Gets a collection with its cursor.

        Args:
            collection_id: The collection.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = collection_service_pb2.GetCollectionRequest(collection_id=collection_id)
        return await self._caller.unary(methods.GET_COLLECTION, request, timeout)

    def list_collections(
        self, *, page_size: int = 0, page_token: str = "", filter: str = "", timeout: Timeout = None
    ) -> AsyncPages[collection_service_pb2.ListCollectionsResponse, collection_pb2.Collection]:
        """Lists collections by name.

        Args:
            page_size: Entries a page; 0 means 50, above 1,000 is lowered to 1,000.
            page_token: Page to give: `next_page_token` of the page before. Empty: the first.
            filter: Which entries; see common.proto. Empty: all.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """

        def request(page_token: str) -> collection_service_pb2.ListCollectionsRequest:
            return collection_service_pb2.ListCollectionsRequest(
                page_size=page_size, page_token=page_token, filter=filter
            )

        fetch = fetcher(self._caller, methods.LIST_COLLECTIONS, request, timeout)
        return AsyncPages(fetch, page_token, lambda page: page.collections)

    async def update_collection(
        self,
        *,
        collection: collection_pb2.Collection | None = None,
        update_mask: MaskLike = None,
        timeout: Timeout = None,
    ) -> collection_service_pb2.UpdateCollectionResponse:
        """Changes a collection. A run takes what is new at its next attempt. Another cursor field is
        refused while a cursor is set.

        Args:
            collection: `id` says which; `etag`, if set, must be current. Checked as a whole after the
                change is applied.
            update_mask: What to change.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = collection_service_pb2.UpdateCollectionRequest(
            collection=collection, update_mask=to_mask(update_mask, "update_mask")
        )
        return await self._caller.unary(methods.UPDATE_COLLECTION, request, timeout)

    async def delete_collection(
        self, collection_id: str, *, etag: str = "", timeout: Timeout = None
    ) -> collection_service_pb2.DeleteCollectionResponse:
        """Deletes a collection. Its dataset stays.

        Args:
            collection_id: Which one.
            etag: If set, must be current.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = collection_service_pb2.DeleteCollectionRequest(collection_id=collection_id, etag=etag)
        return await self._caller.unary(methods.DELETE_COLLECTION, request, timeout)

    async def set_cursor(
        self,
        collection_id: str,
        *,
        cursor: ValueLike = None,
        expected_cursor: ValueLike = None,
        timeout: Timeout = None,
    ) -> collection_service_pb2.SetCursorResponse:
        """Sets the cursor by hand: back to the start, or to a value. STATE_CONFLICT while a run goes on.

        Args:
            collection_id: The collection; must have no run in progress.
            cursor: New cursor. Unset: none, the next run starts at the beginning.
            expected_cursor: Cursor that the caller takes for the current one; null: none. Where another
                is set, and not the new one already: ABORTED. Unset: not checked.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = collection_service_pb2.SetCursorRequest(
            collection_id=collection_id,
            cursor=to_value(cursor, "cursor"),
            expected_cursor=to_value(expected_cursor, "expected_cursor"),
        )
        return await self._caller.unary(methods.SET_CURSOR, request, timeout)

    async def preview_collection(
        self,
        *,
        collection_id: str | None = None,
        collection: collection_pb2.Collection | None = None,
        count: int = 0,
        timeout: Timeout = None,
    ) -> collection_service_pb2.PreviewCollectionResponse:
        """Reads the first records as a run would, and keeps nothing. An unsaved one needs
        `collections.write` and `connections.use`. A worker reads, as for CheckConnection;
        STATE_CONFLICT, with the failure's `kind`, `code`, `host` and `http_status` in the metadata,
        where the source can't be read.

        Args:
            collection_id: A stored one.
            collection: One not stored yet, in its `project`.
            count: Records wanted; fewer where they do not fit into the answer. 0 means 20.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = collection_service_pb2.PreviewCollectionRequest(
            collection_id=collection_id, collection=collection, count=count
        )
        return await self._caller.unary(methods.PREVIEW_COLLECTION, request, timeout)

    async def run_collection(
        self,
        collection_id: str,
        *,
        full: bool | None = None,
        backfill: collection_pb2.Backfill | None = None,
        request_id: str = "",
        timeout: Timeout = None,
    ) -> collection_service_pb2.RunCollectionResponse:
        """Starts a run: from the cursor on, over everything, or over a span of the past. One run of a
        collection goes at a time, and one backfill beside it.

        Args:
            collection_id: The collection.
            full: True: read everything anew and swap it in when complete.
            backfill: Read this span of the cursor field, and leave the cursor alone; for INCREMENTAL
                and MERGE, up to the cursor at most. Shown when it is complete: in INCREMENTAL in the
                place of all records of the span, in MERGE record by record.
            request_id: Makes the call safe to repeat; see common.proto.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = collection_service_pb2.RunCollectionRequest(
            collection_id=collection_id, full=full, backfill=backfill, request_id=request_id or fresh_id()
        )
        return await self._caller.unary(methods.RUN_COLLECTION, request, timeout)

    async def get_run(self, run_id: str, *, timeout: Timeout = None) -> collection_service_pb2.GetRunResponse:
        """Gets a run. To follow it use WatchTask, to stop it CancelTask: the id of a run is the id of its
        task.

        Args:
            run_id: The run.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = collection_service_pb2.GetRunRequest(run_id=run_id)
        return await self._caller.unary(methods.GET_RUN, request, timeout)

    def list_runs(
        self, *, page_size: int = 0, page_token: str = "", filter: str = "", timeout: Timeout = None
    ) -> AsyncPages[collection_service_pb2.ListRunsResponse, collection_pb2.Run]:
        """Lists runs, newest first.

        Args:
            page_size: Entries a page; 0 means 50, above 1,000 is lowered to 1,000.
            page_token: Page to give: `next_page_token` of the page before. Empty: the first.
            filter: Which entries; see common.proto. Empty: all.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """

        def request(page_token: str) -> collection_service_pb2.ListRunsRequest:
            return collection_service_pb2.ListRunsRequest(
                page_size=page_size, page_token=page_token, filter=filter
            )

        fetch = fetcher(self._caller, methods.LIST_RUNS, request, timeout)
        return AsyncPages(fetch, page_token, lambda page: page.runs)

    async def get_dataset(
        self, dataset_id: str, *, timeout: Timeout = None
    ) -> collection_service_pb2.GetDatasetResponse:
        """Gets a dataset with its schema.

        Args:
            dataset_id: The dataset.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = collection_service_pb2.GetDatasetRequest(dataset_id=dataset_id)
        return await self._caller.unary(methods.GET_DATASET, request, timeout)

    def list_datasets(
        self, *, page_size: int = 0, page_token: str = "", filter: str = "", timeout: Timeout = None
    ) -> AsyncPages[collection_service_pb2.ListDatasetsResponse, collection_pb2.Dataset]:
        """Lists datasets by name, without schemas.

        Args:
            page_size: Entries a page; 0 means 50, above 1,000 is lowered to 1,000.
            page_token: Page to give: `next_page_token` of the page before. Empty: the first.
            filter: Which entries; see common.proto. Empty: all.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """

        def request(page_token: str) -> collection_service_pb2.ListDatasetsRequest:
            return collection_service_pb2.ListDatasetsRequest(
                page_size=page_size, page_token=page_token, filter=filter
            )

        fetch = fetcher(self._caller, methods.LIST_DATASETS, request, timeout)
        return AsyncPages(fetch, page_token, lambda page: page.datasets)

    async def delete_dataset(
        self, dataset_id: str, *, etag: str = "", timeout: Timeout = None
    ) -> collection_service_pb2.DeleteDatasetResponse:
        """Deletes a dataset and its records. IN_USE while a collection writes it.

        Args:
            dataset_id: Which one.
            etag: If set, must be current.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = collection_service_pb2.DeleteDatasetRequest(dataset_id=dataset_id, etag=etag)
        return await self._caller.unary(methods.DELETE_DATASET, request, timeout)

    def read_records_stream(
        self,
        dataset_id: str,
        *,
        columns: Iterable[str] = (),
        filter: str = "",
        version: int = 0,
        limit: int = 0,
        resume_token: str = "",
        batch_size: int = 0,
    ) -> AsyncStream[collection_service_pb2.ReadRecordsResponse]:
        """Reads records as rows, from one version of the dataset throughout. One call: it is not resumed
        when it breaks.

        Args:
            dataset_id: The dataset.
            columns: Columns wanted. Empty: all.
            filter: Which records; see common.proto, with column names. Empty: all.
            version: Version of the dataset. 0: the newest at the start of the call.
            limit: Records at most. 0: all.
            resume_token: Where to go on: `resume_token` of an earlier answer; all else must be the
                same. The version it names may be gone: OUT_OF_RANGE with POSITION_EXPIRED. Empty: the
                start.
            batch_size: Records a message at most. 0 means 500. A message is at most 2 MiB.
        """
        request = collection_service_pb2.ReadRecordsRequest(
            query=collection_service_pb2.RecordQuery(
                dataset_id=dataset_id,
                columns=columns,
                filter=filter,
                version=version,
                limit=limit,
                resume_token=resume_token,
            ),
            batch_size=batch_size,
        )
        return self._caller.stream(methods.READ_RECORDS, request)

    def read_arrow_stream(
        self,
        dataset_id: str,
        *,
        columns: Iterable[str] = (),
        filter: str = "",
        version: int = 0,
        limit: int = 0,
        resume_token: str = "",
        batch_bytes: int = 0,
    ) -> AsyncStream[collection_service_pb2.ReadArrowResponse]:
        """Reads records as Arrow batches: exact types, and many times faster. One call: it is not resumed
        when it breaks.

        Args:
            dataset_id: The dataset.
            columns: Columns wanted. Empty: all.
            filter: Which records; see common.proto, with column names. Empty: all.
            version: Version of the dataset. 0: the newest at the start of the call.
            limit: Records at most. 0: all.
            resume_token: Where to go on: `resume_token` of an earlier answer; all else must be the
                same. The version it names may be gone: OUT_OF_RANGE with POSITION_EXPIRED. Empty: the
                start.
            batch_bytes: Bytes a message at most. 0 means 1 MiB.
        """
        request = collection_service_pb2.ReadArrowRequest(
            query=collection_service_pb2.RecordQuery(
                dataset_id=dataset_id,
                columns=columns,
                filter=filter,
                version=version,
                limit=limit,
                resume_token=resume_token,
            ),
            batch_bytes=batch_bytes,
        )
        return self._caller.stream(methods.READ_ARROW, request)

    def list_quarantine(
        self, *, page_size: int = 0, page_token: str = "", filter: str = "", timeout: Timeout = None
    ) -> AsyncPages[collection_service_pb2.ListQuarantineResponse, collection_pb2.QuarantinedRecord]:
        """Lists records that did not fit, newest first.

        Args:
            page_size: Entries a page; 0 means 50, above 1,000 is lowered to 1,000.
            page_token: Page to give: `next_page_token` of the page before. Empty: the first.
            filter: Which entries; see common.proto. Empty: all.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """

        def request(page_token: str) -> collection_service_pb2.ListQuarantineRequest:
            return collection_service_pb2.ListQuarantineRequest(
                page_size=page_size, page_token=page_token, filter=filter
            )

        fetch = fetcher(self._caller, methods.LIST_QUARANTINE, request, timeout)
        return AsyncPages(fetch, page_token, lambda page: page.records)

    async def resolve_quarantine(
        self,
        dataset_id: str,
        *,
        filter: str,
        action: collection_service_pb2.QuarantineAction.ValueType,
        request_id: str = "",
        timeout: Timeout = None,
    ) -> collection_service_pb2.ResolveQuarantineResponse:
        """Puts quarantined records into the dataset after all, or drops them, as a task. Refused with
        STATE_CONFLICT while another does so for the dataset.

        Args:
            dataset_id: The dataset.
            filter: Which records, as in ListQuarantine. Must not be empty; `dataset_id = "…"` means all
                of the dataset.
            action: What to do.
            request_id: Makes the call safe to repeat; see common.proto.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = collection_service_pb2.ResolveQuarantineRequest(
            dataset_id=dataset_id, filter=filter, action=action, request_id=request_id or fresh_id()
        )
        return await self._caller.unary(methods.RESOLVE_QUARANTINE, request, timeout)
