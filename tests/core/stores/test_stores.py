"""A store, in a folder and in a bucket: content is whole under its name, or not there."""

import hashlib
import io
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.stores import PREFIX, Bucket
from weir_core.config import Settings
from weir_core.stores.contract import Abandoned, Measure, ObjectStore, TooLarge, UnsafeName, try_out
from weir_core.stores.opening import open_store

BIG = os.urandom(1 << 20) * 18


@pytest.fixture(params=["folder", "s3"])
def store_kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def store(store_settings: dict[str, Any], tmp_path: Path) -> ObjectStore:
    return open_store(Settings(data_dir=tmp_path / "data", **store_settings))


def put_from(store: ObjectStore, source: io.BytesIO, most: int = 1 << 30) -> Measure:
    return store.put_from("files/ab/one", source, most, threading.Event())


def names(store: ObjectStore, prefix: str = "") -> set[str]:
    return {file.name for file in store.files(prefix)}


class Breaking(io.BytesIO):
    """Gives 12 MiB, then fails."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() >= 12 << 20:
            raise ConnectionResetError("the source is gone")
        return super().read(size)


class TestContent:
    def test_it_is_read_as_it_was_put(self, store: ObjectStore, tmp_path: Path):
        content = BIG[:200_000]
        store.put("datasets/a/b.parquet", memoryview(content))
        assert store.read("datasets/a/b.parquet", 199_990, 100) == content[-10:]
        assert store.read("datasets/a/b.parquet", 200_000, 100) == b""
        with store.open("datasets/a/b.parquet") as file:
            assert file.read(10) == content[:10]
            file.seek(-70_000, os.SEEK_END)
            assert file.read(20) == content[-70_000:-69_980]
            assert file.read() == content[-69_980:]
        store.copy_to("datasets/a/b.parquet", tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == content
        ((name, size),) = [(file.name, file.size) for file in store.files("datasets")]
        assert (name, size) == ("datasets/a/b.parquet", 200_000)

    def test_what_is_put_again_is_replaced_and_what_is_empty_is_there(self, store: ObjectStore):
        for content in (b"long", b""):
            store.put("files/ab/one", content)
            assert store.read("files/ab/one", 0, 10) == content
        with store.open("files/ab/one") as file:
            assert file.read(10) == b""

    def test_what_is_deleted_is_gone_however_often(self, store: ObjectStore, tmp_path: Path):
        store.put("files/ab/one", b"x")
        for _ in range(2):
            store.delete("files/ab/one")
        for look in (
            lambda: store.read("files/ab/one", 0, 1),
            lambda: store.open("files/ab/one"),
            lambda: store.copy_to("files/ab/one", tmp_path / "copy"),
        ):
            with pytest.raises(FileNotFoundError):
                look()

    def test_only_what_is_below_a_folder_is_listed(self, store: ObjectStore):
        for name in ("datasets/a", "datasets/b/c", "datasets2/d", "files/e"):
            store.put(name, b"x")
        assert names(store, "datasets") == {"datasets/a", "datasets/b/c"}
        assert len(names(store)) == 4

    def test_names_that_lead_elsewhere_are_refused(self, store: ObjectStore):
        for name in ("../x", "/etc/passwd", "a//b", "a/../b", ".hidden", ""):
            with pytest.raises(UnsafeName):
                store.put(name, b"x")

    def test_trying_it_leaves_nothing(self, store: ObjectStore):
        try_out(store)
        assert names(store) == set()


class TestPutFrom:
    def test_size_and_checksum_are_those_of_what_is_there(self, store: ObjectStore):
        for size in (0, 5, 8 << 20, 18 << 20):
            measure = put_from(store, io.BytesIO(BIG[:size]))
            assert (measure.size, measure.sha256) == (size, hashlib.sha256(BIG[:size]).digest())
            assert [file.size for file in store.files("files")] == [size]
            assert store.read("files/ab/one", max(0, size - 3), 10) == BIG[:size][-3:]

    def test_p10_of_what_breaks_off_nothing_is_left(
        self, store: ObjectStore, request: pytest.FixtureRequest, tmp_path: Path
    ):
        abandoned = threading.Event()
        abandoned.set()
        with pytest.raises(TooLarge):
            put_from(store, io.BytesIO(BIG), most=12 << 20)
        with pytest.raises(ConnectionResetError):
            put_from(store, Breaking(BIG))
        with pytest.raises(Abandoned):
            store.put_from("files/ab/one", io.BytesIO(BIG), 1 << 30, abandoned)
        assert names(store) == set()
        if store.remote:
            assert request.getfixturevalue("bucket").uploads() == 0
        else:
            assert not [path for path in (tmp_path / "data").rglob("*") if path.is_file()]


class TestBucket:
    @pytest.fixture
    def store_kind(self) -> str:
        return "s3"

    def test_all_is_below_its_prefix_and_the_rest_is_left_alone(self, store: ObjectStore, bucket: Bucket):
        bucket.server.client.put_object(Bucket=bucket.name, Key="kept/other", Body=b"")
        store.put("files/a", b"x")
        assert bucket.keys() == {"kept/other", f"{PREFIX}/files/a"}
        assert names(store) == {"files/a"}

    def test_p10_parts_and_probes_of_one_who_died_are_swept(self, store: ObjectStore, bucket: Bucket):
        client, name = bucket.server.client, bucket.name
        store.put("probes/0123", b"weir")
        store.put("files/b", b"x")
        assert store.delete_unfinished(3600) == 0
        client.create_multipart_upload(Bucket=name, Key=f"{PREFIX}/files/a")
        client.create_multipart_upload(Bucket=name, Key="another")
        assert store.delete_unfinished(-60) == 2
        assert (bucket.uploads(), names(store)) == (1, {"files/b"})
