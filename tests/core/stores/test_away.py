"""A bucket that can't be reached, or does not let one in: it is said which, and nothing that is secret."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.fixtures.proxy import Proxy, proxied_port
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
async def proxy(bucket: Bucket) -> AsyncGenerator[Proxy]:
    port = urlsplit(bucket.server.url).port
    async with proxied_port(lambda: asyncio.open_connection("127.0.0.1", port)) as made:
        yield made


@pytest.fixture
def far(bucket: Bucket, proxy: Proxy) -> ObjectStore:
    """A store that is reached over the proxy, with a file in it."""
    opened(**bucket.settings).put("datasets/a", CONTENT)
    return opened(**bucket.settings | {"store_endpoint": f"http://127.0.0.1:{proxy.port}"})


async def test_it_is_named_and_is_there_again_afterwards(far: ObjectStore, proxy: Proxy):
    proxy.cut()
    with pytest.raises(DependencyDown, match=r"the store s3://tests-\d+/kept/here does not answer") as caught:
        await in_thread(far.read, "datasets/a", 0, 5)
    assert caught.value.part == "storage"
    with pytest.raises(DependencyDown):
        await in_thread(lambda: list(far.files("datasets")))
    with pytest.raises(DependencyDown):
        await in_thread(far.put, "datasets/b", b"x")
    proxy.heal()
    assert await in_thread(far.read, "datasets/a", 0, 5) == CONTENT[:5]
    (file,) = await in_thread(lambda: list(far.files("datasets")))
    assert file.name == "datasets/a"


async def test_an_answer_that_breaks_off_is_asked_for_again(far: ObjectStore, proxy: Proxy):
    proxy.slow(0.01)
    reading = asyncio.create_task(in_thread(far.read, "datasets/a", 0, len(CONTENT)))
    async with asyncio.timeout(10):
        while not proxy.open:
            await asyncio.sleep(0.001)
    await asyncio.sleep(0.05)
    proxy.reset()
    assert await reading == CONTENT


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
