"""The fixtures themselves: what one test leaves, the next does not find."""

import pytest
from redis import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine


class TestDatabaseUrl:
    @pytest.mark.parametrize("turn", [1, 2])
    async def test_each_test_finds_the_migrated_tables_and_only_their_rows(
        self, database_url: str, turn: int
    ) -> None:
        engine = create_async_engine(database_url)
        async with engine.begin() as connection:
            before = (await connection.execute(text("SELECT COUNT(*) FROM alembic_version"))).scalar_one()
            left = (await connection.execute(text("SELECT COUNT(*) FROM worker"))).scalar_one()
        await engine.dispose()
        assert (before, left) == (1, 0)


class TestRedisUrl:
    @pytest.mark.parametrize("turn", [1, 2])
    def test_each_test_finds_an_empty_database(self, redis_url: str, turn: int) -> None:
        with Redis.from_url(redis_url) as client:
            assert client.dbsize() == 0
            client.set("left", turn)
