"""The Weir worker and scheduler."""

__version__ = "0.1.0"
