import asyncio
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import BaseModel, ValidationError

from tests.packs import artifacts, families, secretive
from weir import asks, testing
from weir.task import (
    BlockingContext,
    Child,
    ChildEnd,
    ChildFailed,
    Context,
    InputSecrets,
    TaskDefinition,
    task,
)


class Words(BaseModel):
    text: str
    times: int = 1


class Count(BaseModel):
    letters: int


@task("testing.count")
def count(given: Words, ctx: BlockingContext) -> Count:
    """Count letters."""
    ctx.mask("hunter2")
    for number in range(1, given.times + 1):
        ctx.progress(number, given.times, unit="times", message=f"{number} of hunter2")
    ctx.log.warning("the key is hunter2", key="hunter2", attempt=ctx.attempt)
    return Count(letters=len(given.text))


@task("testing.count_async")
async def count_async(given: Words, ctx: Context) -> Count:
    """Count letters, with a pause."""
    await asyncio.sleep(0)
    return count.handler(given, ctx)


@task("testing.wrong")
def wrong(given: Words, ctx: BlockingContext) -> Count:
    """Return what was not declared."""
    ctx.log.info("wrong")
    return given  # pyright: ignore[reportReturnType]


@pytest.mark.parametrize("definition", [count, count_async], ids=["def", "async"])
def test_a_handler_runs_without_a_server_and_what_it_told_is_recorded(definition: TaskDefinition):
    ran = testing.run(definition, {"text": "abc", "times": 2}, attempt=3)
    assert ran.output == Count(letters=3)
    assert ran.progress == [
        testing.Progress(1, 2, "times", "1 of [redacted]"),
        testing.Progress(2, 2, "times", "2 of [redacted]"),
    ]
    fields = {"key": "[redacted]", "attempt": "3"}
    assert ran.log == [testing.Line("warning", "the key is [redacted]", fields)]
    assert testing.run(definition, Words(text="abcd")).output.letters == 4


async def test_in_a_running_loop_the_awaitable_twin_runs_both():
    for definition in (count, count_async):
        assert (await testing.run_async(definition, {"text": "abc"})).output == Count(letters=3)
    with pytest.raises(RuntimeError, match="run_async"):
        testing.run(count_async, {"text": "abc"})


def test_what_would_fail_on_a_worker_fails_here():
    with pytest.raises(ValidationError, match="text"):
        testing.run(count, {})
    with pytest.raises(TypeError, match="returned Words, not Count"):
        testing.run(wrong, {"text": "abc"})


class TestAsked:
    def test_checkpoints_are_given_and_kept(self):
        ran = testing.run(families.count, {}, attempt=3, checkpoint={"at": 5})
        assert ran.output.found == {"at": 5}
        assert ran.checkpoints == [{"at": -1}, {"at": 15}]

    @pytest.mark.parametrize("definition", [families.parent, families.parent_blocking], ids=["async", "def"])
    def test_children_end_as_the_test_says(self, definition: TaskDefinition):
        given = {"texts": {"a": "x", "b": "y"}, "options": {"queue": "slow"}}
        ran = testing.run(definition, given, children={"a": {"text": "X"}, "b": "it broke"})
        assert [(end["state"], end["output"], end["why"]) for end in ran.output.ends] == [
            ("SUCCEEDED", {"text": "X"}, ""),
            ("FAILED", None, "it broke"),
        ]
        assert ran.children[0] == testing.Submitted("families.echo", "a", {"text": "x"}, "slow")
        with pytest.raises(LookupError, match="'b'"):
            testing.run(definition, given, children={"a": {}})

    def test_what_is_too_large_is_refused_before_it_is_sent(self):
        secrets = InputSecrets()
        with pytest.raises(ValueError, match=r"262,144"):
            asks.checkpoint("x" * (256 << 10), secrets)
        with pytest.raises(ValueError, match=r"1,048,576"):
            asks.submit("a.b", {"text": "x" * (1 << 20)}, "key", {}, secrets)
        with pytest.raises(ValueError, match="1 to 200 characters"):
            asks.submit("a.b", {}, "", {}, secrets)

    def test_a_failed_childs_result_is_an_exception(self):
        end = ChildEnd(Child("1", "a"), "FAILED", message="it broke")
        with pytest.raises(ChildFailed, match=r"child 'a' \(1\) ended FAILED: it broke"):
            end.result()
        assert ChildEnd(Child("1", "a"), "SUCCEEDED", {"text": "x"}).result() == {"text": "x"}


