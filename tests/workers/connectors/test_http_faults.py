import gzip
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from tests.fixtures.http_source import Fault, HttpSource, cut_quietly, cut_short, hang, raw, redirect, status
from tests.workers.connectors.reading import LINKED, NUMBERED, PLAIN, Waits, quick, read, source_at
from weir_workers.connectors.contract import Partition, Wanted
from weir_workers.connectors.errors import SourceError
from weir_workers.connectors.http import HttpConnector

ALL = list(range(35))
PASSING: list[Fault] = [
    status(429),
    status(500),
    status(502),
    status(503),
    status(408),
    cut_short,
    cut_quietly,
]


class TestRetry:
    @pytest.mark.parametrize("settings", [NUMBERED, LINKED])
    @pytest.mark.parametrize("fault", PASSING)
    async def test_passing_fault_loses_no_record(
        self, http_source: HttpSource, settings: dict[str, object], fault: Fault
    ) -> None:
        http_source.faults[1] = [fault]
        http_source.faults[3] = [fault, fault]
        got = await read(source_at(http_source), settings)
        assert got.ids() == ALL
        assert http_source.pages_asked().count(3) == 3

    async def test_all_faults_at_once_lose_no_record(self, http_source: HttpSource) -> None:
        for number in range(1, 5):
            http_source.faults[number] = PASSING[number : number + 4]
        got = await read(source_at(http_source), NUMBERED)
        assert got.ids() == ALL

    async def test_slow_body_is_given_up_and_asked_again(self, http_source: HttpSource) -> None:
        http_source.faults[1] = [hang]
        got = await read(source_at(http_source, timeout_seconds=0.3), NUMBERED)
        assert got.ids() == ALL
        assert http_source.pages_asked().count(1) == 2

    async def test_waits_grow_and_end(self, http_source: HttpSource) -> None:
        http_source.faults[1] = [status(503)] * 20
        waits = Waits()
        with pytest.raises(SourceError):
            await read(source_at(http_source), PLAIN, connector=quick(waits, tries=5))
        assert len(http_source.asked) == 5
        assert len(waits.seconds) == 4
        ceilings = [0.25, 0.5, 1.0, 2.0]
        # A little of the wait is over when it begins.
        assert all(top / 2 - 0.1 <= wait <= top for wait, top in zip(waits.seconds, ceilings, strict=True))


class TestRetryAfter:
    async def test_seconds_are_waited(self, http_source: HttpSource) -> None:
        http_source.faults[1] = [status(429, Retry_After="7"), status(503, Retry_After="9")]
        waits = Waits()
        await read(source_at(http_source), PLAIN, connector=quick(waits))
        assert sum(waits.seconds) == pytest.approx(16, abs=0.5)

    async def test_date_is_waited_for(self, http_source: HttpSource) -> None:
        due = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
        http_source.faults[1] = [status(429, Retry_After=due)]
        waits = Waits()
        await read(source_at(http_source), PLAIN, connector=quick(waits))
        assert sum(waits.seconds) >= 15

    async def test_zero_is_no_hint(self, http_source: HttpSource) -> None:
        http_source.faults[1] = [status(429, Retry_After="0")]
        waits = Waits()
        await read(source_at(http_source), PLAIN, connector=quick(waits))
        assert 0 < sum(waits.seconds) <= 0.25

    async def test_longer_than_our_patience_goes_to_the_task(self, http_source: HttpSource) -> None:
        http_source.faults[1] = [status(429, Retry_After="3600")]
        with pytest.raises(SourceError) as caught:
            await read(source_at(http_source), PLAIN)
        assert caught.value.kind == "RATE_LIMITED"
        assert caught.value.retry_after == 3600
        assert len(http_source.asked) == 1


