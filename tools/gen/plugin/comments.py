"""Comments of a proto file by the full name of what they stand at."""

from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorProto

# Field numbers in descriptor.proto, of which source locations are made.
_FILE = {"message_type": 4, "enum_type": 5, "service": 6}
_MESSAGE = {"field": 2, "nested_type": 3, "enum_type": 4}
_SERVICE = {"method": 2}


class Comments:
    """Looks comments up; what has none gives the empty string."""

    def __init__(self, files: Iterable[FileDescriptorProto]) -> None:
        self._by_name: dict[str, str] = {}
        for file in files:
            said = {
                tuple(each.path): each.leading_comments.strip() for each in file.source_code_info.location
            }
            for path, name in _walk(file, (), file.package, _FILE):
                self._by_name[name] = _plain(said.get(path, ""))

    def of(self, full_name: str) -> str:
        return self._by_name.get(full_name, "")


def _walk(
    parent: Any, path: tuple[int, ...], scope: str, parts: dict[str, int]
) -> Iterator[tuple[tuple[int, ...], str]]:
    for part, number in parts.items():
        for index, child in enumerate(getattr(parent, part)):
            here, name = (*path, number, index), f"{scope}.{child.name}"
            yield here, name
            yield from _walk(child, here, name, _inside(part))


def _inside(part: str) -> dict[str, int]:
    return {"message_type": _MESSAGE, "nested_type": _MESSAGE, "service": _SERVICE}.get(part, {})


def _plain(comment: str) -> str:
    return "\n".join(line.strip() for line in comment.splitlines())
