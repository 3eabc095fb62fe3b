"""What the engine says to those who run tasks."""


class Fenced(Exception):
    """The attempt is not the task's newest any more: nothing of it is accepted."""
