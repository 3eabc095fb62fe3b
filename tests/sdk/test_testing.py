import asyncio
from collections.abc import Iterator

import pytest
from pydantic import BaseModel, ValidationError

from weir import testing
from weir.task import Context, TaskDefinition, task


class Words(BaseModel):
    text: str
    times: int = 1


class Count(BaseModel):
    letters: int


@task("testing.count")
def count(given: Words, ctx: Context) -> Count:
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
def wrong(given: Words, ctx: Context) -> Count:
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


class TestDeclaration:
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
        def lines(given: Words, ctx: Context) -> Iterator[Count]:
            ctx.log.info("lines")
            yield Count(letters=len(given.text))

        with pytest.raises(TypeError, match="without yield"):
            task("testing.lines")(lines)  # pyright: ignore[reportArgumentType]
