"""Calls to an S3 server about one bucket: bounded in time, repeated a few times, their errors translated."""

import errno
import threading
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from weir_core.stores.contract import unreachable

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 20.0
TRIES: Final = 3
_CONNECTIONS: Final = 32
_NO_SUCH_RANGE: Final = "InvalidRange"
_NO_SUCH_FILE: Final = ("404", "NoSuchKey", "NoSuchUpload")
# Besides all that has a status of 500 and more.
_BUSY: Final = ("RequestTimeout", "SlowDown", "Throttling", "ThrottlingException", "TooManyRequests")
_BROKEN: Final = 500
_ADVICE: Final = {
    "AccessDenied": "its key lacks a right; docs/operate.md lists what is needed",
    "AuthorizationHeaderMalformed": "see that WEIR_STORE_REGION is the bucket's",
    "InvalidAccessKeyId": "see that WEIR_STORE_KEY_ID is right",
    "NoSuchBucket": "there is no such bucket",
    "PermanentRedirect": "see that WEIR_STORE_REGION is the bucket's",
    "SignatureDoesNotMatch": "see that WEIR_STORE_SECRET is right",
}


@dataclass(frozen=True, slots=True)
class Access:
    """How a bucket is reached."""

    endpoint: str = ""
    """URL of the server; empty: Amazon's."""
    region: str = ""
    """Empty: what the environment says."""
    key_id: str = ""
    """Empty: what environment or machine give, as other programs for S3 take it."""
    secret: str = field(default="", repr=False)


class Bucket:
    """A bucket; used by any number of threads."""

    def __init__(self, name: str, place: str, access: Access) -> None:
        self._name = name
        self._place = place
        self._access = access
        self._making = threading.Lock()

    def call(self, method: str, **given: Any) -> Any:
        """What a method of the client answers; raises as `told` does."""
        with self.told():
            return getattr(self._made(), method)(Bucket=self._name, **given)

    def part(self, key: str, span: str) -> tuple[bytes, int]:
        """Some bytes of an object, such as `0-9` or the last ones, `-9`; and the size of all of it."""
        from botocore.exceptions import HTTPClientError, IncompleteReadError

        for tries_left in reversed(range(TRIES)):
            with self.told():
                try:
                    return self._part(key, span)
                except (HTTPClientError, IncompleteReadError):
                    # The client repeats what got no answer, but not one that broke off.
                    if not tries_left:
                        raise
        raise AssertionError

    def listed(self, method: str, found: str, prefix: str) -> Iterator[dict[str, Any]]:
        """What a method lists of all that begins with the prefix, a page in memory at a time."""
        with self.told():
            pages = iter(self._made().get_paginator(method).paginate(Bucket=self._name, Prefix=prefix))
        while True:
            with self.told():
                page = next(pages, None)
            if page is None:
                return
            yield from page.get(found, ())

    @contextmanager
    def told(self) -> Generator[None]:
        """Says in Weir's own errors what the client raises, and nothing of what may be secret in it.

        DependencyDown, where it may be asked again; FileNotFoundError; PermissionError, where it refuses.
        """
        from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

        try:
            yield
        except ClientError as error:
            raise self._answered(error.response) from None
        except ParamValidationError:
            raise
        except BotoCoreError as error:
            raise self._failed(type(error).__name__) from None

    def _part(self, key: str, span: str) -> tuple[bytes, int]:
        from botocore.exceptions import ClientError

        try:
            answer = self._made().get_object(Bucket=self._name, Key=key, Range=f"bytes={span}")
        except ClientError as error:
            if error.response["Error"]["Code"] == _NO_SUCH_RANGE:
                return b"", 0
            raise
        with closing(answer["Body"]) as body:
            # Of an empty object there is no range.
            whole = answer.get("ContentRange") or f"/{answer['ContentLength']}"
            return body.read(), int(whole.rpartition("/")[2])

    def _answered(self, response: Any) -> Exception:
        code, status = response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]
        if code in _NO_SUCH_FILE:
            return FileNotFoundError(errno.ENOENT, f"the store {self._place} has no such file")
        if status >= _BROKEN or code in _BUSY:
            return self._failed(code)
        advice = f"; {_ADVICE[code]}" if code in _ADVICE else ""
        return PermissionError(errno.EACCES, f"the store {self._place} refuses: {code}{advice}")

    def _failed(self, what: str) -> Exception:
        if "Credential" in what:
            advice = "set WEIR_STORE_KEY_ID and WEIR_STORE_SECRET"
            return PermissionError(errno.EACCES, f"the store {self._place} needs a key; {advice}")
        return unreachable(self._place, f"does not answer ({what})")

    def _made(self) -> Any:
        with self._making:
            return self._client

    @cached_property
    def _client(self) -> Any:
        # Slow to import, and not needed where the store is a folder.
        from botocore.config import Config
        from botocore.session import Session

        access = self._access
        options = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": TRIES},
            max_pool_connections=_CONNECTIONS,
            # A server of one's own seldom has a host name for each bucket.
            s3={"addressing_style": "path" if access.endpoint else "auto"},
            # Content-MD5 is known by all servers, newer checksums are refused by some.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        session: Any = Session()
        return session.create_client(
            "s3",
            endpoint_url=access.endpoint or None,
            region_name=access.region or None,
            aws_access_key_id=access.key_id or None,
            aws_secret_access_key=access.secret or None,
            config=options,
        )
