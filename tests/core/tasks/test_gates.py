import pytest

from weir_core.tasks.gates import Gate, described, key_gate, queue_gate


class TestRoom:
    def test_without_a_limit_there_is_much(self):
        assert Gate("queue/a", running=5000).room(7) > 100_000

    @pytest.mark.parametrize("running,room", [(0, 3), (2, 1), (3, 0), (9, 0)])
    def test_runs_at_most_so_many(self, running: int, room: int):
        assert Gate("queue/a", max_running=3, running=running).room(7) == room

    @pytest.mark.parametrize("minute,room", [(7, 2), (8, 10)])
    def test_starts_are_counted_by_the_minute(self, minute: int, room: int):
        assert Gate("queue/a", max_per_minute=10, minute=7, started=8).room(minute) == room

    def test_a_pause_lets_nobody_in(self):
        assert Gate("queue/a", paused=True, max_running=3).room(7) == 0


class TestEnter:
    def test_a_new_minute_counts_anew(self):
        gate = Gate("queue/a", max_per_minute=10, minute=7, started=10)
        gate.enter(8)
        assert (gate.minute, gate.started, gate.running) == (8, 1, 1)

    def test_leaving_never_goes_below_nothing(self):
        gate = Gate("queue/a")
        gate.leave()
        assert gate.running == 0


class TestIdle:
    @pytest.mark.parametrize(
        "gate,idle",
        [
            (Gate(key_gate("default", "erp")), True),
            (Gate(key_gate("default", "erp"), waiting=1), False),
            (Gate(key_gate("default", "erp"), running=1), False),
            (Gate(queue_gate("default")), False),
        ],
    )
    def test_only_keys_without_use_are(self, gate: Gate, idle: bool):
        assert gate.idle is idle


@pytest.mark.parametrize(
    "name,words",
    [("queue/gpu", "queue 'gpu'"), ("type/file.move", "type 'file.move'"), ("key/default/a/b", "key 'a/b'")],
)
def test_a_gate_in_words(name: str, words: str):
    assert described(name) == words
