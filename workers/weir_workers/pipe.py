"""Messages between a worker and its children: JSON, with the length in front."""

import asyncio
import socket
import struct
from collections import deque
from typing import Any, Final, cast

import orjson

_HEADER: Final = struct.Struct("!I")
LARGEST: Final = 8 << 20
"""Bytes of one message at most: an input or output of 1 MiB is well within it."""
_TOGETHER: Final = 64 << 10
_UNREAD: Final = 1 << 20


class Pipe(asyncio.Protocol):
    """One end of the connection. What is sent in one turn of the event loop leaves together, in order.

    At most 1 MiB of messages waits here for its reader, and some 64 KiB for the other side.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._lost: Exception | None = None
        self._gone = asyncio.Event()
        self._arriving = bytearray()
        self._arrived: deque[bytes] = deque()
        self._unread = 0
        self._news = asyncio.Event()
        self._leaving = bytearray()
        self._room = asyncio.Event()
        self._room.set()

    @classmethod
    async def open(cls, end: socket.socket) -> "Pipe":
        """Take over a connected socket."""
        _, pipe = await asyncio.get_running_loop().create_connection(cls, sock=end)
        return pipe

    async def send(self, message: dict[str, Any]) -> None:
        """Send a message, waiting while the other side is slow; raises OSError where it is gone."""
        framed = _framed(message)
        # What is written then goes nowhere, and asyncio complains of it.
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the other side is gone")
        if not self._leaving:
            self._loop.call_soon(self._flush)
        self._leaving += framed
        if len(self._leaving) > _TOGETHER:
            self._flush()
        if not self._room.is_set():
            await self._room.wait()
            if self._gone.is_set():
                raise ConnectionResetError("the other side is gone")

    async def receive(self) -> dict[str, Any] | None:
        """The next message; None where the other side is gone."""
        while not self._arrived:
            if self._gone.is_set():
                return None
            self._news.clear()
            await self._news.wait()
        text = self._arrived.popleft()
        if self._unread > _UNREAD >= self._unread - len(text) and self._transport is not None:
            self._transport.resume_reading()
        self._unread -= len(text)
        return orjson.loads(text)

    async def finish(self) -> None:
        """Close this end once all was sent; raises OSError where the other side is gone before."""
        self.close()
        await self._gone.wait()
        if self._lost is not None:
            raise self._lost

    def close(self) -> None:
        """Close this end."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        # That of uvloop is one by its methods, not by its class.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take what comes, a message or some or a part of one."""
        self._arriving += data
        place, size = 0, len(self._arriving)
        while size - place >= _HEADER.size:
            (length,) = _HEADER.unpack_from(self._arriving, place)
            end = place + _HEADER.size + length
            if end > size:
                break
            self._arrived.append(bytes(self._arriving[place + _HEADER.size : end]))
            self._unread += length
            place = end
        del self._arriving[:place]
        if place:
            self._news.set()
        if self._unread > _UNREAD and self._transport is not None:
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        """Hold senders up."""
        self._room.clear()

    def resume_writing(self) -> None:
        """Let them go on."""
        self._room.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go whoever waits."""
        self._lost = exc
        self._gone.set()
        self._news.set()
        self._room.set()

    def _flush(self) -> None:
        if self._leaving and self._transport is not None and not self._transport.is_closing():
            leaving, self._leaving = self._leaving, bytearray()
            self._transport.write(leaving)
        self._leaving.clear()


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
