"""How requests show who asks, and that nobody else sees it."""

import base64
import traceback
from typing import Any

import pytest
from aiohttp import web

from tests.fixtures.http_source import Asked, HttpSource, hang, redirect, status
from tests.workers.connectors.reading import HEADER, LINKED, NUMBERED, PLAIN, Waits, quick, read, source_at
from weir_workers.connectors.contract import Source
from weir_workers.connectors.errors import SourceError

KEY = "s3cret/k=y &?"


def grant(name: str = "t1", **also: Any) -> Any:
    return {"access_token": name, "token_type": "Bearer", **also}


def oauth(
    source: HttpSource, kind: str = "oauth2_client_credentials", base: str = "", **settings: Any
) -> Source:
    secrets = {"client_secret": "s3cret:x/y"}
    if kind == "oauth2_refresh_token":
        secrets["refresh_token"] = "s3cret-refresh"
    return source_at(
        source,
        secrets,
        auth=kind,
        token_url=f"{source.url}/token",
        client_id="me & you",
        base_url=base or source.url,
        **settings,
    )


def tokens_asked(source: HttpSource) -> list[Asked]:
    return [asked for asked in source.asked if asked.path == "/token"]


def bearers(source: HttpSource) -> list[str | None]:
    return [asked.headers.get("Authorization") for asked in source.asked if asked.path != "/token"]


class TestBasic:
    @pytest.mark.parametrize("password", ["", "pä:ss"])
    async def test_name_and_password(self, http_source: HttpSource, password: str) -> None:
        await read(source_at(http_source, {"password": password}, auth="basic", username="ada"), PLAIN)
        kind, pair = http_source.asked[0].headers["Authorization"].split()
        assert (kind, base64.b64decode(pair).decode()) == ("Basic", f"ada:{password}")


class TestKeyInTheQuery:
    def source(self, http_source: HttpSource, **settings: Any) -> Source:
        return source_at(http_source, {"token": KEY}, auth="query", auth_param="key", **settings)

    @pytest.mark.parametrize("settings", [NUMBERED, LINKED, HEADER])
    async def test_goes_with_each_page(self, http_source: HttpSource, settings: dict[str, Any]) -> None:
        got = await read(self.source(http_source), settings)
        assert len(got.rows) == 35
        assert {asked.query["key"] for asked in http_source.asked} == {KEY}

    async def test_link_that_repeats_it_is_kept_without(self, http_source: HttpSource) -> None:
        http_source.bodies[1] = (
            b'{"paging": {"next": "/linked?key=s3cret%2Fk&page=2&x=a%2Fb"}, "data": {"items": [{"id": 0}]}}'
        )
        got = await read(self.source(http_source), LINKED)
        assert got.positions[0]["next"] == f"{http_source.url}/linked?page=2&x=a/b"
        assert http_source.asked[1].query == {"page": "2", "x": "a/b", "key": KEY}

    async def test_stays_home_when_redirected(self, http_source: HttpSource) -> None:
        away = f"http://localhost:{http_source.port}/plain?key=s3cret&page=2"
        http_source.faults[1] = [redirect(away)]
        await read(self.source(http_source), PLAIN)
        assert http_source.asked[0].query["key"] == KEY
        assert "key" not in http_source.asked[1].query

    @pytest.mark.parametrize("base", ["", "http://127.0.0.1:9"])
    @pytest.mark.parametrize("fault", [status(403), redirect("http://x y/"), redirect("ftp://x?key=s3cret")])
    async def test_is_in_no_error(self, http_source: HttpSource, fault: Any, base: str) -> None:
        http_source.faults[1] = [fault] * 2
        source = self.source(http_source, base_url=base or http_source.url)
        with pytest.raises(SourceError) as caught:
            await read(source, PLAIN, connector=quick(tries=2))
        told = "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value)) + repr(source)
        assert "s3cret" not in told


