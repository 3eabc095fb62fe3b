"""A bucket that can't be reached, or does not let one in: it is said which, and nothing that is secret."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from tests.fixtures.proxy import Proxy, Streams
from tests.fixtures.stores import KEY, SECRET, Bucket
from weir_core.config import Settings
from weir_core.errors import DependencyDown
from weir_core.stores.contract import ObjectStore, try_out
from weir_core.stores.opening import open_store
from weir_core.stores.threads import in_thread

CONTENT = bytes(range(256)) * 2000


def opened(**settings: Any) -> ObjectStore:
    return open_store(Settings(**settings))


@pytest.fixture
def far(bucket: Bucket, far_settings: dict[str, Any]) -> ObjectStore:
    """A store that is reached over the proxy, with a file in it."""
    opened(**bucket.settings).put("datasets/a", CONTENT)
    return opened(**far_settings)


async def test_it_is_named_and_is_there_again_afterwards(far: ObjectStore, bucket_proxy: Proxy):
    bucket_proxy.cut()
    with pytest.raises(DependencyDown, match=r"the store s3://tests-\d+/kept/here does not answer") as caught:
        await in_thread(far.read, "datasets/a", 0, 5)
    assert caught.value.part == "storage"
    with pytest.raises(DependencyDown):
        await in_thread(lambda: list(far.files("datasets")))
    with pytest.raises(DependencyDown):
        await in_thread(far.put, "datasets/b", b"x")
    bucket_proxy.heal()
    assert await in_thread(far.read, "datasets/a", 0, 5) == CONTENT[:5]
    (file,) = await in_thread(lambda: list(far.files("datasets")))
    assert file.name == "datasets/a"


async def test_an_answer_that_breaks_off_is_asked_for_again(far: ObjectStore, bucket_proxy: Proxy):
    dial, dialled = bucket_proxy.dial, list[int]()

    def counted() -> Awaitable[Streams]:
        dialled.append(1)
        return dial()

    bucket_proxy.dial = counted
    bucket_proxy.slow(0.02)
    reading = asyncio.create_task(in_thread(far.read, "datasets/a", 0, len(CONTENT)))
    async with asyncio.timeout(10):
        while not bucket_proxy.open:
            await asyncio.sleep(0.001)
    await asyncio.sleep(0.1)
    bucket_proxy.reset()
    assert await reading == CONTENT
    assert len(dialled) == 2


async def test_one_that_refuses_says_why(bucket: Bucket):
    for settings, said in (
        ({"store": "s3://nothing-here"}, "s3://nothing-here refuses: NoSuchBucket; there is no such bucket"),
        (
            {"store_key_id": "", "store_secret": ""},
            "needs a key; set WEIR_STORE_KEY_ID and WEIR_STORE_SECRET",
        ),
    ):
        with pytest.raises(PermissionError, match=said) as caught:
            try_out(opened(**bucket.settings | settings))
        assert SECRET not in str(caught.value)


def test_p12_the_key_is_not_shown(bucket: Bucket):
    settings = Settings(**bucket.settings)
    store = open_store(settings)
    assert SECRET not in repr(settings) + repr(vars(store)) + repr(vars(vars(store)["_bucket"]))
    assert KEY not in repr(settings)
