from collections.abc import AsyncIterator, Iterator

import pytest

from tests.sdk.fake import FakeServer
from weir import AsyncClient, Client


@pytest.fixture
def server() -> Iterator[FakeServer]:
    fake = FakeServer()
    fake.start()
    yield fake
    fake.stop()


@pytest.fixture
async def client(server: FakeServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server.address, api_key="key") as made:
        yield made


@pytest.fixture
def blocking(server: FakeServer) -> Iterator[Client]:
    with Client(server.address, api_key="key") as made:
        yield made