class TestOAuth2:
    async def test_token_is_fetched_once_and_sent_with_each_page(self, http_source: HttpSource) -> None:
        http_source.apis["/token"] = lambda _: grant(expires_in=3600)
        source = oauth(http_source, token_params={"scope": "read write"})
        got = await read(source, NUMBERED)
        assert len(got.rows) == 35
        assert set(bearers(http_source)) == {"Bearer t1"}
        (asked,) = tokens_asked(http_source)
        assert asked.form == {"grant_type": "client_credentials", "scope": "read write"}
        pair = base64.b64decode(asked.headers["Authorization"].split()[1]).decode()
        assert pair == "me+%26+you:s3cret%3Ax%2Fy"

    async def test_client_can_go_in_the_form(self, http_source: HttpSource) -> None:
        http_source.apis["/token"] = lambda _: grant()
        await read(oauth(http_source, client_auth="body"), PLAIN)
        (asked,) = tokens_asked(http_source)
        assert "Authorization" not in asked.headers
        assert (asked.form["client_id"], asked.form["client_secret"]) == ("me & you", "s3cret:x/y")

    async def test_readings_of_one_connection_share_it(self, http_source: HttpSource) -> None:
        http_source.apis["/token"] = lambda _: grant(expires_in=3600)
        connector = quick()
        for _ in range(3):
            await read(oauth(http_source), PLAIN, connector=connector)
        assert len(tokens_asked(http_source)) == 1

    async def test_is_changed_shortly_before_it_ends(self, http_source: HttpSource) -> None:
        given = iter(["t1", "t2"])
        http_source.apis["/token"] = lambda _: grant(next(given), expires_in=600)
        waits = Waits()
        connector = quick(waits)
        await read(oauth(http_source), PLAIN, connector=connector)
        await waits.sleep(500)
        await read(oauth(http_source), PLAIN, connector=connector)
        await waits.sleep(60)
        await read(oauth(http_source), PLAIN, connector=connector)
        assert bearers(http_source) == ["Bearer t1", "Bearer t1", "Bearer t2"]

    async def test_is_changed_once_after_a_401(self, http_source: HttpSource) -> None:
        given = iter(["t1", "t2", "t3"])
        http_source.apis["/token"] = lambda _: grant(next(given))
        for number in (2, 3, 4):
            http_source.faults[number] = [status(401)]
        got = await read(oauth(http_source), NUMBERED)
        assert len(got.rows) == 35
        assert 2 <= len(tokens_asked(http_source)) <= 3

    async def test_second_401_ends_the_run(self, http_source: HttpSource) -> None:
        given = iter(["t1", "t2", "t3"])
        http_source.apis["/token"] = lambda _: grant(next(given))
        http_source.faults[1] = [status(401)] * 5
        with pytest.raises(SourceError, match="401") as caught:
            await read(oauth(http_source), PLAIN)
        assert (caught.value.kind, caught.value.code) == ("INVALID_INPUT", "http.401")
        assert bearers(http_source) == ["Bearer t1", "Bearer t2"]

    async def test_refresh_token_that_comes_in_exchange_is_used(self, http_source: HttpSource) -> None:
        given = iter([grant("t1", refresh_token="r2"), grant("t2")])
        http_source.apis["/token"] = lambda _: next(given)
        http_source.faults[1] = [status(401)]
        await read(oauth(http_source, "oauth2_refresh_token"), PLAIN)
        assert [asked.form["refresh_token"] for asked in tokens_asked(http_source)] == [
            "s3cret-refresh",
            "r2",
        ]
        assert {asked.form["grant_type"] for asked in tokens_asked(http_source)} == {"refresh_token"}

    @pytest.mark.parametrize(
        "answer,said",
        [
            (web.json_response({"error": "invalid_client"}, status=401), r"invalid_client.*client_secret"),
            (web.json_response({"error": "invalid_grant"}, status=400), "refresh_token"),
            (web.json_response({"error": "s3cret"}, status=400), "token_url"),
            (web.Response(status=302, headers={"Location": "/x"}), "302"),
            (web.Response(text="<html>"), "no `access_token`"),
            (web.Response(text="x" * 300_000), "no `access_token`"),
            (web.json_response({"access_token": "a\nb"}), "no `access_token`"),
            (web.json_response({"access_token": "a", "token_type": "mac"}), "not of the type bearer"),
        ],
        ids=["client", "grant", "unknown", "redirect", "html", "long", "odd", "mac"],
    )
    async def test_refusal_says_what_is_wrong(self, http_source: HttpSource, answer: Any, said: str) -> None:
        http_source.apis["/token"] = lambda _: answer
        with pytest.raises(SourceError, match=said) as caught:
            await read(oauth(http_source), PLAIN)
        error = caught.value
        assert (error.kind, error.code) == ("INVALID_INPUT", "http.token")
        assert "s3cret" not in "".join(traceback.format_exception(error))
        assert bearers(http_source) == []

    async def test_passing_fault_of_the_token_endpoint_is_tried_again(self, http_source: HttpSource) -> None:
        given = iter([web.Response(status=503), web.Response(status=429), grant()])
        http_source.apis["/token"] = lambda _: next(given)
        got = await read(oauth(http_source), PLAIN)
        assert len(got.rows) == 10

    async def test_token_endpoint_is_dialled_under_the_same_rules(self, http_source: HttpSource) -> None:
        source = Source(
            {
                "base_url": "https://api.example.com",
                "auth": "oauth2_client_credentials",
                "token_url": f"http://127.0.0.1:{http_source.port}/token",
                "client_id": "me",
            },
            {"client_secret": "x"},
        )
        with pytest.raises(SourceError, match="not a public address") as caught:
            await read(source, PLAIN)
        assert caught.value.code == "address.refused"
        assert http_source.asked == []

    async def test_token_stays_home_when_redirected(self, http_source: HttpSource) -> None:
        http_source.apis["/token"] = lambda _: grant()
        http_source.faults[1] = [redirect(f"http://localhost:{http_source.port}/plain?page=2")]
        await read(oauth(http_source), PLAIN)
        assert bearers(http_source) == ["Bearer t1", None]


