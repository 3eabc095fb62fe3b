"""The channels of one client: one for calls, and more for streams, which a server allows 100 a connection."""

import threading
from dataclasses import dataclass

from weir.address import Endpoint
from weir.blocking import io
from weir.errors import ClientError

STREAMS_PER_CHANNEL = 90


@dataclass
class Lease:
    """A place on a stream channel; given back by `release`."""

    channel: io.Channel
    streams: int = 0


class Channels:
    """Opens channels when they are needed, in the loop and process that need them."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._guard = threading.Lock()
        self._place: tuple[int, object] | None = None
        self._calls: io.Channel | None = None
        self._streams: list[Lease] = []
        self._closed = False

    def for_call(self) -> io.Channel:
        """The channel of the unary calls."""
        self._check_place()
        with self._guard:
            if self._calls is None:
                self._calls = io.open_channel(self._endpoint)
            return self._calls

    def lease(self) -> Lease:
        """A place for one stream."""
        self._check_place()
        with self._guard:
            free = next((each for each in self._streams if each.streams < STREAMS_PER_CHANNEL), None)
            if free is None:
                free = Lease(io.open_channel(self._endpoint))
                self._streams.append(free)
            free.streams += 1
            return free

    def release(self, lease: Lease) -> None:
        """Gives a place back. A channel is kept for the next stream."""
        with self._guard:
            lease.streams -= 1

    def close(self) -> None:
        """Ends what is still open."""
        self._closed = True
        with self._guard:
            channels = [each.channel for each in self._streams]
            channels += [self._calls] if self._calls is not None else []
            self._streams, self._calls = [], None
        if self._place is not None and self._place == io.place():
            for channel in channels:
                channel.close()

    def _check_place(self) -> None:
        if self._closed:
            raise ClientError("the client is closed; make a new one")
        here = io.place()
        if self._place is None:
            self._place = here
        if self._place[0] != here[0]:
            raise ClientError("the client was used before fork(); make a client in the child process")
        if self._place[1] is not here[1]:
            raise ClientError("the client was used in another event loop; make one in each asyncio.run()")
