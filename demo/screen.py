"""What a person sees: numbered steps, and a bar that lives where there is a terminal."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

_PLAIN_PARTS = 10


class Bar(Protocol):
    """Shows how far something is."""

    def show(self, done: int, what: str = "") -> None: ...


class Screen:
    """Standard output."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._step = 0

    def say(self, text: str = "", style: str = "") -> None:
        """One line."""
        self._console.print(text, style=style or None, markup=False)

    def step(self, title: str) -> None:
        """What comes next."""
        self._step += 1
        self.say()
        self.say(f"{self._step}  {title}", "bold")

    def tell(self, text: str, style: str = "") -> None:
        """A line that belongs to the step."""
        self.say(f"   {text}", style)

    @contextmanager
    def bar(self, total: int) -> Generator[Bar]:
        """A bar up to `total`; a line now and then where nobody looks."""
        if not self._console.is_terminal:
            yield _Lines(self, total)
            return
        columns = (
            SpinnerColumn("line"),
            BarColumn(32),
            MofNCompleteColumn(),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
        )
        with Progress(TextColumn("  "), *columns, console=self._console) as progress:
            yield _Live(progress, total)


class _Live:
    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=total)

    def show(self, done: int, what: str = "") -> None:
        self._progress.update(self._task, completed=done, description=what)


class _Lines:
    def __init__(self, screen: Screen, total: int) -> None:
        self._screen = screen
        self._total = total
        self._shown = 0

    def show(self, done: int, what: str = "") -> None:
        part = done * _PLAIN_PARTS // max(1, self._total)
        if part != self._shown:
            self._shown = part
            self._screen.tell(f"{done:>9,} of {self._total:,}  {what}")
