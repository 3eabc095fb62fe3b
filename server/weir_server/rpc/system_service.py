"""SystemService: how the installation is, its workers and queues, and its upkeep."""

from typing import Any

from weir.v1 import system_service_pb2 as pb
from weir.v1 import system_service_pb2_grpc
from weir_core.ids import parse_id
from weir_core.runtime import Runtime
from weir_core.system.health import Health
from weir_core.tasks.queues import CHANGEABLE, Queues
from weir_server.interceptors.authentication import caller
from weir_server.rpc import convert_system
from weir_server.rpc.convert import masked, span


class SystemServicer(system_service_pb2_grpc.SystemServiceServicer):
    """For operators."""

    def __init__(self, runtime: Runtime, health: Health) -> None:
        self._health = health
        self._fleet = runtime.fleet
        self._queues = Queues(runtime.db, runtime.promotion)
        self._compaction = runtime.collecting.compaction
        self._signals = runtime.signals
        self._pages = runtime.pages

    async def GetStatus(self, request: pb.GetStatusRequest, context: Any) -> pb.GetStatusResponse:
        return pb.GetStatusResponse(status=convert_system.status(await self._health.status()))

    async def ListWorkers(self, request: pb.ListWorkersRequest, context: Any) -> pb.ListWorkersResponse:
        scope = f"ListWorkers {caller().principal.id} {request.filter}"
        page = self._pages.page(request.page_size, request.page_token, scope)
        found = await self._fleet.list_workers(page, request.filter)
        workers, token = self._pages.cut(
            found, page, scope, lambda worker: [str(worker.id)], convert_system.worker
        )
        return pb.ListWorkersResponse(workers=workers, next_page_token=token)

    async def UpdateWorker(self, request: pb.UpdateWorkerRequest, context: Any) -> pb.UpdateWorkerResponse:
        worker_id = parse_id("worker_id", request.worker_id)
        found = await self._fleet.order(worker_id, draining=request.draining, grace=span(request, "grace"))
        await self._signals.wake_worker(worker_id)
        return pb.UpdateWorkerResponse(worker=convert_system.worker(found))

    async def ListQueues(self, request: pb.ListQueuesRequest, context: Any) -> pb.ListQueuesResponse:
        scope = f"ListQueues {caller().principal.id} {request.filter}"
        page = self._pages.page(request.page_size, request.page_token, scope)
        found = await self._queues.list_queues(page, request.filter)
        queues, token = self._pages.cut(found, page, scope, lambda queue: [queue.name], convert_system.queue)
        return pb.ListQueuesResponse(queues=queues, next_page_token=token)

    async def UpdateQueue(self, request: pb.UpdateQueueRequest, context: Any) -> pb.UpdateQueueResponse:
        fields = masked(request.update_mask, CHANGEABLE)
        changes = {field: getattr(request.queue, field) for field in fields}
        changed = await self._queues.update(request.queue.name, changes)
        return pb.UpdateQueueResponse(queue=convert_system.queue(changed))

    async def RunMaintenance(
        self, request: pb.RunMaintenanceRequest, context: Any
    ) -> pb.RunMaintenanceResponse:
        dataset_id = parse_id("compact_dataset.dataset_id", request.compact_dataset.dataset_id)
        made = await self._compaction.start(caller(), dataset_id, request.request_id)
        return pb.RunMaintenanceResponse(task_id=str(made.task.id))
