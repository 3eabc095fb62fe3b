"""Judges a run: what clients saw and what the books say must fit together.

Each check is a generator over the two; it yields what is wrong, with its subject.
V1 to V10 are their names in reports. None of them knows which fault was made:
only whether Redis may have lost data, which allows gap events.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from tests.faults.books import Books, Effect, FileRow, TaskRow
from tests.faults.history import History, Listing, Seen, Watch
from weir_core.tasks.states import TERMINAL, TaskState, can_move

# What may be left for a while: until a hint is reclaimed, a transaction timed out, a draft swept.
_AGES = {
    "pending hint": 45.0,
    "open transaction": 30.0,
    "unfinished file": 1000.0,
    "content without a row": 300.0,
}
_LEASE_NOTICED = 5.0
_CALL_SLACK = 3.0
_BROKEN_PROMISE = {"INTERNAL", "UNKNOWN"}

Findings = Iterator[tuple[str, str]]
Check = Callable[[History, Books], Findings]


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must not be."""

    check: str
    subject: str
    text: str

    def __str__(self) -> str:
        return f"{self.check} {self.subject}: {self.text}"


def validate(history: History, books: Books) -> list[Violation]:
    """All that is wrong."""
    return [
        Violation(name, subject, text)
        for name, check in CHECKS.items()
        for subject, text in check(history, books)
    ]


def accepted_exist(history: History, books: Books) -> Findings:
    """V1: every submit that returned OK made a task that is there."""
    there = {row.id for row in books.tasks}
    for task_id in sorted(history.accepted() - there):
        yield task_id, "its submit returned OK, and there is no such task"


def ended_once(_: History, books: Books) -> Findings:
    """V2: every task is in one terminal state, told by one terminal event, which is its last."""
    attempts = defaultdict(list[tuple[int, bool]])
    for row in books.attempts:
        attempts[row.task_id].append((row.number, row.ended))
    for row in books.tasks:
        events = books.events.get(row.id, [])
        for wrong in [*_end(row, events), *_order(row, events)]:
            yield row.id, wrong
        if attempts[row.id] != [(number, True) for number in range(1, row.attempt + 1)]:
            yield row.id, f"attempts {attempts[row.id]} where {row.attempt} were made and all must have ended"


def _end(row: TaskRow, events: list[Seen]) -> Iterator[str]:
    if row.state not in TERMINAL:
        yield f"has not ended: {row.state.name}, attempt {row.attempt}"
    ends = [event for event in events if event.is_last]
    if len(ends) != 1:
        yield f"{len(ends)} terminal events: {[(event.seq, event.attempt, event.after) for event in ends]}"
    elif ends[0] is not events[-1] or ends[0].after != row.state or not row.ended:
        yield f"ends with event {ends[0].seq} to {ends[0].after}, but is {row.state.name} at {row.last_seq}"
    if events and events[-1].seq != row.last_seq:
        yield f"last event {events[-1].seq}, but the row says {row.last_seq}"


def _order(row: TaskRow, events: list[Seen]) -> Iterator[str]:
    place = 1
    for event in events:
        if event.first_seq != place:
            yield f"the archive has event {event.first_seq} where {place} must come"
        place = event.seq + 1
    for before, after in pairwise(events):
        if after.attempt < before.attempt:
            yield f"event {after.seq} of attempt {after.attempt} stands behind attempt {before.attempt}"
    states = [event for event in events if event.kind in {"state", "gap"}]
    for before, after in pairwise(states):
        if "gap" not in {before.kind, after.kind} and not _follows(before, after):
            yield f"event {after.seq} goes {after.before} to {after.after} after one to {before.after}"
    claims = sum(event.after == TaskState.RUNNING for event in states)
    if claims != row.attempt:
        yield f"{claims} claims are told, but {row.attempt} attempts were made"


def _follows(before: Seen, after: Seen) -> bool:
    return before.after == after.before and can_move(TaskState(after.before), TaskState(after.after))


