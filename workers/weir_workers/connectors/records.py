"""Turns a page of records into columns, in two tiers.

The page as a whole goes through `pyarrow.json`, which makes no Python object
and lets go of the GIL. From a page that does not fit the records are taken at which the
parser stops, and it is halved where that does not say, until what does not fit is alone; only there are
records read one by one, and only those that fail then are rejected. All here is
pure and blocks: call it from a thread.
"""

import contextlib
import itertools
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import pyarrow as pa

from weir_core.datasets.commits import Reject
from weir_workers.connectors.columns import Misfit, UnknownField, misfits_among, read_columns
from weir_workers.connectors.envelope import Envelope, documents, slices
from weir_workers.connectors.infer import grown_schema, infer_schema, unknown_fields
from weir_workers.connectors.strict import Unfit, read_record

# Below this many records one by one is cheaper than another halving.
_FEW = 4
# The parser is asked so often a page which record it stops at; where many do not fit, halving finds them.
_MOST_HINTS = 32
_LOOK_EVERY = 16
_FIRST_LOOKS = 3
# A page is parsed anew as long as its columns grow, and no more often.
_MOST_TRIES = 4


@dataclass(frozen=True, slots=True)
class Page:
    """A page of records as columns."""

    rows: pa.RecordBatch | None
    """None while no record showed what the columns are."""
    rejects: tuple[Reject, ...]
    records: int
    unknown: frozenset[str] = frozenset()
    """Fields without a column, as far as looked for."""


class PageParser:
    """Parses the pages of one run; takes the columns from the first page if none are given.

    One that evolves takes new fields and wider numbers over as they come; pages that are parsed at the
    same time may have the columns of before.
    """

    def __init__(self, schema: pa.Schema | None, *, evolve: bool = False) -> None:
        self._schema = schema
        self._evolve = evolve
        self._drifting = False
        self._pages = self._misfits = 0
        self._lock = threading.Lock()

    @property
    def schema(self) -> pa.Schema | None:
        """The columns; None before the first record."""
        return self._schema

    def parse(self, envelope: Envelope, number: int) -> Page:
        """The page with that number, from 1."""
        schema = self._columns(envelope)
        if schema is None:
            return _shapeless(envelope, number)
        unknown = frozenset[str]()
        if self._due():
            schema, unknown = self._look(envelope, schema)
        for _ in range(_MOST_TRIES):
            refuse_unknown = envelope.strict and not self._drifting
            try:
                rows = _whole(envelope, schema, refuse_unknown=refuse_unknown)
                return Page(rows, (), rows.num_rows, unknown)
            except UnknownField:
                schema, unknown = self._look(envelope, schema)
            except Misfit:
                wider = self._grown(envelope, schema) if self._may_be_wider() else schema
                if wider == schema:
                    break
                schema = wider
        return _one_by_one(envelope, schema, number, unknown)

    def _columns(self, envelope: Envelope) -> pa.Schema | None:
        with self._lock:
            if self._schema is None:
                self._schema = infer_schema(documents(envelope))
            return self._schema

    def _due(self) -> bool:
        """Once there is drift, new fields are looked for in some pages only."""
        with self._lock:
            self._pages += 1
            return self._drifting and self._pages % _LOOK_EVERY == 0

    def _look(self, envelope: Envelope, schema: pa.Schema) -> tuple[pa.Schema, frozenset[str]]:
        """The columns with the page's new fields, where they may grow, and the fields that are none still."""
        grown = self._grown(envelope, schema)
        return grown, self._unknown(envelope, grown)

    def _grown(self, envelope: Envelope, schema: pa.Schema) -> pa.Schema:
        if not self._evolve:
            return schema
        records = documents(envelope)
        with self._lock:
            assert self._schema is not None
            self._schema = grown_schema(self._schema, records)
            return self._schema

    def _may_be_wider(self) -> bool:
        """A look costs as much as many pages: after the first few, one misfit of many is looked at."""
        with self._lock:
            self._misfits += 1
            return self._evolve and (self._misfits <= _FIRST_LOOKS or self._misfits % _LOOK_EVERY == 0)

    def _unknown(self, envelope: Envelope, schema: pa.Schema) -> frozenset[str]:
        unknown = unknown_fields(documents(envelope), schema)
        self._drifting = self._drifting or bool(unknown)
        return unknown


