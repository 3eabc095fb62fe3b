"""What must come out, computed from the CSV alone: `python -m demo.expected` has nothing of Weir in it."""

import json
import sys
from collections.abc import Iterable

from demo.fingerprint import NULL, SEPARATOR, Fingerprint, fingerprint
from demo.flights import MISSING, read_lines, rows


def of_rows(fields: Iterable[list[str]]) -> Fingerprint:
    """Of rows as the CSV has them."""
    return fingerprint(_text(row) for row in fields)


def _text(row: list[str]) -> str:
    return SEPARATOR.join([NULL if field == MISSING else field for field in row])


def main() -> None:
    """Print records and sum as JSON."""
    limit = int(sys.argv[1]) if len(sys.argv) > 1 else None
    found = of_rows(rows(read_lines(limit)))
    print(json.dumps({"records": found.records, "total": found.total}))


if __name__ == "__main__":
    main()
