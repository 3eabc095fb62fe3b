"""Takes a body out of its content encoding, and never makes more of it than is allowed.

Pure and blocking: call it from a thread.
"""

import zlib
from collections.abc import Callable, Mapping

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


def _gzip(body: bytes, limit: int) -> bytes:
    found = b""
    while body:
        part, rest = _zlib(body, 16 + zlib.MAX_WBITS, limit - len(found))
        found += part
        # More members may follow, and zeros that fill up a block.
        body = rest.lstrip(b"\0")
    return found


def _deflate(body: bytes, limit: int) -> bytes:
    if not body:
        return b""
    # Some leave out the frame that the standard wants.
    framed = len(body) > 1 and body[0] & 15 == zlib.DEFLATED and (body[0] * 256 + body[1]) % 31 == 0
    return _zlib(body, zlib.MAX_WBITS if framed else -zlib.MAX_WBITS, limit)[0]


def _zlib(body: bytes, window: int, limit: int) -> tuple[bytes, bytes]:
    """What comes out, and what follows it in the body."""
    reader = zlib.decompressobj(window)
    found = reader.decompress(body, limit + 1)
    if len(found) > limit:
        raise TooGreat
    if not reader.eof:
        raise BodyCut("the body ends too early")
    return found, reader.unused_data


def _zstd(body: bytes, limit: int) -> bytes:
    found = bytearray()
    with pa.CompressedInputStream(pa.BufferReader(body), "zstd") as stream:
        while part := stream.read(min(_STEP, limit + 1 - len(found))):
            found += part
            if len(found) > limit:
                raise TooGreat
    return bytes(found)


_READERS: Mapping[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "zstd": _zstd,
}
