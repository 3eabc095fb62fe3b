"""`client.collections`: the service as it is, and runs and records on top."""

from collections.abc import Sequence
from typing import Any

from weir.arrow import RecordBatch, Table
from weir.blocking import io, records
from weir.blocking.caller import Caller
from weir.blocking.collection_service import CollectionClient
from weir.blocking.handles import RunHandle, TaskHandle
from weir.blocking.stream import Stream
from weir.blocking.tasks import Tasks
from weir.deadline import Timeout
from weir.spans import Span, to_backfill
from weir.v1.collection_service_pb2 import ReadArrowResponse, ReadRecordsResponse


class Collections(CollectionClient):
    """Connections, collections, runs, and the records that came of them."""

    def __init__(self, caller: Caller, tasks: Tasks) -> None:
        super().__init__(caller)
        self._tasks = tasks

    def run(
        self,
        collection_id: str,
        *,
        full: bool = False,
        backfill: Span | None = None,
        request_id: str = "",
        timeout: Timeout = None,
    ) -> RunHandle:
        """Starts a run from the cursor on, over everything with `full`, or over a span of the past.

        `backfill` is a pair of times, numbers or texts of the cursor field: from the first on, before
        the second.
        """
        answer = self.run_collection(
            collection_id,
            full=full or None,
            backfill=to_backfill(backfill),
            request_id=request_id,
            timeout=timeout,
        )
        task = self._tasks.handle(answer.run.id)
        return RunHandle(self, task, answer.run.dataset_id, created=answer.created)

    def run_handle(self, run_id: str, *, timeout: Timeout = None) -> RunHandle:
        """A handle for a run that is there already."""
        run = (self.get_run(run_id, timeout=timeout)).run
        return RunHandle(self, TaskHandle(self._tasks, run.id), run.dataset_id)

    def read_records(
        self,
        dataset_id: str,
        *,
        columns: Sequence[str] = (),
        filter: str = "",  # noqa: A002  as the field is called
        version: int = 0,
        limit: int = 0,
    ) -> io.Iterating[dict[str, Any]]:
        """Rows one by one, from one version of the dataset. For many of them `read_batches` is faster."""

        def open_at(token: str) -> Stream[ReadRecordsResponse]:
            return self.read_records_stream(
                dataset_id, columns=columns, filter=filter, version=version, limit=limit, resume_token=token
            )

        return records.read_records(open_at)

    def read_batches(
        self,
        dataset_id: str,
        *,
        columns: Sequence[str] = (),
        filter: str = "",  # noqa: A002  as the field is called
        version: int = 0,
        limit: int = 0,
        batch_bytes: int = 0,
    ) -> io.Iterating[RecordBatch]:
        """Arrow record batches as they come, so that any dataset fits in memory."""

        def open_at(token: str) -> Stream[ReadArrowResponse]:
            return self.read_arrow_stream(
                dataset_id,
                columns=columns,
                filter=filter,
                version=version,
                limit=limit,
                batch_bytes=batch_bytes,
                resume_token=token,
            )

        return records.read_batches(open_at)

    def read_arrow(
        self,
        dataset_id: str,
        *,
        columns: Sequence[str] = (),
        filter: str = "",  # noqa: A002  as the field is called
        version: int = 0,
        limit: int = 0,
    ) -> Table:
        """All the rows as one Arrow table in memory."""

        def open_at(token: str) -> Stream[ReadArrowResponse]:
            return self.read_arrow_stream(
                dataset_id, columns=columns, filter=filter, version=version, limit=limit, resume_token=token
            )

        return records.read_table(open_at)
