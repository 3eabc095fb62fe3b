import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from weir_core.datasets.commits import MAX_RAW, Reject
from weir_workers.connectors.contract import Partition, Source, Wanted
from weir_workers.connectors.errors import SourceError
from weir_workers.connectors.http import HttpConnector
from weir_workers.connectors.http_collection import HttpCollection
from weir_workers.connectors.registry import (
    ConnectorBroken,
    ConnectorUnknown,
    collection_schema,
    connection_schema,
    connector,
    installed,
)

BASE: dict[str, Any] = {"base_url": "https://api.example.com"}


OAUTH: dict[str, Any] = {**BASE, "token_url": "https://login.example.com/token", "client_id": "me"}
POST: dict[str, Any] = {"method": "POST", "send_in": "body"}
WINDOW: dict[str, Any] = {"kind": "time_window", "start": "2024-01-01"}


HALF = """
from weir_workers.connector import Connector
class Odd(Connector):
    name, description, version, modes = "even", "Odd", "1", {"SOMETIMES"}
    async def check(self, source): ...
    async def read(self, source, wanted, partition, position=None): ...
"""


def bring(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, code: str) -> None:
    """Install a package that brings a connector under a name."""
    about = folder / "odd-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[weir.connectors]\n{name} = odd:Odd\n")
    (folder / "odd.py").write_text(code)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "odd", raising=False)


def _nested(depth: int) -> dict[str, Any]:
    return {"a": _nested(depth - 1)} if depth else {}


async def refusal(source: Source, wanted: Wanted) -> SourceError:
    with pytest.raises(SourceError) as caught:
        await anext(HttpConnector().read(source, wanted, Partition()))
    return caught.value


