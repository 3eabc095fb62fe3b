"""An object of a bucket as a file to read: what is asked for is fetched, and its end once."""

import io
import os
from collections.abc import Callable
from typing import Final

# As much as Arrow reads of the end of a Parquet file, to find its footer there.
END: Final = 1 << 16


class S3Object(io.RawIOBase):
    """Of an object only its last 64 KiB are kept in memory; a small one is fetched at one go."""

    def __init__(self, fetch: Callable[[str], tuple[bytes, int]]) -> None:
        """`fetch` gives a span of bytes, such as `0-9` or the last ones, `-9`, and the size of all."""
        super().__init__()
        self._fetch = fetch
        self._end, self._size = fetch(f"-{END}")
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        """So many bytes, fewer at the end; all that is left for a negative number."""
        start = self._at
        stop = self._size if size < 0 else min(self._size, start + size)
        if start >= stop:
            return b""
        first_kept = self._size - len(self._end)
        if start >= first_kept:
            content = self._end[start - first_kept : stop - first_kept]
        else:
            content, _ = self._fetch(f"{start}-{stop - 1}")
        self._at += len(content)
        return content