class TestSecrets:
    SECRETS: Final = {"acme/token": "tk-0123456789", "acme/pin": "123"}

    @pytest.mark.parametrize("definition", [secretive.tell, secretive.tell_blocking], ids=["async", "def"])
    def test_the_handler_gets_the_value_and_nothing_it_tells_has_it(self, definition: TaskDefinition):
        given = {"token": {"$secret": "acme/token"}, "pins": [{"$secret": "acme/pin"}], "way": "artifact"}
        ran = testing.run(definition, given, secrets=self.SECRETS)
        assert ran.output.texts == {"[redacted]": ["as [redacted]"], "pins": ["123"]}
        assert ran.output.digest == hashlib.sha256(b"tk-0123456789").hexdigest()
        assert (ran.log[0].text, ran.log[0].fields["field"]) == ("logged [redacted]", "[redacted]")
        assert ran.artifacts[0].name == "of [redacted]"
        assert "tk-01" not in repr(ran)
        with pytest.raises(LookupError, match="'acme/pin' is: give it in `secrets`"):
            testing.run(definition, given, secrets={"acme/token": "x"})

    def test_a_child_gets_the_reference_and_a_checkpoint_nothing(self):
        given = {"token": {"$secret": "acme/token"}, "pins": ["tk-0123456789"], "way": "child"}
        ends = {"a": {"digest": "", "texts": {}}}
        ran = testing.run(secretive.tell, given, secrets=self.SECRETS, children=ends)
        token = {"$secret": "acme/token"}
        assert ran.children[0].input == {"token": token, "pins": [token], "way": ""}
        for way, what in (("within", "child 'a'"), ("labels", "child 'a'"), ("checkpoint", "the checkpoint")):
            with pytest.raises(ValueError, match=f"{what} would keep the secret 'acme/token' in clear"):
                testing.run(secretive.tell, given | {"way": way}, secrets=self.SECRETS)


class TestDeclaration:
    def test_the_context_fits_the_handler(self):
        async def coroutine(given: Words, ctx: BlockingContext) -> Count:
            return Count(letters=len(given.text) + ctx.attempt)

        def plain(given: Words, ctx: Context) -> Count:
            return Count(letters=len(given.text) + ctx.attempt)

        with pytest.raises(TypeError, match="an `async def`: its second argument is a Context"):
            task("testing.async")(coroutine)  # pyright: ignore[reportArgumentType]
        with pytest.raises(TypeError, match="a plain `def`: its second argument is a BlockingContext"):
            task("testing.plain")(plain)  # pyright: ignore[reportArgumentType]

    def test_limits_are_read_in_bytes_and_units(self):
        kept = {}
        for memory in ("64MiB", "64 MiB", 64 << 20):
            kept[memory] = task("testing.limited", memory=memory)(count.handler).memory
        assert set(kept.values()) == {64 << 20}

    @pytest.mark.parametrize("memory", ["64", "64MB", "much", 4096])
    def test_a_limit_that_cannot_be_is_refused_with_what_would_be_right(self, memory: int | str):
        with pytest.raises(ValueError, match="such as '512MiB'"):
            task("testing.limited", memory=memory)

    def test_an_async_handler_takes_no_limits(self):
        with pytest.raises(ValueError, match="need a plain `def`"):
            task("testing.limited", memory="64MiB")(count_async.handler)

    def test_a_generator_is_no_handler(self):
        def lines(given: Words, ctx: BlockingContext) -> Iterator[Count]:
            ctx.log.info("lines")
            yield Count(letters=len(given.text))

        with pytest.raises(TypeError, match="without yield"):
            task("testing.lines")(lines)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("kind", ["", "_blocking"], ids=["async", "def"])
def test_artifacts_are_kept_with_their_content(kind: str, tmp_path: Path):
    (tmp_path / "file").write_bytes(b"from a file")
    definition = {"": artifacts.make, "_blocking": artifacts.make_blocking}[kind]
    ran = testing.run(definition, {"files": {"of hunter2": "x", "b": ""}, "path": str(tmp_path / "file")})
    assert ran.artifacts == [
        testing.Artifact("of [redacted]", "text/plain", b"x"),
        testing.Artifact("b", "text/plain", b""),
        testing.Artifact("copied", "application/octet-stream", b"from a file"),
    ]
    assert len(set(ran.output.ids)) == 3
    assert (tmp_path / "file").read_bytes() == b"from a file"


@pytest.mark.parametrize(
    "name,content,error",
    [
        ("a/b", b"x", ValueError),
        ("", b"x", ValueError),
        ("a", "text", TypeError),
        ("a", Path("/nowhere/at/all"), FileNotFoundError),
        ("a", Path("/dev"), ValueError),
    ],
    ids=["folder", "empty", "text", "missing", "no file"],
)
def test_what_can_be_no_artifact_is_refused(name: str, content: Any, error: type[Exception]):
    @task("testing.artifact")
    async def makes(given: Words, ctx: Context) -> Words:
        await ctx.artifact(name, content)
        return given

    with pytest.raises(error):
        testing.run(makes, {"text": ""})
