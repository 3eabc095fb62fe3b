"""The environment of the demo's programs: the caller's, without what steers another Weir."""

import os


def clean_environment(**added: str) -> dict[str, str]:
    """The caller's variables but `WEIR_…` and proxies, and those added."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("WEIR_") and not name.lower().endswith("_proxy")
    }
    return kept | {"PYTHONUNBUFFERED": "1"} | added