def effects_match(_: History, books: Books) -> Findings:
    """V3: what counts is what the newest attempt did, once; no attempt ran twice."""
    by_task = defaultdict(list[Effect])
    for effect in books.ledger:
        by_task[effect.task_id].append(effect)
    for row in books.tasks:
        counts = Counter((effect.attempt, effect.kind) for effect in by_task[row.id])
        for (number, kind), count in counts.items():
            if count > 1 or number > row.attempt:
                yield row.id, f"{count} times {kind} by attempt {number} of {row.attempt}"
        if row.state is TaskState.SUCCEEDED and row.output and "nonce" in row.output:
            yield from ((row.id, wrong) for wrong in _accepted(row, by_task[row.id]))


def _accepted(row: TaskRow, effects: list[Effect]) -> Iterator[str]:
    assert row.output is not None
    if row.output["attempt"] != row.attempt:
        yield f"the outcome of attempt {row.output['attempt']} was accepted, but {row.attempt} is the newest"
    made = {effect.nonce for effect in effects if effect.kind == "effect" and effect.attempt == row.attempt}
    if made != {row.output["nonce"]}:
        yield f"effects {sorted(made)} by attempt {row.attempt}, but {row.output['nonce']} was accepted"


def watched_whole(history: History, books: Books) -> Findings:
    """V4: every watcher saw each event of its task once and in order, or a gap where Redis lost data."""
    gaps_allowed = history.redis_lost_data()
    for watch in history.watches:
        subject = f"{watch.watcher} on {watch.task_id}"
        for wrong in [*_sequence(watch), *_agrees(watch, books.events.get(watch.task_id, []))]:
            yield subject, wrong
        for event in watch.seen:
            if event.kind == "gap" and not (gaps_allowed and event.reason == "lost live log"):
                yield (
                    subject,
                    f"gap {event.first_seq} to {event.seq} ({event.reason}) without a loss of Redis",
                )
    for task_id, events in books.events.items():
        if not gaps_allowed and any(event.kind == "gap" for event in events):
            yield task_id, "the archive has a gap without a loss of Redis"


def _sequence(watch: Watch) -> Iterator[str]:
    place = 1
    for event in watch.seen:
        if event.first_seq > place:
            yield f"event {event.first_seq} came where {place} should have"
        if event.seq < place or (event.kind != "gap" and event.first_seq < place):
            yield f"event {event.seq} came again after {place - 1}"
        place = event.seq + 1
    if not watch.ended:
        yield f"was never told the end, over {watch.connections} connections, the last one at {place}"
    elif not (watch.seen and watch.seen[-1].is_last):
        yield f"ended without the terminal event, at {place - 1}"


def _agrees(watch: Watch, archive: list[Seen]) -> Iterator[str]:
    stored = {event.seq: event for event in archive if event.kind != "gap"}
    gone = [(event.first_seq, event.seq) for event in archive if event.kind == "gap"]
    for event in watch.seen:
        if event.kind == "gap" and event.seq not in {last for _, last in gone}:
            yield f"gap {event.first_seq} to {event.seq} is not in the archive"
        if event.kind == "gap" or any(first <= event.seq <= last for first, last in gone):
            continue
        if event.seq not in stored:
            yield f"event {event.seq} ({event.kind}, attempt {event.attempt}) is not in the archive"
        elif stored[event.seq] != event:
            kept = stored[event.seq]
            yield (
                f"event {event.seq} was shown as {event.kind} {event.after or ''} of attempt {event.attempt},"
                f" and is {kept.kind} {kept.after or ''} of attempt {kept.attempt} in the archive"
            )


def repeated_same(history: History, books: Books) -> Findings:
    """V5: all calls with one request id were answered with one task, and made one."""
    answers = defaultdict(set[str])
    for submit in history.submits:
        if submit.task_id:
            answers[submit.request_id].add(submit.task_id)
    for request, tasks in answers.items():
        if len(tasks) > 1:
            yield request, f"answered with {len(tasks)} tasks: {sorted(tasks)}"
    created = Counter(submit.request_id for submit in history.submits if submit.task_id and submit.created)
    for request, count in created.items():
        if count > 1:
            yield request, f"{count} answers say that they made the task"
    for request, count in Counter(row.request for row in books.tasks if row.request).items():
        if count > 1:
            yield request, f"made {count} tasks"


