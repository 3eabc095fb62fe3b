"""Holds on to processes, so that nothing of a worker outlives it."""
