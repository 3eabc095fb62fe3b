"""Records of a tap as columns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import pyarrow as pa

from weir_core.datasets.commits import Reject
from weir_workers.connectors.contract import Wanted
from weir_workers.connectors.envelope import Envelope
from weir_workers.connectors.infer import TooManyColumns
from weir_workers.connectors.records import PageParser
from weir_workers.connectors.rereading import Reread, reread_json
from weir_workers.connectors.tap_columns import columns_of
from weir_workers.connectors.tap_failures import invalid
from weir_workers.connectors.tap_settings import TapCollection
from weir_workers.connectors.tap_state import Portion

_PAGE: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Rows:
    """What became of some records."""

    batch: pa.RecordBatch | None
    rejects: list[Reject]
    unknown: frozenset[str]
    """Fields without a column."""


class RowMaker:
    """Makes rows of records; the columns are those of the settings, of the dataset, of the tap's schema."""

    def __init__(self, declared: pa.Schema | None, wanted: Wanted, told: bytes = b"") -> None:
        self.declared = declared
        self.told = told
        """The newest schema that the tap has told, as JSON."""
        self._wanted = wanted
        self._seen = b""
        self._parser: PageParser | None = None
        self._pages = 0

    def rows(self, portion: Portion) -> Rows:
        """One batch of a portion, with the columns of its last page. Blocks."""
        batches: list[pa.RecordBatch] = []
        rejects: list[Reject] = []
        unknown: set[str] = set()
        for first, raws in _pages(portion.raws):
            self._pages += 1
            page = self._page(first, raws, portion.odd)
            rejects += page.rejects
            unknown |= page.unknown
            if page.batch is not None and page.batch.num_rows:
                batches.append(page.batch)
        return Rows(_joined(batches), rejects, frozenset(unknown))

    def _page(self, first: int, raws: list[bytes], odd: dict[int, str]) -> Rows:
        number = self._pages
        good = [(at, raw) for at, raw in enumerate(raws) if first + at not in odd]
        rejects = [
            Reject.of(raw, odd[first + at], page=number, position=at + 1)
            for at, raw in enumerate(raws)
            if first + at in odd
        ]
        if not good:
            return Rows(None, rejects, frozenset())
        try:
            body = b"[" + b",".join(raw for _, raw in good) + b"]"
            page = self._columns().parse(Envelope(body, True, ()), number)
        except TooManyColumns as error:
            raise invalid(str(error), "tap.columns") from None
        rejects += [replace(one, position=good[one.position - 1][0] + 1) for one in page.rejects]
        return Rows(page.rows, sorted(rejects, key=lambda one: one.position), page.unknown)

    def _columns(self) -> PageParser:
        if self._parser is not None and self.told == self._seen:
            return self._parser
        self._seen = self.told
        before = self._parser.schema if self._parser else None
        known = self.declared or before or self._wanted.schema
        evolve = self.declared is None and self._wanted.evolve
        told = columns_of(self.told) if self.told else pa.schema([])
        if known is None:
            schema = told if len(told) else None
        elif evolve:
            schema = pa.schema([*known, *(one for one in told if one.name not in known.names)])
        else:
            schema = known
        self._parser = PageParser(schema, evolve=evolve)
        return self._parser


def reread(wanted: Wanted, raws: Sequence[bytes]) -> Reread:
    """Rejected records by the columns of today."""
    declared = wanted.parsed(TapCollection).declared_schema()
    return reread_json(raws, declared or wanted.schema or pa.schema([]))


def _pages(raws: Sequence[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """Records in pages of about 4 MiB, each with the place of its first."""
    first, page, size = 0, list[bytes](), 0
    for at, raw in enumerate(raws):
        page.append(raw)
        size += len(raw)
        if size >= _PAGE:
            yield first, page
            first, page, size = at + 1, [], 0
    if page:
        yield first, page


def _joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch | None:
    """One batch of all, with the columns of the last: these only grow."""
    if not batches:
        return None
    tables = [pa.Table.from_batches([one]) for one in batches]
    whole = pa.concat_tables(tables, promote_options="permissive").combine_chunks()
    return whole.to_batches()[0]
