"""NDJSON, a record a line; and JSON files, which are a list of records."""

import json
from collections.abc import Iterator
from dataclasses import replace

import msgspec

from weir_core.datasets.commits import Reject
from weir_workers.connectors.envelope import Envelope, WrongShape, split
from weir_workers.connectors.errors import BodyCut
from weir_workers.connectors.files_formats import FileJob, Part, skip_to, unreadable, whole
from weir_workers.connectors.files_lines import Lines, blocks_of_lines
from weir_workers.connectors.infer import TooManyColumns
from weir_workers.connectors.records import Page


def read_ndjson(job: FileJob) -> Iterator[Part]:
    """Blocks of lines from where it is to begin."""
    start, row = job.at.get("byte", 0), job.at.get("row", 0)
    skip_to(job, job.stream, start)
    for block in blocks_of_lines(job.stream, start, job.block):
        yield _part(job, block, row, block.end - start)
        row += len(block.lines)
        start = block.end


def read_json(job: FileJob) -> Iterator[Part]:
    """All records of the file at once."""
    if job.at:
        return
    body = whole(job)
    try:
        page = _parsed(job, split(body, job.settings.records_path))
    except (BodyCut, WrongShape) as error:
        raise unreadable(job.name, str(error)) from None
    yield Part({"row": page.records}, page.rows, page.rejects, page.records, len(body), page.unknown)


def _part(job: FileJob, block: Lines, row: int, size: int) -> Part:
    at = {"byte": block.end, "row": row + len(block.lines)}
    numbered = [(row + number, line) for number, line in enumerate(block.lines, 1) if line.strip()]
    if block.cut:
        number, line = numbered[0]
        reject = Reject.of(line, "the line is too long", page=job.number, position=number)
        return Part(at, None, (reject,), 1, size)
    page = _page(job, numbered)
    return Part(at, page.rows, page.rejects, len(numbered), size, page.unknown)


def _page(job: FileJob, numbered: list[tuple[int, bytes]]) -> Page:
    body = b"[" + b",".join(line for _, line in numbered) + b"]"
    rejects: list[Reject] = []
    strict = _records(body) == len(numbered)
    if not strict:
        good: list[tuple[int, bytes]] = []
        for number, line in numbered:
            if _is_json(line):
                good.append((number, line))
            else:
                rejects.append(Reject.of(line, "the line is no JSON", page=job.number, position=number))
        numbered = good
        body = b"[" + b",".join(line for _, line in numbered) + b"]"
        strict = _records(body) == len(numbered)
    if not numbered:
        return Page(None, tuple(rejects), 0)
    page = _parsed(job, Envelope(body, strict, ()))
    # The parser counts within the block.
    rejects += [replace(one, position=numbered[one.position - 1][0]) for one in page.rejects]
    rejects.sort(key=lambda one: one.position)
    return replace(page, rejects=tuple(rejects))


def _parsed(job: FileJob, envelope: Envelope) -> Page:
    try:
        return job.columns.parser.parse(envelope, job.number)
    except TooManyColumns as error:
        raise unreadable(job.name, str(error)) from None


def _records(body: bytes) -> int:
    """How many values a list has; -1 where it is no proper JSON."""
    try:
        return len(msgspec.json.decode(body, type=list[msgspec.Raw]))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return -1


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line.decode("utf-8", "surrogateescape"), strict=False)
    except (ValueError, RecursionError):
        return False
    return True
