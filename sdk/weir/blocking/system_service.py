# ruff: noqa: A002  arguments are called as the fields they fill
"""The client of SystemService. Generated from `weir/v1/system_service.proto` by `make gen`."""

from weir import methods
from weir.blocking.caller import Caller
from weir.blocking.pages import Pages, fetcher
from weir.deadline import Timeout
from weir.masks import MaskLike, to_mask
from weir.method import fresh_id
from weir.times import DurationLike, to_duration
from weir.v1 import system_pb2, system_service_pb2


class SystemClient:
    """Status, workers and queues. Liveness is the standard grpc.health.v1.Health."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def get_status(self, *, timeout: Timeout = None) -> system_service_pb2.GetStatusResponse:
        """Says how the parts are, with the numbers an operator looks at first.

        Args:
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = system_service_pb2.GetStatusRequest()
        return self._caller.unary(methods.GET_STATUS, request, timeout)

    def list_workers(
        self, *, page_size: int = 0, page_token: str = "", filter: str = "", timeout: Timeout = None
    ) -> Pages[system_service_pb2.ListWorkersResponse, system_pb2.Worker]:
        """Lists workers, those lost within the last hour included.

        Args:
            page_size: Entries a page; 0 means 50, above 1,000 is lowered to 1,000.
            page_token: Page to give: `next_page_token` of the page before. Empty: the first.
            filter: Which entries; see common.proto. Empty: all.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """

        def request(page_token: str) -> system_service_pb2.ListWorkersRequest:
            return system_service_pb2.ListWorkersRequest(
                page_size=page_size, page_token=page_token, filter=filter
            )

        fetch = fetcher(self._caller, methods.LIST_WORKERS, request, timeout)
        return Pages(fetch, page_token, lambda page: page.workers)

    def update_worker(
        self, worker_id: str, *, draining: bool = False, grace: DurationLike = None, timeout: Timeout = None
    ) -> system_service_pb2.UpdateWorkerResponse:
        """Drains a worker (takes no more, ends what it has) or takes it back in.

        Args:
            worker_id: The worker.
            draining: True: drain; false: take work again.
            grace: With drain: tasks that have not ended by then go back to their queue. Unset: they run
                to their end.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = system_service_pb2.UpdateWorkerRequest(
            worker_id=worker_id, draining=draining, grace=to_duration(grace, "grace")
        )
        return self._caller.unary(methods.UPDATE_WORKER, request, timeout)

    def list_queues(
        self, *, page_size: int = 0, page_token: str = "", filter: str = "", timeout: Timeout = None
    ) -> Pages[system_service_pb2.ListQueuesResponse, system_pb2.Queue]:
        """Lists queues with depth, age and limits.

        Args:
            page_size: Entries a page; 0 means 50, above 1,000 is lowered to 1,000.
            page_token: Page to give: `next_page_token` of the page before. Empty: the first.
            filter: Which entries; see common.proto. Empty: all.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """

        def request(page_token: str) -> system_service_pb2.ListQueuesRequest:
            return system_service_pb2.ListQueuesRequest(
                page_size=page_size, page_token=page_token, filter=filter
            )

        fetch = fetcher(self._caller, methods.LIST_QUEUES, request, timeout)
        return Pages(fetch, page_token, lambda page: page.queues)

    def update_queue(
        self,
        name: str,
        *,
        paused: bool = False,
        pause_reason: str = "",
        max_running: int = 0,
        max_per_minute: int = 0,
        queued: int = 0,
        running: int = 0,
        waiting: int = 0,
        oldest_age: DurationLike = None,
        worker_count: int = 0,
        update_mask: MaskLike,
        timeout: Timeout = None,
    ) -> system_service_pb2.UpdateQueueResponse:
        """Pauses or resumes a queue, or sets its limits. Running tasks go on.

        Args:
            name: Name.
            paused: True: hands out no tasks.
            pause_reason: Why.
            max_running: Tasks running at a time, over all workers. 0: no limit.
            max_per_minute: Tasks started a minute. 0: no limit.
            queued: Tasks that lack only a worker, counted to 100,000. Output only, as all that follows.
            running: Tasks that workers hold.
            waiting: Tasks that wait for room at a limit or for the end of the pause.
            oldest_age: Age of the oldest queued task; 0 s if there is none.
            worker_count: Workers that serve it.
            update_mask: What to change: `paused`, `pause_reason`, `max_running`, `max_per_minute`.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = system_service_pb2.UpdateQueueRequest(
            queue=system_pb2.Queue(
                name=name,
                paused=paused,
                pause_reason=pause_reason,
                max_running=max_running,
                max_per_minute=max_per_minute,
                queued=queued,
                running=running,
                waiting=waiting,
                oldest_age=to_duration(oldest_age, "oldest_age"),
                worker_count=worker_count,
            ),
            update_mask=to_mask(update_mask, "update_mask"),
        )
        return self._caller.unary(methods.UPDATE_QUEUE, request, timeout)

    def run_maintenance(
        self,
        *,
        compact_dataset: system_service_pb2.RunMaintenanceRequest.CompactDataset | None = None,
        request_id: str = "",
        timeout: Timeout = None,
    ) -> system_service_pb2.RunMaintenanceResponse:
        """Starts upkeep, as a task of the project that it is done for. Where the same goes on or waits
        already, its task is given.

        Args:
            compact_dataset: Compact.
            request_id: Makes the call safe to repeat; see common.proto.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = system_service_pb2.RunMaintenanceRequest(
            compact_dataset=compact_dataset, request_id=request_id or fresh_id()
        )
        return self._caller.unary(methods.RUN_MAINTENANCE, request, timeout)
