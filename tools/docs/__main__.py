"""`python -m tools.docs`: see the package's docstring."""

import sys

from tools.docs.blocks import stale, write


def main() -> int:
    """Write, or only compare; 1 where something is stale."""
    if sys.argv[1:] != ["--check"]:
        write()
        return 0
    for place in (found := stale()):
        print(f"{place} is stale; run: make gen", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
