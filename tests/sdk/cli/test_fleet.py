"""`weir workers` and `weir queues`."""

from tests.fixtures.cli import Weir
from tests.fixtures.up import within


def test_a_worker_is_drained_and_taken_back_in(weir: Weir):
    header, row = weir("workers", "list").out.splitlines()
    assert header.split() == ["ID", "HOST", "STATE", "QUEUES", "TASKS", "SLOTS"]
    (listed,) = weir("workers", "list", "--json").lines
    assert row.split()[0] == listed["id"]
    assert "probe.echo" in listed["task_types"]
    assert weir("workers", "drain", listed["id"]).document["state"] == "WORKER_STATE_DRAINING"
    assert weir("workers", "resume", listed["id"], "--json").document["state"] == "WORKER_STATE_ACTIVE"
    assert weir("tasks", "submit", "probe.echo", '{"text": "x"}').status == 0


def test_a_queue_is_limited_paused_and_resumed(weir: Weir):
    limited = weir("queues", "limit", "default", "--running", "3").document
    assert (limited["max_running"], limited.get("max_per_minute", 0)) == (3, 0)
    assert weir("queues", "pause", "default", "--reason", "moving house").document["paused"]
    task_id = weir("tasks", "submit", "probe.echo", '{"text": "x"}', "--no-wait").out.strip()
    within(lambda: "moving house" in weir("tasks", "explain", task_id).out)
    resumed = weir("queues", "resume", "default", "--json").document
    assert not resumed.get("paused", False)
    assert weir("tasks", "result", task_id).status == 0
    header, row = weir("queues", "list", "--filter", "name = default").out.splitlines()
    told = dict(zip(header.split(), row.split(), strict=True))
    assert (told["NAME"], told["PAUSED"], told["MAX_RUNNING"]) == ("default", "False", "3")
    assert weir("queues", "limit", "default", "--running", "0").status == 0
    nothing = weir("queues", "limit", "default")
    assert (nothing.status, "say which limit: --running NUMBER or --per-minute NUMBER" in nothing.err) == (
        2,
        True,
    )
