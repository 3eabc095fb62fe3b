"""What all readings of one connection have in common within a process: its budget, its token.

Kept by key for each event loop, the most recent ones; a key must tell
connections apart and hold no secret.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

MOST = 512

T = TypeVar("T")

_kept: WeakKeyDictionary[asyncio.AbstractEventLoop, OrderedDict[Hashable, Any]] = WeakKeyDictionary()


def shared(key: Hashable, make: Callable[[], T]) -> T:
    """What was made for the key in this event loop; made now if it is new, or was left unused for long."""
    kept = _kept.setdefault(asyncio.get_running_loop(), OrderedDict())
    if key not in kept:
        kept[key] = make()
        while len(kept) > MOST:
            kept.popitem(last=False)
    kept.move_to_end(key)
    return cast("T", kept[key])
