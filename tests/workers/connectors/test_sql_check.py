"""The connector `sql` names what is wrong with a connection, and lists what there is."""

from pathlib import Path
from typing import Any

import jsonschema
import pyarrow as pa
import pytest

from tests.fixtures.proxy import Streams, proxied_port
from tests.fixtures.sql_sources import SqlSource
from tests.workers.connectors.gathering import refusal
from weir_workers.connectors.contract import Source, Wanted
from weir_workers.connectors.errors import SourceError
from weir_workers.connectors.registry import collection_schema, connection_schema, connector
from weir_workers.connectors.sql import SqlConnector

SERVERS = ("mariadb_source", "postgres_source")


async def nowhere() -> Streams:
    raise OSError


async def fault(source: Source) -> SourceError:
    with pytest.raises(SourceError) as caught:
        await SqlConnector().check(source)
    return caught.value


def other(source: SqlSource, secrets: dict[str, str] | None = None, **parts: str) -> Source:
    """The same connection, with other words in its URL."""
    url = source.settings["url"]
    for old, new in parts.items():
        url = url.replace({"user": "reader@", "database": "/weir_source", "host": "127.0.0.1"}[old], new)
    return Source({**source.settings, "url": url}, source.secrets if secrets is None else secrets, True)


class TestCheck:
    async def test_what_is_right_passes(self, sql_source: SqlSource):
        await SqlConnector().check(sql_source.source)

    @pytest.fixture(params=SERVERS)
    def server(self, request: pytest.FixtureRequest, services: Any) -> SqlSource:
        return request.getfixturevalue(request.param)

    async def test_a_wrong_password_is_told(self, server: SqlSource):
        error = await fault(other(server, {"password": "wrong"}))
        assert (error.kind, error.code) == ("INVALID_INPUT", "sql.auth")

    async def test_a_database_that_is_not_there_is_told(self, server: SqlSource):
        error = await fault(other(server, database="/nowhere"))
        assert error.code in {"sql.missing", "sql.permission"}
        assert "nowhere" in error.message

    async def test_a_table_without_permission_is_told(self, server: SqlSource):
        server.run("CREATE TABLE private (id INTEGER PRIMARY KEY)")
        if server.kind == "mariadb":
            server.run("REVOKE SELECT ON weir_source.* FROM reader@localhost")
            server.run("GRANT CREATE ON weir_source.* TO reader@localhost")
        else:
            server.run("REVOKE pg_read_all_data FROM reader")
        wanted = Wanted({"query": "SELECT id FROM private"})
        assert (await refusal(SqlConnector(), server.source, wanted)).code == "sql.permission"

    async def test_a_server_without_tls_is_told(self, server: SqlSource):
        for tls in ("required", "verified"):
            error = await fault(Source({**server.settings, "tls": tls}, server.secrets, allow_private=True))
            assert error.code == "sql.tls"

    async def test_a_port_where_nothing_listens_is_told(self):
        async with proxied_port(nowhere) as proxy:
            port = proxy.port
        error = await fault(Source({"url": f"mysql://a@127.0.0.1:{port}/b"}, allow_private=True))
        assert (error.kind, error.code) == ("DEPENDENCY", "sql.connect")
        assert f"127.0.0.1:{port}" in error.message

    async def test_a_name_that_can_not_be_resolved_is_told(self):
        error = await fault(Source({"url": "mysql://a@nothing.invalid/b"}, allow_private=True))
        assert error.code == "sql.dns"

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "10.0.0.1", "[::1]", "169.254.169.254"])
    async def test_private_addresses_need_permission(self, host: str):
        for scheme in ("mysql", "postgresql"):
            error = await fault(Source({"url": f"{scheme}://a@{host}/b"}))
            assert error.code == "address.refused"


