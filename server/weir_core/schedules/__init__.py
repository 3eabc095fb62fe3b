"""Schedules: make tasks at times."""
