"""Passwords, API keys and refresh tokens."""

import asyncio
import time
from collections.abc import Generator

import pytest

from weir_core.errors import RateLimited, Unauthenticated
from weir_core.ids import new_id
from weir_core.users.credentials import Passwords, RefreshTokens, key_digest, key_prefix, new_key


@pytest.fixture
def passwords() -> Generator[Passwords]:
    pool = Passwords()
    yield pool
    pool.close()


class TestPasswords:
    async def test_only_the_right_one_fits(self, passwords: Passwords):
        stored = await passwords.hash("correct horse")
        assert stored.startswith("$argon2id$")
        assert await passwords.check(stored, "correct horse")
        assert not await passwords.check(stored, "correct horse ")

    async def test_no_hash_and_no_password_fit_nothing(self, passwords: Passwords):
        stored = await passwords.hash("correct horse")
        for hash_, password in (("", ""), ("", "x"), (stored, ""), (stored, "x" * 257), ("nonsense", "x")):
            assert not await passwords.check(hash_, password)

    async def test_nobody_costs_as_much_work_as_somebody(self, passwords: Passwords):
        stored = await passwords.hash("correct horse")

        async def work(hash_: str, password: str) -> float:
            # CPU time of this process, so that its neighbours don't count.
            best = float("inf")
            for _ in range(5):
                before = time.process_time()
                await passwords.check(hash_, password)
                best = min(best, time.process_time() - before)
            return best

        somebody = await work(stored, "wrong")
        for hash_, password in (("", "wrong"), ("", ""), (stored, "")):
            assert 0.5 < await work(hash_, password) / somebody < 2

    async def test_a_full_queue_refuses_at_once(self, passwords: Passwords):
        waiting = [asyncio.create_task(passwords.hash("x")) for _ in range(32)]
        await asyncio.sleep(0)
        with pytest.raises(RateLimited) as caught:
            await passwords.hash("x")
        assert caught.value.retry_after.total_seconds() > 0
        await asyncio.gather(*waiting)
        assert await passwords.hash("x")

    async def test_who_hangs_up_frees_no_place(self, passwords: Passwords):
        waiting = [asyncio.create_task(passwords.hash("x")) for _ in range(32)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.sleep(0)
        with pytest.raises(RateLimited):
            await passwords.hash("x")
        await asyncio.gather(*waiting, return_exceptions=True)

    async def test_a_weaker_hash_is_renewed(self, passwords: Passwords):
        from argon2 import PasswordHasher

        weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("correct horse")
        renewed = await passwords.renewed(weak, "correct horse")
        assert renewed != weak
        assert await passwords.check(renewed, "correct horse")
        assert await passwords.renewed(renewed, "correct horse") == renewed


class TestApiKeys:
    def test_a_key_tells_its_prefix_and_no_two_are_alike(self):
        one, other = new_key(), new_key()
        assert key_prefix(one.text) == one.prefix
        assert (one.prefix, one.text) != (other.prefix, other.text)
        assert one.digest == key_digest(one.text)
        assert len(one.digest) == 32

    @pytest.mark.parametrize("text", ["weir_", "weir_a_b", "weir__", "weir_" + "a" * 12 + "_" + "ä" * 43])
    def test_what_is_no_key(self, text: str):
        with pytest.raises(Unauthenticated):
            key_prefix(text)


class TestRefreshTokens:
    def test_what_was_made_is_read(self):
        tokens, session = RefreshTokens(b"k" * 32), new_id()
        assert tokens.read(tokens.make(session, 7)) == (session, 7)

    def test_another_key_reads_nothing(self):
        token = RefreshTokens(b"k" * 32).make(new_id(), 1)
        with pytest.raises(Unauthenticated):
            RefreshTokens(b"x" * 32).read(token)
