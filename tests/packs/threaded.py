"""A pack that starts a thread when it is imported, as some libraries do."""

import sys
import threading

from pydantic import BaseModel

from weir.task import BlockingContext, task

threading.Thread(target=threading.Event().wait, daemon=True).start()


class Nothing(BaseModel):
    """No input."""


class Seen(BaseModel):
    """What a run sees of itself."""

    threads: int
    is_late: bool


@task("threaded.look")
def look(given: Nothing, ctx: BlockingContext) -> Seen:
    """Count the threads that really run, and tell whether the parent had the pack."""
    return Seen(threads=len(sys._current_frames()), is_late="late" in sys.argv)