class TestRegistry:
    def test_http_is_installed(self) -> None:
        assert isinstance(installed()["http"], HttpConnector)

    def test_unknown_one_names_those_there_are(self) -> None:
        with pytest.raises(ConnectorUnknown, match=r"'ftp'; installed are .*http"):
            connector("ftp")

    @pytest.mark.parametrize(
        "code,fault",
        [
            ("import nowhere", "of odd 1.0, odd:Odd: can't be loaded: ModuleNotFoundError"),
            ("class Odd: ...", "is no subclass of weir_workers.connector.Connector"),
            (
                "from weir_workers.connector import Connector\nclass Odd(Connector): ...",
                "abstract methods? check",
            ),
            (HALF, "its `name` must be 'odd'.*its `connection_settings` must be.*`modes`.*`read`"),
        ],
    )
    def test_one_that_can_not_be_used_is_told_with_its_package(
        self, code: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bring(tmp_path, monkeypatch, "odd", code)
        with pytest.raises(ConnectorBroken, match=f"(?s){fault}"):
            installed()

    def test_one_that_two_packages_bring_is_used_from_neither(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bring(tmp_path, monkeypatch, "http", "")
        with pytest.raises(ConnectorBroken, match=r"'http': .*odd 1.0.*; uninstall all but one"):
            connector("http")


class TestSchemas:
    def test_are_json_schemas(self) -> None:
        for schema in (connection_schema(HttpConnector()), collection_schema(HttpConnector())):
            jsonschema.Draft202012Validator.check_schema(schema)

    def test_secrets_are_write_only(self) -> None:
        properties = connection_schema(HttpConnector())["properties"]
        secret = [name for name, about in properties.items() if "writeOnly" in str(about)]
        assert secret == ["token", "password", "client_secret", "refresh_token"]

    def test_every_setting_is_described(self) -> None:
        for schema in (connection_schema(HttpConnector()), collection_schema(HttpConnector())):
            assert all(about.get("description") for about in schema["properties"].values())

    @pytest.mark.parametrize(
        "settings,valid",
        [
            ({"path": "/x", "pagination": {"kind": "page", "page_size": 500}}, True),
            ({"pagination": {"kind": "next_link", "next_path": "next"}}, True),
            ({}, True),
            ({"pagination": {"kind": "guess"}}, False),
            ({"pagination": {"kind": "page", "page_size": 0}}, False),
            ({"nonsense": 1}, False),
            ({"pagination": {**WINDOW, "pages": {"kind": "offset", "page_size": 10}}}, True),
            ({"pagination": {**WINDOW, "pages": {"kind": "time_window", "start": "2024-01-01"}}}, False),
            ({"pagination": {"kind": "cursor", "next_path": "a"}, "cursor_format": "epoch_ms"}, True),
            ({"method": "PUT"}, False),
        ],
    )
    def test_schema_and_connector_agree(self, settings: dict[str, Any], valid: bool) -> None:
        schema = collection_schema(HttpConnector())
        assert jsonschema.Draft202012Validator(schema).is_valid(settings) == valid


class TestRefusedSettings:
    @pytest.mark.parametrize(
        "settings,said",
        [
            ({}, "base_url: Field required"),
            ({"base_url": "ftp://x"}, "base_url"),
            ({"base_url": "https://user:pw@x.example"}, "no user name or password"),
            ({"base_url": "https://x.example?key=1"}, "no query"),
            ({**BASE, "auth": "bearer"}, "needs the secret `token`"),
            ({**BASE, "headers": {"Authorization": "x"}}, "can't set Authorization"),
            ({**BASE, "headers": {"X": "a\r\nB: c"}}, "headers"),
            ({**BASE, "color": "red"}, "color"),
            ({**BASE, "timeout_seconds": 0}, "timeout_seconds"),
            ({**BASE, "auth": "query"}, "needs the secret `token`"),
            ({**BASE, "auth": "basic"}, "needs `username`"),
            ({**BASE, "auth": "basic", "username": "a:b"}, "username"),
            ({**BASE, "auth": "oauth2_client_credentials"}, "needs `token_url`"),
            ({**OAUTH, "auth": "oauth2_client_credentials"}, "needs the secret `client_secret`"),
            ({**OAUTH, "auth": "oauth2_refresh_token"}, "needs the secret `refresh_token`"),
            ({**OAUTH, "token_url": "https://u:p@x.example"}, "token_url: Value error, must have a host"),
            ({**OAUTH, "token_url": "https://x.example?a=1"}, "parameters belong to `token_params`"),
            ({**BASE, "max_concurrency": 0}, "max_concurrency"),
            ({**BASE, "check_path": "/me?x=1"}, "check_path"),
        ],
    )
    async def test_connection(self, settings: dict[str, Any], said: str) -> None:
        error = await refusal(Source(settings), Wanted({}))
        assert (error.kind, error.code) == ("INVALID_INPUT", "settings.invalid")
        assert said in error.message

    @pytest.mark.parametrize(
        "settings,said",
        [
            ({"columns": [{"name": "a", "type": "int65"}]}, "'int65' is no column type"),
            ({"columns": [{"name": "a", "type": "binary"}]}, "JSON has no bytes"),
            ({"columns": [{"name": "a", "type": "list<time64[us]>"}]}, "JSON has no bytes"),
            ({"columns": [{"name": "a", "type": "bool"}] * 2}, "named twice: a"),
            ({"path": "/x?y=1"}, "path"),
            ({"records_path": 'a"b'}, "records_path"),
            ({"body": {"a": 1}}, "`body` needs `method` POST"),
            ({"send_in": "body"}, "`send_in` body needs `method` POST"),
            ({"method": "POST", "body": {"a": "x" * 70_000}}, "at most 65536 can be sent"),
            ({"method": "POST", "body": _nested(400)}, "not nested too deep"),
            (
                {**POST, "cursor_param": "a.b", "body": {"a": 1}},
                "'a' is no object, so that 'a.b' ",
            ),
            ({**POST, "pagination": {"kind": "page", "page_param": "a.b"}, "body": {"a": []}}, "'a.b'"),
            ({"pagination": {"kind": "cursor"}}, "needs either `next_path` or `record_path`"),
            ({"pagination": {"kind": "cursor", "next_path": "a", "record_path": "b"}}, "needs either"),
            ({"pagination": {"kind": "time_window"}}, "pagination.time_window.start: Field required"),
            ({"pagination": {**WINDOW, "start": "soon"}}, "'soon' is no time, such as 2024-01-31"),
            ({"pagination": {**WINDOW, "start": ""}}, "`start` must be set"),
            ({"pagination": {**WINDOW, "until": "2024-01-01"}}, "`until` must be later than `start`"),
            ({"pagination": {**WINDOW, "width": "6h", "format": "date"}}, "must be whole days"),
            ({"pagination": {**WINDOW, "width": "1 day"}}, "width"),
            ({"pagination": {**WINDOW, "pages": WINDOW}}, "pages"),
            ({"format": "ndjson", "records_path": "a"}, "records_path must be empty for `format` ndjson"),
            (
                {"format": "ndjson", "pagination": {"kind": "cursor", "next_path": "a"}},
                "pagination.next_path must be empty",
            ),
            ({"max_pages": 0}, "max_pages"),
            ({"cursor_format": "stardate"}, "cursor_format"),
        ],
    )
    async def test_collection(self, settings: dict[str, Any], said: str) -> None:
        error = await refusal(Source(BASE), Wanted(settings))
        assert error.kind == "INVALID_INPUT"
        assert said in error.message

    async def test_secret_is_in_no_message(self) -> None:
        source = Source({**BASE, "auth": "bearer"}, {"token": "s3cret\nline", "tokn": "s3cret"})
        error = await refusal(source, Wanted({}))
        assert "s3cret" not in error.message
        assert "tokn" in error.message


class TestReject:
    def test_long_record_is_cut_and_says_so(self) -> None:
        reject = Reject.of(b"x" * (MAX_RAW + 1), "too long")
        assert (len(reject.raw), reject.truncated) == (MAX_RAW, True)
        assert not Reject.of(b"x" * MAX_RAW, "just right").truncated


class TestBody:
    def test_whole_numbers_that_were_doubles_are_whole_again(self) -> None:
        body = {"size": 10.0, "boost": 1.5, "deep": [{"n": 2.0}], "flag": True}
        found = HttpCollection.model_validate({"method": "POST", "body": body}).body
        assert repr(found) == "{'size': 10, 'boost': 1.5, 'deep': [{'n': 2}], 'flag': True}"
