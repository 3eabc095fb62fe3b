"""Tasks: what is asked for, how it goes, how it ended."""
