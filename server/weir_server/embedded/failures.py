"""Why `weir up` can't go on."""


class UpFailed(Exception):
    """What stands in the way, and what helps, for the person who started it."""
