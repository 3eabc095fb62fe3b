"""The connector `files` on folders: every format, every place to go on at, what does not fit."""

import gzip
import json
import os
import zipfile
from collections.abc import Callable
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.workers.connectors.gathering import assert_resumes, gather, gather_with_stops, refusal
from weir_workers.connectors import files_formats, files_lines
from weir_workers.connectors.contract import Partition, Source, Wanted
from weir_workers.connectors.errors import SourceError
from weir_workers.connectors.files import FilesConnector

SMALL = FilesConnector(block=200)
COLUMNS = [{"name": "id", "type": "int64"}, {"name": "word", "type": "string"}]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that workers may read."""
    found = tmp_path / "sources"
    found.mkdir()
    monkeypatch.setenv("WEIR_SOURCE_ROOTS", str(found))
    return found


def source(folder: Path, below: str = "") -> Source:
    return Source({"url": f"file://{folder}{below}"})


def wanted(*files: str, **settings: Any) -> Wanted:
    return Wanted({"files": list(files), **settings})


def records(first: int, number: int) -> list[dict[str, Any]]:
    return [{"id": one, "word": f"word, {one}"} for one in range(first, first + number)]


def as_csv(rows: list[dict[str, Any]]) -> bytes:
    return ("id,word\n" + "".join(f'{row["id"]},"{row["word"]}"\n' for row in rows)).encode()


def as_ndjson(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def as_json(rows: list[dict[str, Any]]) -> bytes:
    return json.dumps(rows).encode()


def as_parquet(rows: list[dict[str, Any]]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink, row_group_size=7)
    return bytes(sink.getvalue())


def packed(body: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(body)
    return bytes(sink.getvalue())


FORMATS: dict[str, Callable[[list[dict[str, Any]]], bytes]] = {
    "csv": as_csv,
    "csv.gz": lambda rows: gzip.compress(as_csv(rows)),
    "csv.zst": lambda rows: packed(as_csv(rows)),
    "ndjson": as_ndjson,
    "jsonl.gz": lambda rows: gzip.compress(as_ndjson(rows[:5])) + gzip.compress(as_ndjson(rows[5:])),
    "json": as_json,
    "json.gz": lambda rows: gzip.compress(as_json(rows)),
    "parquet": as_parquet,
}


class TestFormats:
    @pytest.mark.parametrize("ending", FORMATS)
    async def test_rows_of_all_files_come_and_every_place_leads_to_the_rest(self, folder: Path, ending: str):
        for number in range(3):
            (folder / f"part-{number}.{ending}").write_bytes(FORMATS[ending](records(number * 20, 20)))
        asked = wanted(f"part-*.{ending}", columns=COLUMNS)
        readings = await gather_with_stops(SMALL, source(folder), asked)
        assert readings[0].rows == records(0, 60)
        assert readings[0].rejects == []
        assert readings[0].counts.records == 60
        assert_resumes(readings)

    @pytest.mark.parametrize("ending", ["csv", "csv.gz", "csv.zst", "ndjson", "jsonl.gz", "parquet"])
    async def test_every_single_position_leads_to_exactly_the_rest(self, folder: Path, ending: str):
        (folder / f"a.{ending}").write_bytes(FORMATS[ending](records(0, 40)))
        asked = wanted(f"a.{ending}", columns=COLUMNS)
        whole = await gather(SMALL, source(folder), asked)
        assert len(whole.positions) > 4
        for position, (rows, _) in zip(whole.positions, whole.places, strict=True):
            rest = await gather(SMALL, source(folder), asked, position)
            assert whole.rows[:rows] + rest.rows == whole.rows

    async def test_a_csv_file_without_declared_columns_is_text(self, folder: Path):
        (folder / "a.csv").write_bytes(b'\xef\xbb\xbfcode,name\r\n007,Bond\r\n,\r\n"",x\r\n')
        got = await gather(SMALL, source(folder), wanted("a.csv"))
        assert got.rows == [
            {"code": "007", "name": "Bond"},
            {"code": None, "name": None},
            {"code": "", "name": "x"},
        ]

    async def test_values_of_csv_take_the_declared_types(self, folder: Path):
        (folder / "a.tsv").write_text(
            "n\td\tt\tb\tm\n1.5\t2024-01-02\t2024-01-02T03:04:05Z\ttrue\t1.25\nNA\t\t\t\t\n"
        )
        kinds = {
            "n": "double",
            "d": "date32",
            "t": "timestamp[us, tz=UTC]",
            "b": "bool",
            "m": "decimal128(9, 2)",
        }
        columns = [{"name": name, "type": kind} for name, kind in kinds.items()]
        got = await gather(SMALL, source(folder), wanted("a.tsv", columns=columns, nulls=["", "NA"]))
        assert got.rejects == []
        assert got.rows[0]["t"] == datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
        assert (got.rows[0]["n"], got.rows[0]["b"], str(got.rows[0]["m"])) == (1.5, True, "1.25")
        assert got.rows[1] == dict.fromkeys(kinds)

    async def test_a_csv_file_may_have_no_header(self, folder: Path):
        (folder / "a.csv").write_text("1;x\n2;y\n")
        asked = wanted("a.csv", columns=COLUMNS, header=False, delimiter=";")
        assert (await gather(SMALL, source(folder), asked)).column("word") == ["x", "y"]

    async def test_quotes_may_hold_line_ends(self, folder: Path):
        text = "id,word\n" + "".join(f'{one},"two\nlines, {one}"\n' for one in range(40))
        (folder / "a.csv").write_text(text)
        asked = wanted("a.csv", columns=COLUMNS, quoted_newlines=True)
        readings = await gather_with_stops(SMALL, source(folder), asked)
        assert readings[0].column("word") == [f"two\nlines, {one}" for one in range(40)]
        assert_resumes(readings)

    async def test_columns_may_come_in_another_order_or_be_missing(self, folder: Path):
        (folder / "1.csv").write_text("id,word\n1,a\n")
        (folder / "2.csv").write_text("word,id,more\nb,2,x\n")
        (folder / "3.csv").write_text("id\n3\n")
        got = await gather(SMALL, source(folder), wanted("*.csv"))
        assert got.column("word") == ["a", "b", None]
        assert got.drift == ["more"]

    async def test_a_json_file_may_hold_its_list_deeper(self, folder: Path):
        (folder / "a.json").write_text(json.dumps({"data": {"items": records(0, 3)}}))
        got = await gather(SMALL, source(folder), wanted("a.json", records_path="data.items"))
        assert got.rows == records(0, 3)

    async def test_parquet_keeps_its_types(self, folder: Path):
        table = pa.table(
            {
                "a": pa.array(["x", "y"]).dictionary_encode(),
                "b": pa.array([[1, 2], None]),
                "c": pa.array([{"n": 1}, {"n": 2}]),
                "d": pa.array(["l", None], pa.large_string()),
                "e": pa.array([1, 2], pa.timestamp("ms", "Europe/Berlin")),
            }
        )
        pq.write_table(table, folder / "a.parquet")
        got = await gather(SMALL, source(folder), wanted("a.parquet"))
        assert got.rows[0] == {
            "a": "x",
            "b": [1, 2],
            "c": {"n": 1},
            "d": "l",
            "e": datetime(1970, 1, 1, 0, 0, 0, 1000, tzinfo=UTC),
        }

    async def test_excel_sheets_have_the_types_of_their_cells(self, folder: Path):
        write_xlsx(folder / "a.xlsx", [["id", "word", "price"], [1, "a", 1.5], [2, "", 2], [3, "c", None]])
        readings = await gather_with_stops(SMALL, source(folder), wanted("a.xlsx"))
        assert readings[0].rows == [
            {"id": 1, "word": "a", "price": 1.5},
            {"id": 2, "word": None, "price": 2.0},
            {"id": 3, "word": "c", "price": None},
        ]
        assert_resumes(readings)
        assert "no sheet 'x'" in (await refusal(SMALL, source(folder), wanted("a.xlsx", sheet="x"))).message


class TestBadRecords:
    async def test_lines_of_csv_that_do_not_fit_are_rejected_as_they_are(self, folder: Path):
        lines = as_csv(records(0, 60)).splitlines(keepends=True)
        bad = {
            5: b"many,x\n",
            17: b"1,2,3\n",
            18: b"\xff\xfe,x\n",
            40: b'7,"open\n',
            50: b"99999999999999999999,x\n",
        }
        for at, line in bad.items():
            lines[at] = line
        (folder / "a.csv").write_bytes(b"".join(lines))
        readings = await gather_with_stops(SMALL, source(folder), wanted("a.csv", columns=COLUMNS))
        got = readings[0]
        assert [reject.raw + b"\n" for reject in got.rejects] == list(bad.values())
        assert [(reject.page, reject.position) for reject in got.rejects] == [(1, at) for at in bad]
        assert len(got.rows) == 60 - len(bad)
        assert all(reject.reason for reject in got.rejects)
        assert_resumes(readings)

    async def test_lines_of_ndjson_that_do_not_fit_are_rejected_as_they_are(self, folder: Path):
        lines = as_ndjson(records(0, 60)).splitlines(keepends=True)
        bad = {5: b'{"id": "x"}\n', 17: b"no json\n", 18: b'{"id": 1}, {"id": 2}\n', 40: b"[1]\n", 50: b"{\n"}
        for at, line in bad.items():
            lines[at - 1] = line
        (folder / "a.ndjson").write_bytes(b"".join(lines))
        readings = await gather_with_stops(SMALL, source(folder), wanted("a.ndjson", columns=COLUMNS))
        got = readings[0]
        assert [reject.raw + b"\n" for reject in got.rejects] == list(bad.values())
        assert [reject.position for reject in got.rejects] == list(bad)
        assert len(got.rows) == 60 - len(bad)
        assert_resumes(readings)

    async def test_rows_of_parquet_and_excel_that_do_not_fit_are_rejected(self, folder: Path):
        rows = [{"id": one * 100, "word": f"w{one}"} for one in range(4)]
        (folder / "a.parquet").write_bytes(as_parquet(rows))
        write_xlsx(folder / "b.xlsx", [["id", "word"], *([row["id"], row["word"]] for row in rows)])
        columns = [{"name": "id", "type": "int8"}, COLUMNS[1]]
        for name in ("a.parquet", "b.xlsx"):
            got = await gather(SMALL, source(folder), wanted(name, columns=columns))
            assert got.column("id") == [0, 100]
            assert [(reject.column, reject.position) for reject in got.rejects] == [("id", 3), ("id", 4)]

    async def test_a_line_without_end_is_rejected_and_skipped(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(files_lines, "LONGEST", 1000)
        (folder / "a.csv").write_bytes(b"id,word\n1,a\n2," + b"x" * 5000 + b"\n3,c\n")
        readings = await gather_with_stops(SMALL, source(folder), wanted("a.csv", columns=COLUMNS))
        assert readings[0].column("id") == [1, 3]
        assert [reject.reason for reject in readings[0].rejects] == ["the line is too long"]
        assert_resumes(readings)

    @pytest.mark.parametrize(
        "name,body,said",
        [
            ("a.json", b'{"id": 1', "no whole JSON document"),
            ("a.json", b'{"id": 1}', "an object"),
            ("a.parquet", b"nothing", "can't be read as Parquet"),
            ("a.xlsx", b"nothing", "can't be read as an Excel file"),
            ("a.csv", b"id,id\n1,2\n", "no two alike"),
            ("a.csv", b"x,y\n1,2\n", "has none of the columns id, word"),
            ("a.csv.gz", b"no gzip at all", "is broken"),
            ("a.ndjson.gz", gzip.compress(as_ndjson(records(0, 50)))[:-20], "is broken"),
            ("a.csv.zst", b"no zstd at all, but long enough", "is broken"),
            ("a.txt", b"", "set `format`"),
        ],
    )
    async def test_a_file_that_is_not_what_it_says_is_named(
        self, folder: Path, name: str, body: bytes, said: str
    ):
        (folder / name).write_bytes(body)
        error = await refusal(SMALL, source(folder), wanted(name, columns=COLUMNS))
        assert error.kind == "INVALID_INPUT"
        assert error.message.startswith(f"{name}: ")
        assert said in error.message

    async def test_what_is_read_whole_is_bounded_after_unpacking(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(files_formats, "WHOLE", 10_000)
        (folder / "a.json.gz").write_bytes(gzip.compress(b"[" + b" " * 20_000 + b"]"))
        assert "is greater than" in (await refusal(SMALL, source(folder), wanted("a.json.gz"))).message


class TestChoosing:
    async def test_patterns_choose_by_folders_and_names(self, folder: Path):
        names = ["2024-01/x_1.csv", "2024-02/x_2.csv", "2024-02/y_3.csv", "2025/deep/er/x_4.csv", "x_5.csv"]
        for number, name in enumerate(names):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(f"id,word\n{number},a\n")
        for patterns, ids in (
            (["2024-*/x_*.csv"], [0, 1]),
            (["2024-02/*"], [1, 2]),
            (["**/x_*.csv"], [0, 1, 3, 4]),
            (["x_?.csv", "2025/**/x_4.csv"], [3, 4]),
            (["nothing/*.csv"], []),
        ):
            got = await gather(SMALL, source(folder), wanted(*patterns, columns=COLUMNS))
            assert sorted(got.column("id")) == ids

    async def test_a_file_that_is_named_must_be_there(self, folder: Path):
        assert (await refusal(SMALL, source(folder), wanted("a.csv"))).code == "files.missing"

    async def test_no_path_leads_out_of_the_roots(self, folder: Path, tmp_path: Path):
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "a.csv").write_text("id,word\n1,secret\n")
        (folder / "link.csv").symlink_to(outside / "a.csv")
        (folder / "door").symlink_to(outside)
        for pattern in ("link.csv", "*.csv", "door/a.csv"):
            error = await refusal(SMALL, source(folder), wanted(pattern))
            assert error.code == "file.refused"
        assert (await gather(SMALL, source(folder), wanted("**/a.csv"))).rows == []
        for below in ("/../outside", "/door"):
            assert (await refusal(SMALL, source(folder, below), wanted("a.csv"))).kind == "INVALID_INPUT"

    @pytest.mark.parametrize(
        "pattern", ["../a.csv", "/etc/passwd", "a/../../b", "a**b", "*" * 20, "a\\b", "a//b"]
    )
    async def test_a_pattern_that_can_not_be_is_refused(self, folder: Path, pattern: str):
        assert "files" in (await refusal(SMALL, source(folder), wanted(pattern))).message

    async def test_a_limit_is_about_what_is_read(self, folder: Path):
        (folder / "a.csv").write_bytes(as_csv(records(0, 1000)))
        got = await gather(SMALL, source(folder), Wanted({"files": ["a.csv"], "columns": COLUMNS}, limit=5))
        assert 5 <= len(got.rows) < 30

    async def test_closing_early_closes_the_file(self, folder: Path):
        (folder / "a.csv").write_bytes(as_csv(records(0, 1000)))
        async with aclosing(SMALL.read(source(folder), wanted("a.csv"), Partition())) as items:
            await anext(items)


class TestTimes:
    @pytest.fixture
    def timed(self, folder: Path) -> Path:
        for number in range(6):
            # The names are in another order than the times.
            put(folder / f"{9 - number}.csv", number, hour=number)
        return folder

    def asked(self, **more: Any) -> Wanted:
        return Wanted({"files": ["*.csv"], "columns": COLUMNS}, cursor_field="_file_time", **more)

    async def test_files_come_in_the_order_of_their_times(self, timed: Path):
        readings = await gather_with_stops(SMALL, source(timed), self.asked())
        assert readings[0].column("id") == [0, 1, 2, 3, 4, 5]
        assert readings[0].rows[2]["_file_time"] == datetime(2024, 1, 1, 2, tzinfo=UTC)
        assert_resumes(readings)

    async def test_only_new_and_changed_files_come(self, timed: Path):
        cursor = "2024-01-01T03:00:00Z"
        assert (await gather(SMALL, source(timed), self.asked(cursor=cursor))).column("id") == [4, 5]
        put(timed / "9.csv", 10, hour=9)
        assert (await gather(SMALL, source(timed), self.asked(cursor=cursor))).column("id") == [4, 5, 10]

    async def test_inclusive_and_until_are_kept_to(self, timed: Path):
        cursor, until = "2024-01-01T01:00:00Z", "2024-01-01T04:00:00Z"
        got = await gather(SMALL, source(timed), self.asked(cursor=cursor, until=until, inclusive=True))
        assert got.column("id") == [1, 2, 3]

    async def test_names_of_files_come_where_the_dataset_has_a_column_for_them(self, timed: Path):
        columns = [*COLUMNS, {"name": "_file", "type": "string"}]
        got = await gather(SMALL, source(timed), wanted("9.csv", columns=columns))
        assert got.rows == [{"id": 0, "word": "a", "_file": "9.csv"}]

    async def test_a_file_that_changed_while_it_was_read_is_told(self, timed: Path):
        (timed / "9.csv").write_bytes(as_csv(records(0, 100)))
        asked = wanted("9.csv", columns=COLUMNS)
        whole = await gather(SMALL, source(timed), asked)
        (timed / "9.csv").write_bytes(as_csv(records(5, 100)) + b"\n")
        with pytest.raises(SourceError, match=r"9.csv: has changed"):
            await gather(SMALL, source(timed), asked, whole.positions[1])

    async def test_by_times_a_changed_file_is_read_again_as_a_whole(self, timed: Path):
        (timed / "9.csv").write_bytes(as_csv(records(100, 50)))
        os.utime(timed / "9.csv", (0, 0))
        whole = await gather(SMALL, source(timed), self.asked())
        assert whole.column("id")[:50] == list(range(100, 150))
        put(timed / "9.csv", 7, hour=20)
        rest = await gather(SMALL, source(timed), self.asked(), whole.positions[1])
        assert rest.column("id") == [1, 2, 3, 4, 5, 7]

    async def test_another_cursor_field_is_refused(self, timed: Path):
        asked = Wanted({"files": ["*.csv"], "columns": COLUMNS}, cursor_field="id")
        assert "_file_time" in (await refusal(SMALL, source(timed), asked)).message


def put(path: Path, number: int, *, hour: int) -> None:
    path.write_text(f"id,word\n{number},a\n")
    stamp = datetime(2024, 1, 1, hour, tzinfo=UTC).timestamp()
    os.utime(path, (stamp, stamp))


def write_xlsx(path: Path, rows: list[list[Any]]) -> None:
    """The least that is an Excel file."""
    main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006/relationships"
    kinds = "http://schemas.openxmlformats.org/package/2006/content-types"
    sheet = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    lines = "".join(f"<row>{''.join(map(_cell, row))}</row>" for row in rows)
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{kinds}"><Default Extension="rels" ContentType='
        '"application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{sheet}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{sheet}.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}"><Relationship Id="r1" '
        f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook {main} xmlns:r="{office}"><sheets>'
        '<sheet name="One" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}"><Relationship Id="r1" '
        f'Type="{office}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f"<worksheet {main}><sheetData>{lines}</sheetData></worksheet>",
    }
    with zipfile.ZipFile(path, "w") as book:
        for name, text in parts.items():
            book.writestr(name, text)


def _cell(value: Any) -> str:
    if value is None:
        return "<c/>"
    return (
        f'<c t="inlineStr"><is><t>{value}</t></is></c>'
        if isinstance(value, str)
        else f"<c><v>{value}</v></c>"
    )
