import pytest

from tests.fixtures.http_source import HttpSource, redirect
from tests.workers.connectors.reading import LINKED, PLAIN, read, source_at
from weir_workers.connectors.contract import Source
from weir_workers.connectors.errors import SourceError


def elsewhere(http_source: HttpSource) -> str:
    """The same server under another host name."""
    return f"http://localhost:{http_source.port}"


class TestPrivateAddress:
    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"])
    async def test_is_refused_without_permission(self, http_source: HttpSource, host: str) -> None:
        source = Source({"base_url": f"http://{host}:{http_source.port}"})
        with pytest.raises(SourceError, match="not a public address") as caught:
            await read(source, PLAIN)
        assert (caught.value.kind, caught.value.code) == ("INVALID_INPUT", "address.refused")
        assert http_source.asked == []

    @pytest.mark.parametrize("host", ["2130706433", "127.1", "0x7f.1"])
    async def test_odd_writing_of_one_gets_nowhere(self, http_source: HttpSource, host: str) -> None:
        source = Source({"base_url": f"http://{host}:{http_source.port}"})
        with pytest.raises(SourceError) as caught:
            await read(source, PLAIN)
        assert caught.value.kind == "INVALID_INPUT"
        assert http_source.asked == []

    @pytest.mark.parametrize("host", ["0.0.0.0", "224.0.0.1", "240.0.0.1", "[::]", "[ff02::1]"])
    async def test_redirect_is_checked_too(self, http_source: HttpSource, host: str) -> None:
        http_source.faults[1] = [redirect(f"http://{host}:{http_source.port}/plain")]
        with pytest.raises(SourceError, match="not a public address"):
            await read(source_at(http_source), PLAIN)
        assert len(http_source.asked) == 1

    async def test_proxy_of_the_environment_is_not_used(
        self, http_source: HttpSource, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        got = await read(source_at(http_source), PLAIN)
        assert len(got.rows) == 10


class TestToken:
    async def test_bearer(self, http_source: HttpSource) -> None:
        await read(source_at(http_source, {"token": "abc"}, auth="bearer"), PLAIN)
        assert http_source.asked[0].headers["Authorization"] == "Bearer abc"

    async def test_header_of_its_own(self, http_source: HttpSource) -> None:
        source = source_at(http_source, {"token": "abc"}, auth="header", auth_header="X-Key")
        await read(source, PLAIN)
        assert http_source.asked[0].headers["X-Key"] == "abc"
        assert "Authorization" not in http_source.asked[0].headers

    async def test_user_agent_and_fixed_headers(self, http_source: HttpSource) -> None:
        await read(source_at(http_source, headers={"X-Team": "data"}), PLAIN)
        headers = http_source.asked[0].headers
        assert headers["User-Agent"].startswith("weir/")
        assert headers["X-Team"] == "data"

    async def test_stays_home_when_redirected(self, http_source: HttpSource) -> None:
        http_source.faults[1] = [redirect(f"{elsewhere(http_source)}/plain?page=2")]
        source = source_at(http_source, {"token": "abc"}, auth="bearer", headers={"X-Team": "data"})
        await read(source, PLAIN)
        first, second = http_source.asked
        assert "Authorization" in first.headers
        assert "Authorization" not in second.headers
        assert "X-Team" not in second.headers

    async def test_goes_to_hosts_that_are_named(self, http_source: HttpSource) -> None:
        http_source.faults[1] = [redirect(f"{elsewhere(http_source)}/plain?page=2")]
        source = source_at(http_source, {"token": "abc"}, auth="bearer", extra_hosts=["localhost"])
        await read(source, PLAIN)
        assert http_source.asked[1].headers["Authorization"] == "Bearer abc"


class TestForeignLink:
    def link_away(self, http_source: HttpSource) -> None:
        link = f"{elsewhere(http_source)}/linked?page=2"
        http_source.bodies[1] = (
            f'{{"paging": {{"next": "{link}"}}, "data": {{"items": [{{"id": 0}}]}}}}'.encode()
        )

    async def test_is_refused(self, http_source: HttpSource) -> None:
        self.link_away(http_source)
        with pytest.raises(SourceError, match="extra_hosts") as caught:
            await read(source_at(http_source, {"token": "abc"}, auth="bearer"), LINKED)
        assert (caught.value.kind, caught.value.code) == ("INVALID_INPUT", "link.foreign")
        assert len(http_source.asked) == 1

    async def test_is_followed_to_a_host_that_is_named(self, http_source: HttpSource) -> None:
        self.link_away(http_source)
        source = source_at(http_source, extra_hosts=[f"localhost:{http_source.port}"])
        got = await read(source, LINKED)
        assert len(got.rows) > 10
