"""Values that are read once for all who ask, and kept for a moment."""

import asyncio

import pytest

from weir_core.fresh import Fresh


class Source:
    """Counts reads, and answers when it is let."""

    def __init__(self) -> None:
        self.reads = 0
        self.value: str | None = "first"
        self.open = asyncio.Event()
        self.open.set()

    async def load(self, _key: str) -> str | None:
        self.reads += 1
        value = self.value
        await self.open.wait()
        if value == "broken":
            raise ValueError(value)
        return value


class TestGet:
    async def test_a_young_value_is_not_read_again(self):
        source = Source()
        fresh = Fresh(source.load, seconds=60)
        assert [await fresh.get("a"), await fresh.get("a")] == ["first", "first"]
        assert source.reads == 1

    async def test_an_old_value_is_read_again(self):
        source = Source()
        fresh = Fresh(source.load, seconds=0)
        await fresh.get("a")
        source.value = "second"
        assert await fresh.get("a") == "second"

    async def test_many_who_ask_at_once_share_one_read(self):
        source = Source()
        source.open.clear()
        fresh = Fresh(source.load, seconds=60)
        asking = [asyncio.create_task(fresh.get("a")) for _ in range(10)]
        await asyncio.sleep(0)
        asking[0].cancel()
        await asyncio.sleep(0)
        source.open.set()
        assert await asyncio.gather(*asking[1:]) == ["first"] * 9
        assert source.reads == 1

    async def test_none_is_not_kept(self):
        source = Source()
        source.value = None
        fresh = Fresh(source.load, seconds=60)
        assert await fresh.get("a") is None
        source.value = "there"
        assert await fresh.get("a") == "there"

    async def test_a_failure_reaches_all_and_is_not_kept(self):
        source = Source()
        source.value = "broken"
        fresh = Fresh(source.load, seconds=60)
        with pytest.raises(ValueError, match="broken"):
            await fresh.get("a")
        source.value = "mended"
        assert await fresh.get("a") == "mended"

    async def test_the_cache_is_bounded(self):
        source = Source()
        fresh = Fresh(source.load, seconds=60, size=2)
        for key in ("a", "b", "c", "a"):
            await fresh.get(key)
        assert source.reads == 4


class TestForget:
    async def test_a_read_that_was_under_way_is_not_kept(self):
        source = Source()
        source.open.clear()
        fresh = Fresh(source.load, seconds=60)
        asking = asyncio.create_task(fresh.get("a"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        source.value = "second"
        fresh.forget("a")
        source.open.set()
        await asking
        assert await fresh.get("a") == "second"
