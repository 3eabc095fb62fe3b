"""Runs of `def` handlers: a process for each, kept by one that sees to its end."""
