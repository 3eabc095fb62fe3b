"""Checkpoints and children, as handlers of both kinds ask for them."""

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.fixtures.scheduling import administrator
from tests.fixtures.workers import Fleet
from weir_core.tasks.models import Task
from weir_core.tasks.states import TaskState

PACKS = "tests.packs.families"
KINDS = ("", "_blocking")


async def told(fleet: Fleet, kind: str, **given: Any) -> tuple[Task, dict[str, Any]]:
    """What a parent told at its end."""
    ended = await fleet.run(f"families.parent{kind}", given)
    assert ended.state is TaskState.SUCCEEDED, ended.failure
    assert ended.output is not None
    return ended, ended.output


@pytest.fixture
async def one_slot(fleet: Fleet) -> Fleet:
    """A worker that can do one thing at a time."""
    fleet.engine.caller = await administrator(fleet.engine.runtime)
    await fleet.worker(PACKS, WEIR_SLOTS="1")
    return fleet


async def test_an_attempt_goes_on_from_the_newest_checkpoint(one_slot: Fleet):
    for kind in KINDS:
        ended = await one_slot.run(f"families.count{kind}", {})
        assert ended.output == {"found": {"at": 20}, "attempt": 3}, kind


async def test_children_run_in_the_slot_of_the_one_who_waits_for_them(one_slot: Fleet):
    for kind in KINDS:
        parent, found = await told(one_slot, kind, texts={"a": "x", "b": "fail"})
        ends = [(end["key"], end["state"], end["output"]) for end in found["ends"]]
        assert ends == [("a", "SUCCEEDED", {"text": "x", "path": ""}), ("b", "FAILED", None)], kind
        assert "told to fail" in found["ends"][1]["why"]
        children = [await one_slot.engine.get(UUID(each)) for each in found["ids"]]
        assert {child.parent_id for child in children} == {parent.id}
        assert {child.creator for child in children} == {parent.creator}


async def test_a_later_attempt_finds_the_children_of_an_earlier_one(one_slot: Fleet):
    for kind in KINDS:
        parent, found = await told(one_slot, kind, texts={"a": "x", "b": "y"}, attempts=2)
        assert (parent.attempt, len(set(found["ids"]))) == (2, 2), kind
        assert [end["state"] for end in found["ends"]] == ["SUCCEEDED", "SUCCEEDED"], kind


async def test_what_can_not_be_made_is_refused_with_the_reason(one_slot: Fleet):
    refused: dict[str, dict[str, Any]] = {
        "FIELD_INVALID: spec.type: no worker has brought a task type": {"type": "families.none"},
        "SCHEMA_MISMATCH: spec.input": {"type": "families.parent"},
        "FIELD_INVALID: queue: must begin with a small letter": {"options": {"queue": "No Queue"}},
        "FIELD_INVALID: priority: must be LOW, NORMAL or HIGH": {"options": {"priority": "SOON"}},
        "STATE_CONFLICT: key 'a' is that of another child": {"texts": {"a": "changes"}, "attempts": 2},
    }
    for kind in KINDS:
        for said, given in refused.items():
            _, found = await told(one_slot, kind, **{"texts": {"a": "x"}} | given)
            assert found["refused"].startswith(said), kind


async def test_a_cancel_of_the_parent_ends_the_child_that_it_waits_for(one_slot: Fleet, tmp_path: Path):
    parent = await one_slot.submit("families.waits", {"text": "x", "path": str(tmp_path / "never")})
    child = UUID((await one_slot.said(parent, "waiting")).body["fields"]["child"])
    await one_slot.until(child, TaskState.RUNNING)
    await one_slot.engine.runtime.stopping.cancel(one_slot.engine.caller, parent, "enough", None)
    assert (await one_slot.until(parent, TaskState.CANCELLED)).attempt == 1
    assert (await one_slot.until(child, TaskState.CANCELLED)).attempt == 1
