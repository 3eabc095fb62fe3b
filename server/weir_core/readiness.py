"""Tells who started this process that it is ready, in the words of systemd's `Type=notify`."""

import os
import socket
from contextlib import suppress


def tell_ready() -> None:
    """Say it once; nothing is said where nobody asked, or nobody listens any more."""
    address = os.environ.pop("NOTIFY_SOCKET", "")
    if not address:
        return
    # An address in Linux' abstract namespace is written with an @.
    path = f"\0{address[1:]}" if address.startswith("@") else address
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.sendto(b"READY=1", path)