class TestFailure:
    @pytest.mark.parametrize(
        "code,kind",
        [
            (429, "RATE_LIMITED"),
            (500, "DEPENDENCY"),
            (503, "DEPENDENCY"),
            (400, "INVALID_INPUT"),
            (401, "INVALID_INPUT"),
            (403, "INVALID_INPUT"),
            (404, "INVALID_INPUT"),
            (204, "INVALID_INPUT"),
        ],
    )
    async def test_status_becomes_kind_and_code(self, http_source: HttpSource, code: int, kind: str) -> None:
        http_source.faults[1] = [status(code)] * 2
        with pytest.raises(SourceError) as caught:
            await read(source_at(http_source), PLAIN, connector=quick(tries=2))
        error = caught.value
        assert (error.kind, error.code, error.status, error.host) == (kind, f"http.{code}", code, "127.0.0.1")
        assert len(http_source.asked) == (1 if kind == "INVALID_INPUT" else 2)

    async def test_no_json_fails_after_all_tries(self, http_source: HttpSource) -> None:
        http_source.faults[1] = [raw(b"<html>busy</html>")] * 3
        with pytest.raises(SourceError, match="no whole JSON document") as caught:
            await read(source_at(http_source), PLAIN, connector=quick(tries=3))
        assert (caught.value.kind, caught.value.code) == ("DEPENDENCY", "http.body")
        assert len(http_source.asked) == 3

    async def test_nobody_listens(self, http_source: HttpSource) -> None:
        source = source_at(http_source, base_url="http://127.0.0.1:9")
        with pytest.raises(SourceError, match="can't connect") as caught:
            await read(source, PLAIN, connector=quick(tries=2))
        assert (caught.value.kind, caught.value.code) == ("DEPENDENCY", "http.connect")

    async def test_timeout_names_its_length(self, http_source: HttpSource) -> None:
        http_source.faults[1] = [hang] * 2
        with pytest.raises(SourceError, match=r"within 0\.2 s") as caught:
            await read(source_at(http_source, timeout_seconds=0.2), PLAIN, connector=quick(tries=2))
        assert caught.value.code == "http.timeout"

    async def test_failure_comes_after_the_pages_before_it(self, http_source: HttpSource) -> None:
        http_source.faults[3] = [status(400)]
        positions: list[object] = []
        items = quick().read(source_at(http_source), Wanted(NUMBERED), Partition())
        with pytest.raises(SourceError):  # noqa: PT012 - the error ends the loop
            async for item in items:
                positions.append(getattr(item, "position", None))  # noqa: PERF401 - kept up to the error
        assert positions == [{"page": 2, "seen": 10}, {"page": 3, "seen": 20}]

    async def test_query_and_token_are_in_no_message(self, http_source: HttpSource) -> None:
        http_source.faults[1] = [status(401)]
        source = source_at(http_source, {"token": "s3cret-token"}, auth="bearer")
        with pytest.raises(SourceError) as caught:
            await read(source, {**PLAIN, "params": {"key": "s3cret-param"}})
        assert "s3cret" not in f"{caught.value!r} {caught.value} {vars(caught.value)} {source}"


class TestTooLarge:
    async def test_body_beyond_the_limit_is_refused(self, http_source: HttpSource) -> None:
        http_source.faults[1] = [raw(b"[" + b" " * 5000 + b"]")]
        with pytest.raises(SourceError, match="greater than 1000 bytes") as caught:
            await read(source_at(http_source), PLAIN, connector=HttpConnector(max_body=1000))
        assert (caught.value.kind, caught.value.code) == ("INVALID_INPUT", "http.too_large")

    async def test_compressed_bomb_is_refused(self, http_source: HttpSource) -> None:
        bomb = gzip.compress(b"[" + b" " * 50_000_000 + b"]")
        http_source.faults[1] = [raw(bomb, Content_Encoding="gzip")]
        with pytest.raises(SourceError, match="greater than 100000 bytes"):
            await read(source_at(http_source), PLAIN, connector=HttpConnector(max_body=100_000))


class TestRedirect:
    async def test_is_followed(self, http_source: HttpSource) -> None:
        http_source.faults[1] = [redirect("/plain?page=2")]
        got = await read(source_at(http_source), PLAIN)
        assert got.ids() == ALL[10:20]

    async def test_endless_one_is_given_up(self, http_source: HttpSource) -> None:
        http_source.faults[1] = [redirect("/plain")] * 20
        with pytest.raises(SourceError, match="more than 5 times") as caught:
            await read(source_at(http_source), PLAIN)
        assert caught.value.code == "http.redirect"
        assert len(http_source.asked) == 6

    @pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://127.0.0.1/x", ""])
    async def test_elsewhere_than_the_web_is_refused(self, http_source: HttpSource, to: str) -> None:
        http_source.faults[1] = [redirect(to)]
        with pytest.raises(SourceError) as caught:
            await read(source_at(http_source), PLAIN)
        assert (caught.value.kind, caught.value.code) == ("INVALID_INPUT", "http.redirect")
