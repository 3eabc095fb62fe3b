"""How long to wait before the next try, pure."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Tries of one request, and the waits between them in seconds."""

    tries: int = 6
    first: float = 0.25
    most: float = 20.0
    patience: float = 60.0
    """A source that asks for a longer wait than this gets it from the task's retry."""

    def wait(self, failures: int, hint: float | None) -> float:
        """Wait after that many failures: doubled each time, spread, at least the hint."""
        ceiling = min(self.most, self.first * 2 ** min(failures - 1, 30))
        spread = random.uniform(ceiling / 2, ceiling)
        return max(spread, hint) if hint is not None else spread


def retry_after(header: str | None, now: datetime | None = None) -> float | None:
    """Seconds that a Retry-After header asks for; None for none, 0, the past or nonsense."""
    if not header:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:10]) or None
    try:
        due = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    due = due if due.tzinfo else due.replace(tzinfo=UTC)
    seconds = (due - (now or datetime.now(UTC))).total_seconds()
    return seconds if seconds > 0 else None
