"""What the child of the connector `sql` tells its worker: framed JSON, and Arrow as it is.

A frame is a letter, the length of what follows, and that. Nothing in it is code.
"""

import base64
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO, Final

import orjson
import pyarrow as pa

from weir_core.datasets.commits import Reject

HEADER: Final = struct.Struct("!cI")
LARGEST: Final = 512 * 1024 * 1024
"""Bytes of a frame at most: a batch is made to have about 4 MiB, but its rows may be large."""

ROWS, REJECT, DRIFT, STREAMS, PARTS, FAILED, DONE = b"B", b"R", b"D", b"S", b"P", b"E", b"."
"""Kinds of frames. ROWS: a length, a JSON object of that length, then an Arrow stream or nothing."""
_LENGTH: Final = struct.Struct("!I")


def send(to: BinaryIO, kind: bytes, *content: bytes | memoryview) -> None:
    """Writes a frame, whose content may come in parts; blocks while the other side is slow."""
    if (size := sum(map(len, content))) > LARGEST:
        raise ValueError(f"a batch of {size:,} bytes is larger than {LARGEST:,}")
    to.write(HEADER.pack(kind, size))
    to.writelines(content)
    to.flush()


def rows_frame(about: Mapping[str, Any], records: pa.RecordBatch | None) -> tuple[bytes, memoryview]:
    """Rows and what is to be known of them."""
    head = orjson.dumps(about)
    body = memoryview(b"") if records is None else _stream_of(records)
    return _LENGTH.pack(len(head)) + head, body


def rows_of(frame: bytes) -> tuple[dict[str, Any], pa.RecordBatch | None]:
    """What `rows_frame` made."""
    (length,) = _LENGTH.unpack_from(frame)
    start = _LENGTH.size + length
    about = orjson.loads(memoryview(frame)[_LENGTH.size : start])
    if len(frame) == start:
        return about, None
    with pa.ipc.open_stream(pa.py_buffer(frame).slice(start)) as reader:
        return about, reader.read_next_batch()


def _stream_of(records: pa.RecordBatch) -> memoryview:
    """A batch as an Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, records.schema) as writer:
        writer.write_batch(records)
    return memoryview(sink.getvalue())


def schema_text(schema: pa.Schema) -> str:
    """A schema as text, for JSON."""
    return base64.b64encode(bytes(schema.serialize())).decode()


def schema_of(text: str) -> pa.Schema:
    """What `schema_text` made."""
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text)))


def reject_frame(reject: Reject) -> bytes:
    """A reject as JSON."""
    raw = base64.b64encode(reject.raw).decode()
    return orjson.dumps([raw, reject.truncated, reject.reason, reject.column, reject.page, reject.position])


def reject_of(frame: bytes) -> Reject:
    """What `reject_frame` made."""
    raw, *rest = orjson.loads(frame)
    return Reject(base64.b64decode(raw), *rest)


def names_frame(names: list[str]) -> bytes:
    """Names as JSON."""
    return orjson.dumps(names)
