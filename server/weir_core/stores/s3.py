"""A bucket of an S3 server as a store.

An object is there once the server has all of it, and not before: there is nothing to rename. Large files
go in parts, which the server joins at the end; where that does not come about, they are given up.
"""

import base64
import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

from weir_core.stores.contract import PORTION, PROBES, Intake, Measure, Source, StoredFile, checked
from weir_core.stores.s3_bucket import Access, Bucket
from weir_core.stores.s3_object import S3Object

_PART: Final = 8 << 20
_MOST_PARTS: Final = 10_000


class S3Store:
    """Objects of a bucket, all below one prefix. Used by any number of threads."""

    def __init__(self, bucket: str, prefix: str, access: Access) -> None:
        self._top = f"{prefix}/" if prefix else ""
        self._place = f"s3://{bucket}/{prefix}".rstrip("/")
        self._bucket = Bucket(bucket, self._place, access)

    @property
    def place(self) -> str:
        """The URL of bucket and prefix."""
        return self._place

    @property
    def remote(self) -> bool:
        """Yes."""
        return True

    def put(self, name: str, content: bytes | memoryview) -> None:
        """Stores the content under the name; one that is there is replaced."""
        self._bucket.call("put_object", Key=self._key(name), **_body(content))

    def put_from(self, name: str, source: Source, most: int, abandoned: threading.Event) -> Measure:
        """Stores what `source` gives, with one part of it in memory; TooLarge, Abandoned."""
        key, intake = self._key(name), Intake(source, most, abandoned)
        size = max(_PART, -(-most // _MOST_PARTS))
        parts = _parts(intake.portions(), size)
        first = next(parts, bytearray())
        if len(first) < size:
            self._bucket.call("put_object", Key=key, **_body(first))
        else:
            self._put_parts(key, first, parts)
        return intake.measure()

    def open(self, name: str) -> S3Object:
        """The file, to read and to seek in; FileNotFoundError."""
        key = self._key(name)
        return S3Object(lambda span: self._bucket.part(key, span))

    def read(self, name: str, offset: int, size: int) -> bytes:
        """Some bytes of a file, fewer at its end; FileNotFoundError."""
        return self._bucket.part(self._key(name), f"{offset}-{offset + size - 1}")[0] if size else b""

    def copy_to(self, name: str, target: Path) -> None:
        """Writes a file's content to a file that is not there yet; OSError where it is."""
        with target.open("xb") as file:
            try:
                body = self._bucket.call("get_object", Key=self._key(name))["Body"]
                with self._bucket.told(), closing(body):
                    for portion in body.iter_chunks(PORTION):
                        file.write(portion)
            except BaseException:
                target.unlink()
                raise

    def delete(self, name: str) -> None:
        """Deletes a file; one that is not there is no error."""
        with suppress(FileNotFoundError):
            self._bucket.call("delete_object", Key=self._key(name))

    def files(self, prefix: str = "") -> Iterator[StoredFile]:
        """Files in the folder `prefix` and below, in no order."""
        below = f"{self._key(prefix)}/" if prefix else self._top
        for found in self._bucket.listed("list_objects_v2", "Contents", below):
            modified = found["LastModified"].timestamp()
            yield StoredFile(found["Key"].removeprefix(self._top), found["Size"], modified)

    def delete_unfinished(self, older_than_seconds: float) -> int:
        """Gives up parts that were never joined, and deletes what trying the store has left."""
        limit = time.time() - older_than_seconds
        uploads = self._bucket.listed("list_multipart_uploads", "Uploads", self._top)
        begun = [upload for upload in uploads if upload["Initiated"].timestamp() < limit]
        for upload in begun:
            self._give_up(upload["Key"], upload["UploadId"])
        probes = [file for file in self.files(PROBES) if file.modified < limit]
        for probe in probes:
            self.delete(probe.name)
        return len(begun) + len(probes)

    def _key(self, name: str) -> str:
        return self._top + checked(name)

    def _put_parts(self, key: str, first: bytearray, parts: Iterator[bytearray]) -> None:
        upload = self._bucket.call("create_multipart_upload", Key=key)["UploadId"]
        try:
            done = [self._put_part(key, upload, 1, first)]
            done += [self._put_part(key, upload, number, part) for number, part in enumerate(parts, 2)]
            joined = {"Parts": done}
            self._bucket.call("complete_multipart_upload", Key=key, UploadId=upload, MultipartUpload=joined)
        except BaseException:
            # What can't be given up now is swept.
            with suppress(Exception):
                self._give_up(key, upload)
            raise

    def _put_part(self, key: str, upload: str, number: int, part: bytearray) -> dict[str, Any]:
        answer = self._bucket.call("upload_part", Key=key, UploadId=upload, PartNumber=number, **_body(part))
        return {"PartNumber": number, "ETag": answer["ETag"]}

    def _give_up(self, key: str, upload: str) -> None:
        with suppress(FileNotFoundError):
            self._bucket.call("abort_multipart_upload", Key=key, UploadId=upload)


def _body(content: bytes | bytearray | memoryview) -> dict[str, Any]:
    """Content, with what the server checks it by when it has all of it."""
    import pyarrow as pa

    digest = hashlib.md5(content, usedforsecurity=False).digest()
    # A reader over the memory that is there: a segment is not to be copied.
    return {"Body": pa.BufferReader(content), "ContentMD5": base64.b64encode(digest).decode()}


def _parts(portions: Iterator[bytes], size: int) -> Iterator[bytearray]:
    """Portions joined to parts, each but the last of at least that size."""
    part = bytearray()
    for portion in portions:
        part += portion
        if len(part) >= size:
            yield part
            part = bytearray()
    if part:
        yield part