class TestSQLiteFiles:
    @pytest.fixture
    def folders(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
        inside, outside = tmp_path / "in", tmp_path / "out"
        for folder in (inside, outside):
            folder.mkdir()
        (outside / "a.sqlite").touch()
        monkeypatch.setenv("WEIR_SOURCE_ROOTS", f"{inside},{tmp_path / 'other'}")
        return inside, outside

    async def test_outside_the_roots_none_is_read(self, folders: tuple[Path, Path]):
        inside, outside = folders
        (inside / "link.sqlite").symlink_to(outside / "a.sqlite")
        for path in (
            outside / "a.sqlite",
            inside / "../out/a.sqlite",
            inside / "link.sqlite",
            Path("a.sqlite"),
        ):
            error = await fault(Source({"dialect": "sqlite", "path": str(path)}))
            assert error.code == "file.refused"

    async def test_without_roots_none_is_read(
        self, folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.delenv("WEIR_SOURCE_ROOTS")
        assert (await fault(Source({"url": f"sqlite:///{folders[0]}/a.sqlite"}))).code == "file.refused"

    async def test_a_file_that_is_not_there_is_told_and_not_made(self, folders: tuple[Path, Path]):
        error = await fault(Source({"url": f"sqlite:///{folders[0]}/none.sqlite"}))
        assert error.code == "sql.missing"
        assert list(folders[0].iterdir()) == []

    async def test_a_file_that_is_no_database_is_told(self, folders: tuple[Path, Path]):
        (folders[0] / "text.sqlite").write_text("no database " * 1000)
        assert (
            "not a database" in (await fault(Source({"url": f"sqlite:///{folders[0]}/text.sqlite"}))).message
        )


class TestDiscover:
    async def test_tables_and_views_are_listed(self, sql_source: SqlSource):
        stamp = {"sqlite": "DATETIME", "mariadb": "DATETIME", "postgresql": "TIMESTAMP"}[sql_source.kind]
        sql_source.run(
            f"CREATE TABLE orders (a INTEGER, b VARCHAR(20), changed {stamp}, price DOUBLE PRECISION, "
            "PRIMARY KEY (a, b))",
            "CREATE INDEX by_change ON orders (changed)",
            "CREATE VIEW latest AS SELECT b FROM orders",
        )
        streams = {stream.name: stream for stream in await SqlConnector().discover(sql_source.source)}
        assert set(streams) == {sql_source.name("orders"), sql_source.name("latest")}
        found = streams[sql_source.name("orders")]
        assert found.schema is not None
        assert found.schema.names == ["a", "b", "changed", "price"]
        assert pa.types.is_timestamp(found.schema.field("changed").type)
        assert found.key_fields == ("a", "b")
        assert set(found.cursor_fields[:2]) == {"a", "changed"}
        assert "price" not in found.cursor_fields

    async def test_an_empty_database_has_none(self, sql_source: SqlSource):
        assert await SqlConnector().discover(sql_source.source) == []


class TestSettings:
    def test_it_is_installed(self):
        assert isinstance(connector("sql"), SqlConnector)

    def test_its_schemas_are_json_schemas_with_one_secret(self):
        for schema in (connection_schema(SqlConnector()), collection_schema(SqlConnector())):
            jsonschema.Draft202012Validator.check_schema(schema)
            assert all(about.get("description") for about in schema["properties"].values())
        properties = connection_schema(SqlConnector())["properties"]
        assert [name for name, about in properties.items() if "writeOnly" in str(about)] == ["password"]

    @pytest.mark.parametrize(
        "settings,said",
        [
            ({}, "needs `url`"),
            ({"url": "mysql://a:pw@h/d"}, "must hold no password"),
            ({"url": "mysql://a@h/d?x=1"}, "must have no query"),
            ({"url": "oracle://a@h/d"}, "must be like"),
            ({"url": "mysql://a@h"}, "the name of a database"),
            ({"url": "mysql://a@h/d", "host": "h"}, "not both"),
            ({"dialect": "sqlite"}, "needs its file"),
            ({"url": "sqlite://h/file"}, "no host"),
            ({"dialect": "mysql", "host": "h", "database": "d", "port": 70_000}, "port"),
        ],
    )
    async def test_what_can_not_be_is_refused(self, settings: dict[str, Any], said: str):
        assert said in (await fault(Source(settings))).message

    @pytest.mark.parametrize(
        "settings,said",
        [
            ({"columns": [{"name": "a", "type": "list<int64>"}]}, "no lists or objects"),
            ({"columns": [{"name": "a", "type": "int64"}, {"name": "a", "type": "int64"}]}, "named twice: a"),
            ({"columns": [{"name": "a", "type": "int65"}]}, "no column type"),
            ({"color": "red"}, "color"),
        ],
    )
    async def test_a_collection_that_can_not_be_is_refused(self, settings: dict[str, Any], said: str):
        source = Source({"url": "mysql://a@h/d"})
        assert said in (await refusal(SqlConnector(), source, Wanted(settings, stream="t"))).message
