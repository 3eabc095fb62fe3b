"""What the command's exit status says."""

from typing import Final

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
TASK_FAILED: Final = 3
UNREACHABLE: Final = 4
NOT_ALLOWED: Final = 5
NOT_FOUND: Final = 6
INTERRUPTED: Final = 130

EXITS: Final = (
    "Exit status: 0 done; 1 failed; 2 wrong usage or a value that was refused; 3 the task that was followed "
    "did not succeed; 4 the server can't be reached; 5 not signed in or not allowed; 6 not found; "
    "130 interrupted."
)
