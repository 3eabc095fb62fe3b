"""The flights as an API's pages: from CSV text to JSON text, page by page as they are asked for."""

from demo.flights import COLUMNS, MISSING, rows

MOST_ROWS = 5_000


class Pages:
    """Flights cut into pages, numbered from 1."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    def count(self, size: int) -> int:
        """Pages of that size."""
        return -(-len(self._lines) // size)

    def body(self, number: int, size: int) -> bytes:
        """One page as JSON; behind the last one there are no flights."""
        start = (number - 1) * size
        flights = ",".join([_RECORD % tuple(row) for row in rows(self._lines[start : start + size])])
        flights = flights.replace(f'"{MISSING}"', "null").replace(f":{MISSING}", ":null")
        head = f'"page":{number},"pages":{self.count(size)},"total":{len(self._lines)}'
        return f'{{{head},"flights":[{flights}]}}'.encode()


# Numbers stand as they are. No text of the file needs escaping; the checksum would tell.
_FIELDS = ",".join(f'"{name}":%s' if kind == "int64" else f'"{name}":"%s"' for name, kind, _ in COLUMNS)
_RECORD = f"{{{_FIELDS}}}"
