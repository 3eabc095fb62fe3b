"""`weir tasks` for a person and for a program."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fixtures.cli import Terminal, Weir
from tests.fixtures.up import within


def submitted(weir: Weir, kind: str, given: str = "{}", *options: str) -> str:
    """The id of a new task."""
    ran = weir("tasks", "submit", kind, given, "--no-wait", *options)
    assert ran.status == 0, ran.err
    return ran.out.strip()


def is_running(weir: Weir, task_id: str) -> bool:
    return weir("tasks", "get", task_id, "--json").document["state"] == "TASK_STATE_RUNNING"


class TestTypes:
    def test_as_a_table_and_as_lines(self, weir: Weir):
        header, *rows = weir("tasks", "types").out.splitlines()
        assert header.split() == ["NAME", "VERSION", "WORKER_COUNT", "DESCRIPTION"]
        assert ["probe.echo", "1", "1", "Give", "the", "text", "back."] in [row.split() for row in rows]
        lines = weir("tasks", "types", "--json").lines
        assert [each["name"] for each in lines] == [row.split()[0] for row in rows]

    def test_one_with_its_schemas(self, weir: Weir):
        shown = weir("tasks", "type", "probe.steps", "--json").document
        assert shown["input_schema"]["properties"]["count"]["default"] == 3


class TestSubmit:
    def test_shows_a_person_the_events_and_the_output(self, weir: Weir):
        ran = weir("tasks", "submit", "probe.steps", '{"count": 2}')
        assert ran.status == 0, ran.err
        events, _, output = ran.out.partition("SUCCEEDED\n")
        assert json.loads(output)["count"] == 2
        told = [re.sub(r"^ +\d+  \d\d:\d\d:\d\d  ", "", line) for line in events.splitlines()]
        assert told[:2] == ["QUEUED", "RUNNING"]
        assert {"step 1", "step 2", "2 of 2 steps step 2"} <= set(told)
        assert "\x1b" not in ran.out

    def test_gives_a_program_the_events_and_the_task(self, weir: Weir):
        ran = weir("tasks", "submit", "probe.steps", '{"count": 2}', "--json")
        *events, task = ran.lines
        assert [int(event["seq"]) for event in events] == list(range(1, len(events) + 1))
        assert {event["task_id"] for event in events} == {task["id"]}
        assert events[-1]["state"]["to_state"] == task["state"] == "TASK_STATE_SUCCEEDED"
        assert (task["output"]["count"], task["attempt"]) == (2, 1)

    def test_passes_on_what_it_was_given(self, weir: Weir, tmp_path: Path):
        (tmp_path / "input.json").write_text('{"text": "from a file"}')
        options = [
            "--label",
            "team=blue",
            "--label",
            "x=1=2",
            "--max-attempts",
            "2",
            "--attempt-timeout",
            "90",
        ]
        options += ["--start-after", "2100-01-31T08:00+02:00", "--request-id", tmp_path.name]
        given = f"@{tmp_path / 'input.json'}"
        ran = weir("tasks", "submit", "probe.echo", given, "--no-wait", "--json", *options)
        spec = ran.document["spec"]
        assert (ran.document["state"], spec["start_after"]) == ("TASK_STATE_PENDING", "2100-01-31T06:00:00Z")
        assert (spec["input"], spec["labels"]) == ({"text": "from a file"}, {"team": "blue", "x": "1=2"})
        assert (spec["retry"]["max_attempts"], spec["timeouts"]["attempt"]) == (2, "90s")
        assert submitted(weir, "probe.echo", given, *options) == ran.document["id"]
        weir("tasks", "cancel", ran.document["id"])

    def test_reads_the_input_from_a_pipe(self, weir: Weir):
        ran = weir("tasks", "submit", "probe.echo", "@-", given='{"text": "von drüben ☃"}')
        assert ran.out.endswith('{\n  "text": "von drüben ☃"\n}\n')

    def test_tells_the_cause_of_a_failure(self, weir: Weir):
        ran = weir("tasks", "submit", "probe.raise", '{"text": "x"}')
        assert ran.status == 3
        task_id = re.search("task ([0-9a-f-]{36}) failed", ran.err)
        assert task_id
        assert re.sub(r"raises:\d+", "raises:LINE", ran.err).splitlines() == [
            f"weir: task {task_id[1]} failed: ValueError: invalid literal for int() with base 10: 'x'",
            "  kind USER_ERROR",
            "  caused by RuntimeError: could not do it with [redacted] (probes.py:raises:LINE)",
            "  caused by ValueError: invalid literal for int() with base 10: 'x' (probes.py:raises:LINE)",
            "  log: about to raise with [redacted]: x",
            f"  see its whole log with: weir tasks events {task_id[1]}",
        ]

    def test_gives_a_program_the_cause_of_a_failure(self, weir: Weir):
        ran = weir("tasks", "submit", "probe.fail", "{}", "--json")
        assert ran.status == 3
        assert ran.lines[-1]["state"] == "TASK_STATE_FAILED"
        assert (ran.error["kind"], ran.error["task_id"]) == ("HandlerFailed", ran.lines[-1]["id"])
        assert ran.error["failure"]["message"] == "told to fail"

    def test_what_steers_a_terminal_is_made_visible(self, weir: Weir):
        given = '{"message": "\\u001b[2J\\r\\u202egone", "kind": "USER_ERROR"}'
        ran = weir("tasks", "submit", "probe.fail", given)
        assert "\\x1b[2J\\r\\u202egone" in ran.out
        assert not set("\x1b\u202e\r") & set(ran.out + ran.err)


class TestTerminal:
    def test_shows_a_live_bar_that_fills(self, weir: Weir):
        ran = weir.on_terminal("tasks", "submit", "probe.steps", '{"count": 5, "pause": 0.2}')
        assert ran.status == 0
        assert "━" in ran.out
        # The bar is drawn over and over on its own line, below the events.
        assert ran.out.count("\x1b[2K") > 3
        steps = [number for number in range(1, 6) if f"{number} of 5 steps step {number}" in ran.out]
        assert len(steps) > 1
        assert "SUCCEEDED" in ran.out
        assert '"count": 5' in ran.out

    def test_ctrl_c_ends_the_looking_and_not_the_task(self, weir: Weir, tmp_path: Path):
        pressed: list[bool] = []

        def interrupt(terminal: Terminal) -> None:
            # Once: a second one would break into the end of the display.
            if "pid=" in terminal.shown and not pressed:
                pressed.append(True)
                terminal.interrupt()

        given = json.dumps({"path": str(tmp_path / "go")})
        ran = weir.on_terminal("tasks", "submit", "probe.until", given, during=interrupt)
        assert ran.status == 130
        task_id = re.search("the task goes on; look again with: weir tasks watch ([0-9a-f-]{36})", ran.out)
        assert task_id
        assert is_running(weir, task_id[1])
        (tmp_path / "go").touch()
        assert weir("tasks", "result", task_id[1], "--json").document["attempt"] == 1


class TestLooking:
    def test_again_at_a_task_that_has_ended(self, weir: Weir):
        task_id = submitted(weir, "probe.steps", '{"count": 3}')
        assert weir("tasks", "result", task_id, "--json").document["count"] == 3
        events = weir("tasks", "events", task_id, "--json").lines
        watched = weir("tasks", "watch", task_id, "--json")
        assert (watched.status, watched.lines) == (0, events)
        later = weir("tasks", "watch", task_id, "--from-seq", "4", "--json").lines
        assert later == events[3:]
        logs = weir("tasks", "events", task_id, "--kind", "log", "--tail", "2").out.splitlines()
        assert [line.split("  ")[-1] for line in logs] == ["step 2", "step 3"]
        assert weir("tasks", "events", task_id, "--kind", "log", "--level", "warning").out == ""
        shown = weir("tasks", "get", task_id).document
        assert (shown["state"], shown["output"]["count"]) == ("TASK_STATE_SUCCEEDED", 3)

    def test_at_a_list_that_is_filtered_and_cut(self, weir: Weir):
        first, second = (
            submitted(weir, "probe.echo", '{"text": "x"}', "--queue", "nobody") for _ in range(2)
        )
        header, *rows = weir("tasks", "list", "--filter", "queue = nobody").out.splitlines()
        assert header.split() == ["ID", "TYPE", "STATE", "ATTEMPT", "CREATE_TIME"]
        assert [row.split()[:3] for row in rows] == [
            [task_id, "probe.echo", "QUEUED"] for task_id in (second, first)
        ]
        cut = weir("tasks", "list", "--filter", "queue = nobody", "--limit", "1", "--json")
        assert [task["id"] for task in cut.lines] == [second]
        for task_id in (first, second):
            assert weir("tasks", "cancel", task_id).out == "CANCELLED CONFIRMED\n"

    def test_at_all_that_match_as_they_change(self, weir: Weir):
        with weir.start("tasks", "watch", "--filter", 'labels.batch = "seen"') as watching:
            assert watching.stdout
            lines = (line.decode() for line in watching.stdout)
            assert [next(lines), next(lines)] == [
                "-- tasks that have not ended:\n",
                "-- 0 in all; what follows is news\n",
            ]
            submitted(weir, "probe.echo", '{"text": "x"}')
            task_id = submitted(weir, "probe.echo", '{"text": "x"}', "--label", "batch=seen")
            told = [next(lines)]
            while "SUCCEEDED" not in told[-1]:
                told.append(next(lines))
            watching.terminate()
        assert all(line.startswith(task_id) for line in told)

    def test_for_a_result_ends_when_the_time_is_over(self, weir: Weir, tmp_path: Path):
        task_id = submitted(weir, "probe.until", json.dumps({"path": str(tmp_path / "go")}))
        ran = weir("tasks", "result", task_id, "--timeout", "0.2")
        assert (ran.status, f"look again with: weir tasks watch {task_id}" in ran.err) == (1, True)
        weir("tasks", "cancel", task_id)


class TestTending:
    def test_says_why_a_task_waits_and_what_can_be_done(self, weir: Weir):
        first = submitted(weir, "probe.echo", '{"text": "x"}', "--queue", "unserved")
        waits = submitted(weir, "probe.echo", '{"text": "x"}', "--after", first, "--priority", "high")
        told = weir("tasks", "explain", waits).out
        assert f"it waits for task {first}, which is QUEUED" in told
        because = weir("tasks", "explain", first, "--json").document
        assert "BLOCKER_KIND_NO_WORKER" in [each["kind"] for each in because["blockers"]]
        chosen = "queue = unserved"
        assert weir("tasks", "cancel-all", chosen, "--count").out == "1 tasks would be asked to stop\n"
        assert weir("tasks", "cancel-all", chosen, "--json").document == {"task_count": "1"}
        assert weir("tasks", "result", first).status == 3

    def test_all_that_failed_are_submitted_anew(self, weir: Weir):
        failed = submitted(weir, "probe.fail", "{}", "--label", "batch=again")
        assert weir("tasks", "result", failed).status == 3
        chosen = 'labels.batch = "again"'
        assert weir("tasks", "retry-all", chosen, "--count").out == "1 tasks would be submitted anew\n"
        bulk = weir("tasks", "retry-all", chosen, "--json").document["task_id"]
        assert weir("tasks", "result", bulk, "--json").document["submitted"] == 1
        assert weir("tasks", "retry-all", f"{chosen} AND retry_of_task_id = {failed}", "--count").status == 0

    def test_an_ended_task_is_submitted_anew(self, weir: Weir):
        first = submitted(weir, "probe.fail", '{"times": 0, "kind": "USER_ERROR"}')
        assert weir("tasks", "result", first).status == 0
        again = weir("tasks", "retry", first).out.strip()
        assert again != first
        assert weir("tasks", "result", again, "--json").document["attempt"] == 1


class TestCancel:
    def test_waits_until_nothing_runs_any_more(self, weir: Weir, tmp_path: Path):
        task_id = submitted(weir, "probe.until", json.dumps({"path": str(tmp_path / "never")}))
        within(lambda: is_running(weir, task_id))
        ran = weir("tasks", "cancel", task_id, "--reason", "enough", "--json")
        assert ran.status == 0
        assert ran.document["state"] == "TASK_STATE_CANCELLED"
        assert ran.document["cancellation"]["reason"] == "enough"
        told = weir("tasks", "events", task_id, "--kind", "cancel").out
        assert re.findall(r"cancel (\w+)", told) == ["REQUESTED", "SIGNALLED", "CONFIRMED"]
        again = weir("tasks", "watch", task_id)
        assert (again.status, "was cancelled: enough" in again.err) == (3, True)
        assert weir("tasks", "cancel", task_id).out == "CANCELLED CONFIRMED\n"

    def test_of_a_task_that_succeeded_changes_nothing(self, weir: Weir):
        task_id = submitted(weir, "probe.echo", '{"text": "x"}')
        weir("tasks", "result", task_id)
        assert weir("tasks", "cancel", task_id).out == "SUCCEEDED had ended before\n"


NOWHERE = "01890000-0000-7000-8000-000000000000"
REFUSED: list[tuple[list[str], int, str, str]] = [
    (["submit", "no.such"], 2, "spec.type: no worker has brought a task type 'no.such'", "weir tasks types"),
    (
        ["submit", "probe.echo", '{"txt": 1}'],
        2,
        "spec.input: 'text' is a required property",
        "weir tasks type TYPE",
    ),
    (["submit", "probe.echo", "text"], 2, "the input is not JSON", "weir tasks submit --help"),
    (
        ["submit", "probe.echo", "[]"],
        2,
        "the input must be a JSON object, such as",
        "weir tasks submit --help",
    ),
    (
        ["submit", "probe.echo", "@/nowhere"],
        2,
        "the file '/nowhere' can't be read: No such",
        "weir tasks submit --help",
    ),
    (["submit", "probe.echo", '{"n": 9007199254740993}'], 2, "input.n: 9007199254740993 is beyond 2^53", ""),
    (
        ["submit", "probe.echo", "--label", "x"],
        2,
        "--label x: must be NAME=VALUE",
        "weir tasks submit --help",
    ),
    (["submit", "probe.echo", "--start-after", "soon"], 2, "--start-after soon: must be a time", "--help"),
    (["submit"], 2, "Missing argument 'TASK_TYPE'", "weir tasks submit --help"),
    (["list", "--filter", "stat = X"], 2, "'stat' can't be filtered by; known are", "weir tasks list --help"),
    (["list", "--filter", "state ="], 2, "expected a value for 'state' (column 8)", "weir tasks list --help"),
    (["get", "x"], 2, "task_id: must be a valid UUID, not 'x'", "weir tasks get --help"),
    (["get", NOWHERE], 6, f"task '{NOWHERE}' does not exist, or you may not see it", "weir tasks list"),
    (["watch", NOWHERE], 6, "does not exist", "weir tasks list"),
    (["type", "no.such"], 6, "does not exist", "weir tasks types"),
    (["bogus"], 2, "No such command 'bogus'", "weir tasks --help"),
    (["watch"], 2, "give a task's id, or --filter for all tasks that match", "weir tasks watch --help"),
]


def test_a_refusal_says_what_where_which_value_what_would_be_right_and_what_helps(weir: Weir):
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda case: weir("tasks", *case[0]), REFUSED))
    for (words, status, text, helps), ran in zip(REFUSED, answers, strict=True):
        assert (ran.status, ran.out) == (status, ""), words
        assert text in ran.err, words
        assert helps in ran.err, words


@pytest.mark.parametrize("case", [0, 2, 9, 12, 15])
def test_a_refusal_is_one_document_for_a_program(weir: Weir, case: int):
    words, status, text, helps = REFUSED[case]
    ran = weir("tasks", *words, "--json")
    assert (ran.status, ran.out) == (status, "")
    assert text in f"{ran.error['message']} {ran.error.get('violations')}"
    assert helps in ran.error["help"]
    assert len(ran.error.get("request_id", "x" * 32)) == 32


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_reader_that_has_had_enough_ends_it_quietly(weir: Weir, options: tuple[str, ...]):
    running = weir.start("tasks", "submit", "probe.steps", '{"count": 40, "pause": 0.05}', *options)
    assert running.stdout
    assert running.stderr
    assert running.stdout.readline()
    running.stdout.close()
    assert running.stderr.read() == b""
    running.stderr.close()
    assert running.wait(60) == 0


class TestFiles:
    def test_are_listed_and_saved(self, weir: Weir, tmp_path: Path):
        task = weir("tasks", "submit", "probe.artifact", '{"text": "héllo"}', "--json").lines[-1]
        header, row = weir("tasks", "files", task["id"]).out.splitlines()
        assert header.split() == ["ID", "NAME", "SIZE_BYTES", "MEDIA_TYPE", "CREATE_TIME"]
        file_id, name, size, *_ = row.split()
        assert (file_id, name, size) == (task["output"]["text"], "note.txt", "6")
        (line,) = weir("tasks", "files", task["id"], "--json").lines
        assert (line["id"], line["media_type"], line["task_id"]) == (file_id, "text/plain", task["id"])
        told = weir("tasks", "events", task["id"], "--kind", "artifact").out
        assert f"file note.txt, 6 bytes: weir tasks download {file_id}" in told

        ran = weir("tasks", "download", file_id, "-o", tmp_path / "here.txt")
        assert (ran.status, ran.out) == (0, "")
        assert (tmp_path / "here.txt").read_text() == "héllo"
        assert weir("tasks", "download", file_id, "-o", "-").out == "héllo"
        ran = weir("tasks", "download", file_id, "-o", tmp_path / "again.txt", "--json")
        assert ran.document["name"] == "note.txt"

    def test_a_file_of_that_name_is_not_overwritten(self, weir: Weir, tmp_path: Path):
        task = weir("tasks", "submit", "probe.artifact", '{"text": "x"}', "--json").lines[-1]
        file_id = task["output"]["text"]
        there = replace(weir, folder=tmp_path)
        assert there("tasks", "download", file_id).status == 0
        assert (tmp_path / "note.txt").read_text() == "x"
        refused = there("tasks", "download", file_id)
        assert refused.status == 2
        assert "note.txt is there already; say where to with -o" in refused.err

    def test_what_is_not_there_is_told(self, weir: Weir, tmp_path: Path):
        nothing = "01990000-0000-7000-8000-000000000000"
        assert weir("tasks", "files", nothing).status == 6
        ran = weir("tasks", "download", nothing, "-o", tmp_path / "x")
        assert (ran.status, list(tmp_path.iterdir())) == (6, [])
        assert "see what there is with: weir tasks files TASK" in ran.err

    def test_a_large_result_is_followed(self, weir: Weir):
        ran = weir("tasks", "submit", "probe.long", '{"count": 2}')
        assert ran.status == 0, ran.err
        assert "file result.json, 2,000,011 bytes" in ran.out
        *events, task = weir("tasks", "submit", "probe.long", '{"count": 2}', "--json").lines
        assert len(task["output"]["text"]) == 2_000_000
        assert events[-1]["state"]["outcome"]["output_file_id"] == task["output_file_id"]
        assert weir("tasks", "result", task["id"], "--json").document == task["output"]
        assert weir("tasks", "get", task["id"], "--json").document["output"] == task["output"]
