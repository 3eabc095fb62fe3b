"""The connector `files` on an S3 server and on a web server."""

import gzip
import json
from typing import Any

import pytest

from tests.fixtures.files_server import FilesServer
from tests.fixtures.stores import KEY, SECRET, S3Server
from tests.workers.connectors.gathering import assert_resumes, gather, gather_with_stops, refusal
from weir_workers.connectors.contract import Source, Wanted
from weir_workers.connectors.errors import SourceError
from weir_workers.connectors.files import FilesConnector

SMALL = FilesConnector(block=200)
KEYS = {"access_key": KEY, "secret_key": SECRET}
COLUMNS = [{"name": "id", "type": "int64"}, {"name": "word", "type": "string"}]


def rows(first: int, number: int) -> list[dict[str, Any]]:
    return [{"id": one, "word": f"word {one}"} for one in range(first, first + number)]


def as_csv(records: list[dict[str, Any]]) -> bytes:
    return ("id,word\n" + "".join(f"{one['id']},{one['word']}\n" for one in records)).encode()


@pytest.fixture(scope="module")
def s3(s3_server: S3Server) -> str:
    """The address of an S3 server with a bucket."""
    client = s3_server.client
    client.create_bucket(Bucket="shop")
    for number in range(3):
        client.put_object(Bucket="shop", Key=f"in/2024-0{number}/a.csv", Body=as_csv(rows(number * 20, 20)))
    packed = gzip.compress(b"".join(json.dumps(one).encode() + b"\n" for one in rows(0, 50)))
    client.put_object(Bucket="shop", Key="in/packed/a.ndjson.gz", Body=packed)
    return s3_server.url


def bucket(s3: str, url: str = "s3://shop/in", **more: Any) -> Source:
    return Source({"url": url, "endpoint": s3, "timeout_seconds": 10, **more}, KEYS, allow_private=True)


class TestS3:
    async def test_files_are_found_and_read(self, s3: str):
        asked = Wanted({"files": ["2024-*/*.csv"], "columns": COLUMNS})
        readings = await gather_with_stops(SMALL, bucket(s3), asked)
        assert readings[0].rows == rows(0, 60)
        assert_resumes(readings)

    async def test_what_is_packed_goes_on_too(self, s3: str):
        readings = await gather_with_stops(SMALL, bucket(s3), Wanted({"files": ["**/*.ndjson.gz"]}))
        assert readings[0].rows == rows(0, 50)
        assert_resumes(readings)

    async def test_only_new_files_come_by_their_time(self, s3: str):
        settings = {"files": ["2024-*/*.csv"], "columns": COLUMNS}
        whole = await gather(SMALL, bucket(s3), Wanted(settings, cursor_field="_file_time"))
        last = max(whole.column("_file_time")).isoformat()
        later = Wanted(settings, cursor_field="_file_time", cursor=last)
        assert (await gather(SMALL, bucket(s3), later)).rows == []

    async def test_a_bucket_that_is_not_there_is_told(self, s3: str):
        for pattern in ("a.csv", "*/b.csv"):
            error = await refusal(SMALL, bucket(s3, "s3://nothing"), Wanted({"files": [pattern]}))
            assert error.code == "files.missing"

    async def test_check_looks_into_it(self, s3: str):
        await FilesConnector().check(bucket(s3))

    async def test_private_servers_need_permission(self, s3: str):
        for endpoint in (s3, "https://127.0.0.1:9", "https://localhost:9"):
            with pytest.raises(SourceError) as caught:
                await FilesConnector().check(Source({"url": "s3://shop", "endpoint": endpoint}, KEYS))
            assert caught.value.code in {"address.refused", "settings.invalid"}

    async def test_a_server_that_is_not_there_is_told_without_the_keys(self):
        source = bucket("http://127.0.0.1:9", timeout_seconds=1)
        with pytest.raises(SourceError) as caught:
            await FilesConnector().check(source)
        assert caught.value.kind == "DEPENDENCY"
        assert "s3cret" not in str(caught.value) + repr(source)


class TestWebServer:
    async def test_files_are_read_and_positions_lead_to_the_rest(self, files_server: FilesServer):
        files_server.files["/shop/a b.csv"] = as_csv(rows(0, 40))
        files_server.files["/shop/b.csv.gz"] = gzip.compress(as_csv(rows(40, 40)))
        asked = Wanted({"files": ["a b.csv", "b.csv.gz"], "columns": COLUMNS})
        readings = await gather_with_stops(SMALL, files_server.source, asked)
        assert readings[0].rows == rows(0, 80)
        assert_resumes(readings)

    async def test_the_token_is_sent(self, files_server: FilesServer):
        files_server.files["/shop/a.csv"] = as_csv(rows(0, 1))
        files_server.token = "t0ken"
        asked = Wanted({"files": ["a.csv"]})
        assert (await refusal(SMALL, files_server.source, asked)).status == 401
        with_token = Source(files_server.source.settings, {"token": "t0ken"}, allow_private=True)
        assert len((await gather(SMALL, with_token, asked)).rows) == 1

    async def test_a_file_that_is_not_there_is_told(self, files_server: FilesServer):
        error = await refusal(SMALL, files_server.source, Wanted({"files": ["none.csv"]}))
        assert (error.kind, error.status) == ("INVALID_INPUT", 404)

    async def test_a_file_that_changed_is_told(self, files_server: FilesServer):
        files_server.files["/shop/a.csv"] = as_csv(rows(0, 40))
        asked = Wanted({"files": ["a.csv"]})
        whole = await gather(SMALL, files_server.source, asked)
        files_server.files["/shop/a.csv"] = as_csv(rows(1, 40))
        with pytest.raises(SourceError, match="has changed"):
            await gather(SMALL, files_server.source, asked, whole.positions[1])

    async def test_patterns_and_times_are_refused(self, files_server: FilesServer):
        for asked in (Wanted({"files": ["*.csv"]}), Wanted({"files": ["a.csv"]}, cursor_field="_file_time")):
            assert (await refusal(SMALL, files_server.source, asked)).kind == "INVALID_INPUT"

    async def test_private_addresses_need_permission(self, files_server: FilesServer):
        source = Source(files_server.source.settings)
        assert (await refusal(SMALL, source, Wanted({"files": ["a.csv"]}))).code == "address.refused"


class TestSettings:
    @pytest.mark.parametrize(
        "settings,secrets,said",
        [
            ({"url": "ftp://x"}, {}, "url"),
            ({"url": "https://a:b@x/"}, {}, "no user name"),
            ({"url": "file://host/x"}, {}, "whole path"),
            ({"url": "s3://"}, {}, "bucket"),
            ({"url": "s3://b", "region": "x.evil.com/"}, {}, "region"),
            ({"url": "s3://b"}, {"access_key": "a"}, "go together"),
        ],
    )
    async def test_what_can_not_be_is_refused(
        self, settings: dict[str, Any], secrets: dict[str, str], said: str
    ):
        assert said in (await refusal(SMALL, Source(settings, secrets), Wanted({"files": ["a.csv"]}))).message
