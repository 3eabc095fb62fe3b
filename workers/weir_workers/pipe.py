"""Messages between a worker and its children: JSON, with the length in front."""

import asyncio
import socket
import struct
from typing import Any, Final

import orjson

_HEADER: Final = struct.Struct("!I")
LARGEST: Final = 8 << 20
"""Bytes of one message at most: an input or output of 1 MiB is well within it."""


class Pipe:
    """One end of the connection; sends are kept in order."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._turn = asyncio.Lock()

    @classmethod
    async def open(cls, end: socket.socket) -> "Pipe":
        """Take over a connected socket."""
        reader, writer = await asyncio.open_connection(sock=end)
        return cls(reader, writer)

    async def send(self, message: dict[str, Any]) -> None:
        """Send a message, waiting while the other side is slow; raises OSError where it is gone."""
        framed = _framed(message)
        async with self._turn:
            # What is written then goes nowhere, and asyncio complains of it.
            if self._writer.is_closing():
                raise ConnectionResetError("the other side is gone")
            self._writer.write(framed)
            await self._writer.drain()

    async def receive(self) -> dict[str, Any] | None:
        """The next message; None where the other side is gone."""
        try:
            (length,) = _HEADER.unpack(await self._reader.readexactly(_HEADER.size))
            return orjson.loads(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, OSError):
            return None

    async def finish(self) -> None:
        """Close this end once all was sent; raises OSError where the other side is gone before."""
        self._writer.close()
        await self._writer.wait_closed()

    def close(self) -> None:
        """Close this end."""
        self._writer.close()


def send_to(end: socket.socket, message: dict[str, Any]) -> None:
    """Send a message where there is no event loop; raises OSError."""
    end.sendall(_framed(message))


def receive_from(end: socket.socket) -> dict[str, Any]:
    """The next message where there is no event loop; raises OSError where the other side is gone."""
    (length,) = _HEADER.unpack(_exactly(end, _HEADER.size))
    return orjson.loads(_exactly(end, length))


def _framed(message: dict[str, Any]) -> bytes:
    text = orjson.dumps(message)
    if len(text) > LARGEST:
        raise ValueError(f"a message of {len(text):,} bytes is larger than {LARGEST:,}")
    return _HEADER.pack(len(text)) + text


def _exactly(end: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        if not (part := end.recv(size - len(received))):
            raise ConnectionError("the other side is gone")
        received += part
    return bytes(received)