class TestCheck:
    async def test_names_what_failed(self, http_source: HttpSource) -> None:
        for code in (401, 403, 429, 500):
            http_source.apis["/"] = lambda _, code=code: web.Response(status=code)
            with pytest.raises(SourceError) as caught:
                await quick().check(source_at(http_source))
            assert caught.value.code == f"http.{code}"

    async def test_any_other_answer_will_do_without_a_path(self, http_source: HttpSource) -> None:
        for answer in (web.Response(status=404), web.Response(text="<html>")):
            http_source.apis["/"] = lambda _, answer=answer: answer
            await quick().check(source_at(http_source))

    async def test_path_must_answer_json(self, http_source: HttpSource) -> None:
        source = source_at(http_source, check_path="/me")
        http_source.apis["/me"] = lambda _: {"name": "ada"}
        await quick().check(source)
        http_source.apis["/me"] = lambda _: web.Response(text="<html>", content_type="text/html")
        with pytest.raises(SourceError, match="no JSON, but 'text/html'") as caught:
            await quick().check(source)
        assert (caught.value.kind, caught.value.code) == ("INVALID_INPUT", "http.body")
        http_source.apis["/me"] = lambda _: web.Response(status=404)
        with pytest.raises(SourceError, match="404"):
            await quick().check(source)

    async def test_tries_the_token(self, http_source: HttpSource) -> None:
        http_source.apis["/token"] = lambda _: web.json_response({"error": "invalid_client"}, status=401)
        with pytest.raises(SourceError, match="invalid_client"):
            await quick().check(oauth(http_source))

    @pytest.mark.parametrize(
        "base,code",
        [
            ("http://127.0.0.1:9", "http.connect"),
            ("http://nowhere.invalid", "http.dns"),
            ("https://127.0.0.1:{port}", "http.tls"),
        ],
    )
    async def test_names_how_far_it_came(self, http_source: HttpSource, base: str, code: str) -> None:
        source = source_at(http_source, base_url=base.format(port=http_source.port))
        with pytest.raises(SourceError) as caught:
            await quick().check(source)
        assert caught.value.code == code

    async def test_gives_up_in_time(self, http_source: HttpSource) -> None:
        http_source.faults[1] = [hang]
        with pytest.raises(SourceError, match=r"within 0\.3 s") as caught:
            await quick().check(source_at(http_source, timeout_seconds=0.3))
        assert caught.value.code == "http.timeout"