def nothing_left(_: History, books: Books) -> Findings:
    """V6: no lease, hint, transaction, process or file is left beyond its bound."""
    for worker in books.workers:
        if worker.state in {"ACTIVE", "DRAINING"} and worker.overdue > _LEASE_NOTICED:
            yield worker.id, f"{worker.state}, though its lease ran out {worker.overdue:.1f} s ago"
    for left in books.left:
        bound = next((age for what, age in _AGES.items() if left.what.startswith(what)), 0.0)
        if left.age >= bound:
            yield left.what, f"left over, {left.age:.0f} s old"


def lists_whole(history: History, books: Books) -> Findings:
    """V7: a list read page by page has everything that was there before it began, each once."""
    made = {row.id: row.create_time for row in books.tasks}
    known = {s.task_id: s.ended for s in history.submits if s.task_id}
    for number, listing in enumerate(history.listings, 1):
        for wrong in _listed(listing, made, known):
            yield f"list {number}", wrong


def _listed(listing: Listing, made: dict[str, float], known: dict[str, float]) -> Iterator[str]:
    counts = Counter(task_id for task_id in listing.task_ids if task_id in made)
    twice = [task_id for task_id, count in counts.items() if count > 1]
    if twice:
        yield f"{len(twice)} tasks stand in it twice, such as {twice[0]}"
    missing = [task_id for task_id, when in known.items() if when < listing.began and task_id not in counts]
    if missing:
        yield f"{len(missing)} tasks are missing that were there, such as {missing[0]}"


def fired_once(_: History, books: Books) -> Findings:
    """V8: each time of a schedule made at most one task, and that task is there."""
    there = {row.id for row in books.tasks}
    for (schedule, time), count in Counter((one, when) for one, when, _ in books.fires).items():
        if count > 1:
            yield schedule, f"{count} tasks for {time}"
    for schedule, time, task_id in books.fires:
        if task_id and task_id not in there:
            yield schedule, f"its task {task_id} for {time} is not there"


def answers_kept(history: History, _: Books) -> Findings:
    """V9: no call ended with a fault of Weir's own, and none took much longer than its deadline."""
    for answer in history.answers:
        if answer.code in _BROKEN_PROMISE and (answer.reason or not answer.text):
            yield answer.method, f"{answer.code} {answer.reason}: {answer.text}"
        if answer.seconds > answer.deadline + _CALL_SLACK:
            yield answer.method, f"took {answer.seconds:.1f} s with a deadline of {answer.deadline:g} s"


def files_accepted(_: History, books: Books) -> Findings:
    """V10: a task that succeeded has the files that its accepted attempt made and told of, whole."""
    files = defaultdict(list[FileRow])
    for each in books.files:
        files[each.task_id].append(each)
    for row in books.tasks:
        if any(each.attempt > row.attempt for each in files[row.id]):
            yield row.id, f"has a file of an attempt after {row.attempt}, the newest one"
        if row.state is TaskState.SUCCEEDED and row.output and "files" in row.output:
            events = books.events.get(row.id, [])
            kept = [each for each in files[row.id] if each.attempt == row.attempt]
            told = [each for each in events if each.kind == "artifact" and each.attempt == row.attempt]
            if not len(kept) == len(told) == row.output["files"]:
                made = row.output["files"]
                yield row.id, f"attempt {row.attempt} made {made} files: {len(kept)} kept, {len(told)} told"
            for each in kept:
                if (each.name, each.content) != (row.output["nonce"], each.name.encode()):
                    yield row.id, f"the file {each.name} of attempt {each.attempt} has {each.content!r}"


CHECKS: dict[str, Check] = {
    "V1": accepted_exist,
    "V2": ended_once,
    "V3": effects_match,
    "V4": watched_whole,
    "V5": repeated_same,
    "V6": nothing_left,
    "V7": lists_whole,
    "V8": fired_once,
    "V9": answers_kept,
    "V10": files_accepted,
}
