"""README.md, CONTRIBUTING.md and docs/*.md, taken apart: prose, fenced blocks, links."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tools.docs.blocks import ROOT, files

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_BREAKS = {"|", "||", "&&", ";", ">", "<", "2>&1"}


@dataclass(frozen=True)
class Document:
    """One file."""

    path: Path

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))

    @cached_property
    def text(self) -> str:
        return self.path.read_text()

    @property
    def fences(self) -> list[tuple[str, str]]:
        """Language and content of each fenced block."""
        return _FENCE.findall(self.text)

    @property
    def prose(self) -> str:
        """All but the fenced blocks."""
        return _FENCE.sub("", self.text)

    def part(self, heading: str) -> str:
        """What stands below a heading, to the next one."""
        return self.text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]

    @property
    def spans(self) -> list[str]:
        """What stands between backticks in the prose."""
        return _SPAN.findall(self.prose)

    @property
    def links(self) -> list[str]:
        """Targets of links."""
        return _LINK.findall(self.prose)

    @property
    def anchors(self) -> set[str]:
        """What a link may name after a `#`."""
        plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in _HEADING.findall(self.prose))
        return {heading.replace(" ", "-") for heading in plain}

    @property
    def program_files(self) -> dict[str, str]:
        """Programs by the file name in their first line."""
        named = ((re.match(r"# (\S+\.py)\n", code), code) for kind, code in self.fences if kind == "python")
        return {match[1]: code for match, code in named if match}

    def shell_lines(self) -> Iterator[str]:
        """The commands of its shell blocks, one each."""
        for kind, block in self.fences:
            if kind == "sh":
                yield from (line for line in block.replace("\\\n", " ").splitlines() if line.strip())

    def calls(self, program: str) -> Iterator[list[str]]:
        """The words after a program's name, wherever it is called."""
        for text in (*self.shell_lines(), *(span for span in self.spans if span.startswith(program))):
            words = shlex.split(text.replace("…", "X"), comments=True)
            for at, word in enumerate(words):
                if word.rpartition("/")[2] == program and (at == 0 or _begins(words[at - 1])):
                    end = next((at for at in range(at, len(words)) if word in _BREAKS), len(words))
                    yield words[at + 1 : end]


def documents() -> list[Document]:
    """All of them."""
    return [Document(path) for path in files()]


def _begins(before: str) -> bool:
    """True where a command may come after this word: a variable is set, or another command has ended."""
    return "=" in before or before in _BREAKS