def _whole(envelope: Envelope, schema: pa.Schema, *, refuse_unknown: bool) -> pa.RecordBatch:
    if not envelope.strict:
        raise Misfit("not proper JSON")
    return read_columns(envelope.records, schema, refuse_unknown=refuse_unknown)


def _one_by_one(envelope: Envelope, schema: pa.Schema, number: int, unknown: frozenset[str]) -> Page:
    raws = slices(envelope)
    batches: list[pa.RecordBatch] = []
    rejects: list[Reject] = []
    for first, run, proper in _runs(raws, strict=envelope.strict):
        for part in _hinted(run, first, schema, number) if proper else _strictly(run, first, schema, number):
            if isinstance(part, Reject):
                rejects.append(part)
            else:
                batches.append(part)
    rows = pa.concat_batches(batches) if batches else pa.RecordBatch.from_pylist([], schema)
    return Page(rows, tuple(rejects), len(raws), unknown)


def _runs(raws: Sequence[bytes], *, strict: bool) -> Iterator[tuple[int, Sequence[bytes], bool]]:
    """Neighbours that are proper JSON, or that are not: what is not must not meet the lenient fast tier."""
    at = 0
    for proper, group in itertools.groupby(raws, key=lambda raw: strict or _proper(raw)):
        run = list(group)
        yield at, run, proper
        at += len(run)


def _proper(raw: bytes) -> bool:
    try:
        msgspec.json.decode(raw, type=msgspec.Raw)
    except msgspec.DecodeError:
        return False
    return True


def _hinted(
    raws: Sequence[bytes], first: int, schema: pa.Schema, number: int
) -> Iterator[pa.RecordBatch | Reject]:
    """What the parser does not stop at is as good as sure to fit: all of it is read together, if it does."""
    told = {
        at: list(_strictly(raws[at : at + 1], first + at, schema, number))
        for at in misfits_among(raws, schema, _MOST_HINTS)
    }
    rejects = [part for parts in told.values() for part in parts if isinstance(part, Reject)]
    # Where the strict reader takes one, rows keep their order only piece by piece.
    if rejects and len(rejects) == len(told):
        with contextlib.suppress(Misfit):
            yield _read([raw for at, raw in enumerate(raws) if at not in told], schema)
            yield from rejects
            return
    begin = 0
    for at, parts in told.items():
        yield from _bisected(raws[begin:at], first + begin, schema, number)
        yield from parts
        begin = at + 1
    yield from _bisected(raws[begin:], first + begin, schema, number)


def _read(raws: Sequence[bytes], schema: pa.Schema) -> pa.RecordBatch:
    return read_columns(b"[" + b",".join(raws) + b"]", schema, refuse_unknown=False)


def _bisected(
    raws: Sequence[bytes], first: int, schema: pa.Schema, number: int
) -> Iterator[pa.RecordBatch | Reject]:
    if len(raws) <= _FEW:
        yield from _strictly(raws, first, schema, number)
        return
    try:
        yield _read(raws, schema)
    except Misfit:
        half = len(raws) // 2
        yield from _bisected(raws[:half], first, schema, number)
        yield from _bisected(raws[half:], first + half, schema, number)


def _strictly(
    raws: Sequence[bytes], first: int, schema: pa.Schema, number: int
) -> Iterator[pa.RecordBatch | Reject]:
    rows: list[dict[str, object]] = []
    for at, raw in enumerate(raws, first + 1):
        try:
            rows.append(read_record(raw, schema))
        except Unfit as unfit:
            yield Reject.of(raw, unfit.reason, column=unfit.column, page=number, position=at)
    if rows:
        yield pa.RecordBatch.from_pylist(rows, schema)


def _shapeless(envelope: Envelope, number: int) -> Page:
    raws = slices(envelope)
    reason = "the record has no fields, and there are no columns yet"
    rejects = (Reject.of(raw, reason, page=number, position=at) for at, raw in enumerate(raws, 1))
    return Page(None, tuple(rejects), len(raws))
