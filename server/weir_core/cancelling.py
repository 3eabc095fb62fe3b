"""A cancel that somebody else's code swallowed."""

import asyncio


def heed_cancel() -> None:
    """Raise the CancelledError that is still owed; at each turn of a loop that talks to Redis.

    The client sends by `asyncio.wait_for`, which in Python 3.11 returns the result where cancel and result
    come together: the cancel is gone, and a loop that was to end goes on for ever.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
