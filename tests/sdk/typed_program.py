"""What a user writes: it must pass pyright's strict mode as it stands."""

import asyncio
import sys

from weir import AsyncClient, Client, errors
from weir.types import RetryPolicy


def watch(address: str, url: str) -> int:
    with Client(address, user="admin", password="long enough to be one") as weir:
        task = weir.tasks.submit("monitor.source", {"url": url}, retry=RetryPolicy(max_attempts=2))
        for event in task.watch(kinds=["progress", "log"]):
            match event.WhichOneof("payload"):
                case "progress":
                    print(f"{event.progress.done:.0f}/{event.progress.total:.0f}")
                case "log":
                    print(event.log.text)
                case _:
                    print(event.seq)
        try:
            print(task.result(timeout=60)["latency_ms"])
        except errors.TaskFailed as failure:
            print(failure, *failure.log_tail, sep="\n")
            return 1
    return 0


async def count(address: str, key: str, dataset_id: str) -> tuple[int, int]:
    async with AsyncClient(address, api_key=key, timeout=5) as weir:
        failed = [task.id async for task in weir.tasks.list_tasks(filter="state = FAILED")]
        table = await weir.collections.read_arrow(dataset_id, columns=["id"])
        return len(failed), table.num_rows


if __name__ == "__main__":
    asyncio.run(count(*sys.argv[1:4]))
    sys.exit(watch(sys.argv[1], sys.argv[4]))
