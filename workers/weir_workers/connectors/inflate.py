"""Takes a body out of its content encoding, and never makes more of it than is allowed.

Pure and blocking: call it from a thread.
"""

import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

import pyarrow as pa

from weir_workers.connectors.errors import BodyCut

ACCEPTED = "gzip, deflate, zstd"
_MOST_LAYERS = 2
_STEP = 1024 * 1024


class TooGreat(ValueError):
    """More came out than is allowed."""


class UnknownEncoding(ValueError):
    """An encoding that was not asked for."""


def inflate(body: bytes, encoding: str, limit: int) -> bytes:
    """The body by the header Content-Encoding; BodyCut if it is broken, TooGreat beyond `limit` bytes."""
    layers = [name for part in encoding.lower().split(",") if (name := part.strip()) not in {"", "identity"}]
    if len(layers) > _MOST_LAYERS or not set(layers) <= set(_READERS):
        raise UnknownEncoding(f"the encoding {encoding[:100]!r} was not asked for; {ACCEPTED} are")
    for name in reversed(layers):
        try:
            body = _READERS[name](body, limit)
        except (zlib.error, pa.ArrowException, OSError):
            raise BodyCut(f"the body is no whole {name}") from None
    return body


def _deflate(body: bytes, limit: int) -> bytes:
    # Some leave out the frame that the standard wants.
    framed = len(body) > 1 and body[0] & 15 == zlib.DEFLATED and (body[0] * 256 + body[1]) % 31 == 0
    if framed:
        # What has no frame may look by chance as if it had one.
        with suppress(OSError, pa.ArrowException):
            return _stream("gzip", body, limit)
    return _frameless(body, limit)


def _frameless(body: bytes, limit: int) -> bytes:
    reader = zlib.decompressobj(-zlib.MAX_WBITS)
    found = reader.decompress(body, limit + 1)
    if len(found) > limit:
        raise TooGreat
    if body and not reader.eof:
        raise BodyCut("the body ends too early")
    return found


def _stream(codec: str, body: bytes, limit: int) -> bytes:
    found = bytearray()
    with pa.CompressedInputStream(pa.BufferReader(body), codec) as stream:
        while part := stream.read(min(_STEP, limit + 1 - len(found))):
            found += part
            if len(found) > limit:
                raise TooGreat
    return bytes(found)


_READERS: Mapping[str, Callable[[bytes, int], bytes]] = {
    "gzip": partial(_stream, "gzip"),
    "x-gzip": partial(_stream, "gzip"),
    "deflate": _deflate,
    "zstd": partial(_stream, "zstd"),
}
