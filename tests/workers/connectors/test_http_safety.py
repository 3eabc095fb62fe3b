import socket
from typing import Any

import pytest

from tests.fixtures.http_source import HttpSource, redirect
from tests.workers.connectors.reading import LINKED, NUMBERED, PLAIN, quick, read, source_at
from weir_workers.connectors.contract import Source
from weir_workers.connectors.errors import SourceError


def elsewhere(http_source: HttpSource) -> str:
    """The same server under another host name."""
    return f"http://localhost:{http_source.port}"


class TestPrivateAddress:
    @pytest.mark.parametrize(
        "host",
        [
            "127.0.0.1",
            "localhost",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[64:ff9b::7f00:1]",
            "0.0.0.0",
        ],
    )
    async def test_is_refused_without_permission(self, http_source: HttpSource, host: str) -> None:
        source = Source({"base_url": f"http://{host}:{http_source.port}"})
        with pytest.raises(SourceError, match="not a public address") as caught:
            await read(source, PLAIN)
        assert (caught.value.kind, caught.value.code) == ("INVALID_INPUT", "address.refused")
        assert http_source.asked == []

    @pytest.mark.parametrize(
        "host", ["2130706433", "127.1", "0x7f.1", "0177.0.0.1", "017700000001", "0x7f000001"]
    )
    async def test_odd_writing_of_one_gets_nowhere(self, http_source: HttpSource, host: str) -> None:
        source = Source({"base_url": f"http://{host}:{http_source.port}"})
        with pytest.raises(SourceError) as caught:
            await read(source, PLAIN)
        assert caught.value.kind == "INVALID_INPUT"
        assert http_source.asked == []

    @pytest.mark.parametrize(
        "host",
        [
            "0.0.0.0",
            "224.0.0.1",
            "240.0.0.1",
            "[::]",
            "[ff02::1]",
            "169.254.169.254",
            "[::ffff:a9fe:a9fe]",
            "[fd00:ec2::254]",
        ],
    )
    async def test_redirect_is_checked_too(self, http_source: HttpSource, host: str) -> None:
        http_source.faults[1] = [redirect(f"http://{host}:{http_source.port}/plain")]
        with pytest.raises(SourceError, match="not a public address"):
            await read(source_at(http_source), PLAIN)
        assert len(http_source.asked) == 1

    @pytest.mark.parametrize("host", ["2852039166", "0251.0376.0251.0376", "0xa9fea9fe", "169.16689662"])
    async def test_redirect_to_an_odd_writing_gets_nowhere(self, http_source: HttpSource, host: str) -> None:
        http_source.faults[1] = [redirect(f"http://{host}/latest/meta-data")]
        with pytest.raises(SourceError) as caught:
            await read(source_at(http_source), PLAIN, connector=quick(tries=1))
        assert caught.value.code in {"address.refused", "http.url", "http.redirect", "http.dns"}
        assert len(http_source.asked) == 1

    async def test_proxy_of_the_environment_is_not_used(
        self, http_source: HttpSource, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        got = await read(source_at(http_source), PLAIN)
        assert len(got.rows) == 10


class TestNamesThatChange:
    """A name server that gives one answer to who checks and another to who dials finds nobody to fool."""

    @pytest.fixture
    def answers(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """What the name server says of api.example, one after the other."""
        told: list[str] = []
        real = socket.getaddrinfo

        def lookup(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
            return real(told.pop(0) if host == "api.example" else host, port, *rest, **more)

        monkeypatch.setattr(socket, "getaddrinfo", lookup)
        return told

    async def test_checked_address_is_the_one_dialled(
        self, http_source: HttpSource, answers: list[str]
    ) -> None:
        answers += ["127.0.0.1", "169.254.169.254"]
        source = source_at(http_source, base_url=f"http://api.example:{http_source.port}")
        got = await read(source, NUMBERED)
        assert len(got.rows) == 35
        assert answers == ["169.254.169.254"]
        http_source.asked.clear()
        with pytest.raises(SourceError, match=r"'api.example' \(address 169.254.169.254\)") as caught:
            await read(source, NUMBERED)
        assert caught.value.code == "address.refused"
        assert http_source.asked == []

    async def test_redirect_to_a_name_is_checked_by_its_address(
        self, http_source: HttpSource, answers: list[str]
    ) -> None:
        answers += ["169.254.169.254"]
        http_source.faults[1] = [redirect(f"http://api.example:{http_source.port}/plain")]
        with pytest.raises(SourceError, match="not a public address"):
            await read(source_at(http_source), PLAIN)
        assert len(http_source.asked) == 1


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
