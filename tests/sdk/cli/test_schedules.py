"""`weir schedules`, with a scheduler that fires."""

import pytest

from tests.fixtures.cli import Weir
from tests.fixtures.up import within

FIRED = "FIRE_RESULT_FIRED"


def create(weir: Weir, name: str, *options: str) -> str:
    """The id of a new schedule of `probe.echo`."""
    ran = weir("schedules", "create", name, "probe.echo", '{"text": "at {fire_time}"}', *options, "--json")
    assert ran.status == 0, ran.err
    return ran.document["id"]


class TestLife:
    def test_from_creation_to_deletion(self, weir: Weir):
        options = ("--every", "2h", "--overlap", "queue-one", "--label", "a=b", "--jitter", "90s")
        schedule_id = create(weir, "tick", *options)
        shown = weir("schedules", "show", "tick", "--json").document
        assert shown["id"] == schedule_id
        assert shown["timing"] == {"interval": "7200s", "jitter": "90s"}
        assert (shown["overlap"], shown["labels"]) == ("OVERLAP_POLICY_QUEUE_ONE", {"a": "b"})
        header, *rows = weir("schedules", "list").out.splitlines()
        assert header.split() == ["ID", "NAME", "TYPE", "PAUSED", "NEXT_FIRE_TIMES"]
        assert any(schedule_id in row and "probe.echo" in row for row in rows)
        assert weir("schedules", "delete", "tick").out == f"deleted {schedule_id}\n"
        gone = weir("schedules", "show", "tick")
        assert (gone.status, "there is no schedule 'tick'" in gone.err) == (2, True)

    def test_pause_and_resume(self, weir: Weir):
        create(weir, "paused", "--cron", "@daily")
        paused = weir("schedules", "pause", "paused", "--reason", "holidays", "--json").document
        assert (paused["paused"], paused["pause_reason"]) == (True, "holidays")
        assert "next_fire_times" not in paused
        resumed = weir("schedules", "resume", "paused", "--json").document
        assert "paused" not in resumed
        assert len(resumed["next_fire_times"]) == 5

    def test_it_fires_and_its_tasks_run(self, weir: Weir):
        schedule_id = create(weir, "often", "--every", "1s", "--overlap", "allow")

        def succeeded() -> list[str]:
            wanted = f"schedule_id = {schedule_id} AND state = SUCCEEDED"
            return [each["fire_time"] for each in weir("tasks", "list", "--filter", wanted, "--json").lines]

        within(lambda: len(succeeded()) >= 2)
        weir("schedules", "pause", "often")
        times = succeeded()
        assert len(set(times)) == len(times)

    def test_a_trigger_fires_now_or_for_a_past_span(self, weir: Weir):
        create(weir, "asked", "--cron", "0 0 * * *", "--paused")
        (now,) = weir("schedules", "trigger", "asked", "--json").lines
        assert now["result"] == FIRED
        span = ("--from", "2026-01-01", "--to", "2026-01-03T00:00:01Z")
        header, *rows = weir("schedules", "trigger", "asked", *span).out.splitlines()
        assert header.split() == ["FIRE_TIME", "RESULT", "TASK_ID", "COUNT", "MESSAGE"]
        assert [row.split()[0] for row in rows] == [f"2026-01-0{day}T00:00:00" for day in (1, 2, 3)]


class TestPreview:
    def test_it_tells_when_and_what_may_surprise(self, weir: Weir):
        options = (
            "--cron",
            "30 2 * * *",
            "--zone",
            "Europe/Berlin",
            "--from",
            "2026-10-24T12:00",
            "--count",
            "1",
        )
        ran = weir("schedules", "preview", *options)
        assert (ran.status, ran.out) == (0, "2026-10-25T00:30:00Z\n")
        assert "comes twice" in ran.err
        document = weir("schedules", "preview", *options, "--json").document
        assert document["fire_times"] == ["2026-10-25T00:30:00Z"]


@pytest.mark.parametrize(
    "words,said",
    [
        (("preview",), "one of --cron, --every, --once"),
        (("preview", "--cron", "@daily", "--every", "1h"), "one of --cron, --every, --once"),
        (("preview", "--every", "soon"), "write 30s, 10m, 2h or 1d"),
        (("preview", "--once", "soon"), "2026-11-01T12:00:00Z"),
        (("preview", "--cron", "* * *"), "five fields"),
        (("trigger", "tick", "--from", "2026-01-01"), "belong together"),
        (("create", "x", "probe.echo", "--every", "1h", "--label", "team"), "KEY=VALUE"),
    ],
)
def test_what_is_wrong_is_told(weir: Weir, words: tuple[str, ...], said: str):
    ran = weir("schedules", *words)
    assert ran.status != 0
    assert said in " ".join(ran.err.split())
