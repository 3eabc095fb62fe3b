"""Paths with `*`, `?` and `**`, pure."""

import re
from functools import lru_cache
from typing import Final

_MOST_STARS: Final = 8
_WILD: Final = re.compile(r"[*?]")


def pattern_fault(pattern: str) -> str:
    """What is wrong with a pattern; empty where nothing is."""
    parts = pattern.split("/")
    if pattern.startswith("/") or any(part in {"", ".", ".."} for part in parts):
        return "must be a path below the connection's folder, without `.` and `..`"
    if "\\" in pattern or any(ord(character) < ord(" ") for character in pattern):
        return "must hold no backslash and no control character"
    if any("**" in part and part != "**" for part in parts):
        return "has a `**` that is no whole folder"
    if pattern.count("*") > _MOST_STARS:
        return f"has more than {_MOST_STARS} `*`"
    return ""


def is_wild(pattern: str) -> bool:
    """True where it can stand for several paths."""
    return _WILD.search(pattern) is not None


def fixed_folder(pattern: str) -> str:
    """The folder that all that it stands for is in; empty for the top."""
    parts = pattern.split("/")[:-1]
    fixed = next((at for at, part in enumerate(parts) if is_wild(part)), len(parts))
    return "/".join(parts[:fixed])


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    text = ""
    for part in pattern.split("/"):
        if part == "**":
            text += "(?:[^/]+/)*"
        else:
            one = "".join({"*": "[^/]*", "?": "[^/]"}.get(sign, re.escape(sign)) for sign in part)
            text += f"{one}/"
    return re.compile(text.removesuffix("/"))


def matches(pattern: str, path: str) -> bool:
    """True if the pattern stands for the path."""
    return _compiled(pattern).fullmatch(path) is not None


def may_contain(pattern: str, folder: str) -> bool:
    """True if something in the folder, or below it, may be what the pattern stands for."""
    parts, folders = pattern.split("/"), folder.split("/")
    for part, name in zip(parts, folders, strict=False):
        if part == "**":
            return True
        if not matches(part, name):
            return False
    return len(parts) > len(folders)
