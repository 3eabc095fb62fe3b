"""Both tiers of parsing: what comes out of a page must not depend on its neighbours."""

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weir_workers.connectors.envelope import split
from weir_workers.connectors.records import Page, PageParser
from weir_workers.connectors.strict import Unfit, read_record

SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("small", pa.uint8()),
        pa.field("whole", pa.int64()),
        pa.field("real", pa.float64()),
        pa.field("single", pa.float32()),
        pa.field("flag", pa.bool_()),
        pa.field("day", pa.date32()),
        pa.field("time", pa.timestamp("us", "UTC")),
        pa.field("local", pa.timestamp("ms")),
        pa.field("price", pa.decimal128(12, 2)),
        pa.field("tags", pa.list_(pa.string())),
        pa.field(
            "place", pa.struct([pa.field("zip", pa.int32(), nullable=False), pa.field("at", pa.date32())])
        ),
        pa.field("stops", pa.list_(pa.struct([pa.field("n", pa.int64())]))),
    ]
)

numbers = st.one_of(
    st.integers(-3, 300),
    st.integers(-(2**65), 2**65),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([3.0, -0.0, 1e300, 5e-324, 3.5e38, 0.1, 1.25]),
)
times = st.one_of(
    st.datetimes().map(lambda moment: moment.isoformat()),
    st.datetimes().map(lambda moment: f"{moment.isoformat()}Z"),
    st.sampled_from(
        [
            "2024-01-31",
            "2024-02-30",
            "2024-01-31T10:00:00+02:00",
            "2024-01-31 10:00",
            "2024-01-31T10:00:00.123456789Z",
            "2024-01-31T10:00:00.120000000Z",
            "2024-01-31T10:00:00.000",
            "2024-01-31T10:00:60Z",
            "2024-01-31T24:00:00Z",
            "2024-01-31T10:00:00z",
            "",
            "0000-01-01",
            "9999-12-31T23:59:59.999999Z",
        ]
    ),
)
texts = st.one_of(
    st.text(max_size=8), st.sampled_from(["1.25", "-7", "1e2", "99999999999.99", " 1", "\u0661", "NaN"])
)
leaves = st.one_of(st.none(), st.booleans(), numbers, texts, times)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["zip", "at", "n", "extra"]), inner, max_size=3),
    ),
    max_leaves=6,
)
objects = st.dictionaries(st.sampled_from([*SCHEMA.names, "unknown"]), values, max_size=6).map(
    lambda record: {"key": "k", **record}
)
fitting = st.fixed_dictionaries(
    {"key": st.text(max_size=5), "whole": st.integers(-5, 5)},
    optional={"day": st.dates().map(str), "tags": st.lists(st.text(max_size=3), max_size=2)},
)
ODD = [
    b'{"key": "a", "key": "b"}',
    b'{"key": "\\ud800 alone"}',
    b'{"key": "\\ud83d\\ude00 pair"}',
    b'{"key": "\xff"}',
    b'{"key": "a", "unknown": "\xff"}',
    b'{"key": "nul \\u0000"}',
    b'{"key": "tab\tinside"}',
    b'{"key": "a", "real": NaN}',
    b'{"key": "a", "real": -Infinity}',
    b'{"key": "a", "unknown": NaN}',
    b'{"key": "a", "real": 1e400}',
    b'{"key": "a", "real": 1e-400}',
    b'{"key": "a", "whole": 1e3}',
    b'{"key": "a", "whole": 9007199254740993.0}',
    b'{"key": "a", "whole": -0}',
    b'{"key": "a", "price": 1.250}',
    b'{"key": "a", "price": 1e1}',
    b'{"key": "a", "price": 1E-3}',
    b'{ "key" : "spaced" , "tags" : [ "x" , null ] }',
    b'{"key": "a", "place": {"zip": 1, "other": {"deep": [1]}}}',
    b'{"key": "a", "place": {}}',
    b'{"key": "a", "place": null}',
    b"{}",
    b"null",
    b"[]",
    b"7",
    b'"text"',
]
raw_records = st.one_of(
    fitting.map(lambda record: json.dumps(record).encode()),
    st.builds(
        lambda record, plain: json.dumps(record, ensure_ascii=plain).encode("utf-8", "replace"),
        objects,
        st.booleans(),
    ),
    st.sampled_from(ODD),
)


def page_of(raws: list[bytes], schema: pa.Schema | None = SCHEMA, parser: PageParser | None = None) -> Page:
    envelope = split(b"[" + b", ".join(raws) + b"]", "")
    return (parser or PageParser(schema)).parse(envelope, 7)


def one_by_one(raws: list[bytes]) -> tuple[pa.RecordBatch, list[int]]:
    rows: list[dict[str, Any]] = []
    refused: list[int] = []
    for at, raw in enumerate(raws, 1):
        try:
            rows.append(read_record(raw, SCHEMA))
        except Unfit:
            refused.append(at)
    return pa.RecordBatch.from_pylist(rows, SCHEMA), refused


class TestBothTiers:
    @settings(max_examples=400, deadline=None)
    @given(st.lists(raw_records, min_size=1, max_size=60))
    def test_page_is_what_its_records_are_alone(self, raws: list[bytes]) -> None:
        page = page_of(raws)
        rows, refused = one_by_one(raws)
        assert page.rows is not None
        assert page.rows.equals(rows)
        assert [reject.position for reject in page.rejects] == refused
        assert [reject.raw for reject in page.rejects] == [raws[at - 1] for at in refused]
        assert all(reject.reason and reject.page == 7 for reject in page.rejects)
        assert page.records == len(raws)

    @settings(max_examples=300, deadline=None)
    @given(raw_records)
    def test_a_record_alone_is_what_it_is_among_others(self, raw: bytes) -> None:
        crowd = [b'{"key": "other"}'] * 40
        alone, among = page_of([raw]), page_of([*crowd, raw])
        assert alone.rows is not None
        assert among.rows is not None
        assert among.rows.slice(40).equals(alone.rows)
        assert len(among.rejects) == len(alone.rejects)

    @pytest.mark.parametrize("at", [0, 1, 31, 499, 998, 999])
    def test_one_bad_record_of_a_thousand_is_alone_in_quarantine(self, at: int) -> None:
        raws = [b'{"key": "k", "whole": %d}' % number for number in range(1000)]
        raws[at] = b'{"key": "k", "whole":  "bad"}'
        page = page_of(raws)
        assert page.rows is not None
        assert page.rows.num_rows == 999
        assert [(reject.position, reject.raw) for reject in page.rejects] == [(at + 1, raws[at])]

    def test_all_bad(self) -> None:
        page = page_of([b'{"whole": 1}'] * 100)
        assert page.rows is not None
        assert page.rows.schema == SCHEMA
        assert (page.rows.num_rows, len(page.rejects)) == (0, 100)

    def test_empty_page_has_the_columns(self) -> None:
        page = page_of([])
        assert page.rows is not None
        assert page.rows.schema == SCHEMA


class TestReasons:
    @pytest.mark.parametrize(
        "record,column,reason",
        [
            ({"key": None}, "key", "key is missing or null, the column allows no nulls"),
            ({"whole": "7"}, "whole", 'whole: "7" is a text, the column holds int64'),
            ({"whole": 3.5}, "whole", "whole: 3.5 is a number, the column holds int64"),
            ({"whole": True}, "whole", "whole: true is true or false, the column holds int64"),
            ({"whole": 2**63}, "whole", f"whole: {2**63} is out of the range of int64"),
            ({"small": -1}, "small", "small: -1 is out of the range of uint8"),
            ({"key": 5}, "key", "key: 5 is a number, the column holds string"),
            (
                {"time": 1704067200},
                "time",
                "time: 1704067200 is a number, the column holds timestamp[us, tz=UTC]",
            ),
            ({"day": "soon"}, "day", 'day: "soon" is no day, such as 2024-01-31'),
            ({"price": 1.255}, "price", "price: 1.255 does not fit into decimal128(12, 2)"),
            ({"place": {"at": None}}, "place", "place.zip is missing or null, the column allows no nulls"),
            ({"stops": [{"n": 1}, {"n": "x"}]}, "stops", 'stops[1].n: "x" is a text, the column holds int64'),
            (
                {"tags": "x" * 500},
                "tags",
                'tags: "' + "x" * 79 + "… is a text, the column holds list<item: string>",
            ),
        ],
    )
    def test_name_column_and_value(self, record: dict[str, Any], column: str, reason: str) -> None:
        (reject,) = page_of([json.dumps({"key": "k", **record}).encode()]).rejects
        assert (reject.column, reject.reason) == (column, reason)

    def test_can_be_stored_as_text_whatever_came(self) -> None:
        (reject,) = page_of([b'{"key": "k", "whole": "\\ud800"}']).rejects
        assert reject.reason.encode()

    def test_record_that_is_no_object(self) -> None:
        (reject,) = page_of([b"7"]).rejects
        assert (reject.column, reject.reason) == ("", "the record is a number, not an object")


class TestNoSilentChange:
    def test_lone_surrogate_is_replaced_by_the_mark_for_it(self) -> None:
        page = page_of([b'{"key": "a\\ud800b"}'])
        assert page.rows is not None
        assert page.rows.column("key").to_pylist() == ["a\ufffdb"]

    def test_bytes_that_are_no_text_are_refused(self) -> None:
        (reject,) = page_of([b'{"key": "\xff"}']).rejects
        assert reject.reason == 'key: "\u2026" is no UTF-8, the column holds string'

    def test_digits_beyond_the_unit_are_refused_unless_zeros(self) -> None:
        odd = b'{"key": "k", "time": "2024-01-31T10:00:00.123456789Z"}'
        fine = b'{"key": "k", "time": "2024-01-31T10:00:00.123456000Z"}'
        page = page_of([odd, fine])
        assert len(page.rejects) == 1
        assert page.rows is not None
        assert page.rows.column("time")[0].as_py().microsecond == 123456


class TestDeepAndLong:
    def test_deep_unknown_field_does_no_harm(self) -> None:
        deep = b'{"key": "k", "unknown": ' + b"[" * 400 + b"]" * 400 + b"}"
        page = page_of([deep])
        assert page.rows is not None
        assert page.rows.num_rows + len(page.rejects) == 1

    def test_record_beyond_the_limit_is_kept_in_part(self) -> None:
        (reject,) = page_of([b'{"key": "k", "whole": "' + b"x" * 100_000 + b'"}']).rejects
        assert (len(reject.raw), reject.truncated) == (65536, True)


class TestUnknownFields:
    def test_nested_ones_are_told_by_their_path(self) -> None:
        page = page_of(
            [b'{"key": "k", "place": {"zip": 1, "street": "x"}, "stops": [{"n": 1, "gate": "B"}]}']
        )
        assert page.unknown == {"place.street", "stops.gate"}
        assert page.rows is not None
        assert page.rows.schema == SCHEMA

    def test_later_ones_are_found_though_some_are_known(self) -> None:
        parser = PageParser(SCHEMA)
        page_of([b'{"key": "k", "first": 1}'], parser=parser)
        found = [
            page_of([b'{"key": "k", "first": 1, "second": 2}'], parser=parser).unknown for _ in range(16)
        ]
        assert frozenset({"first", "second"}) in found


class TestEvolving:
    def parsed(self, *pages: list[Any]) -> tuple[PageParser, list[Page]]:
        parser = PageParser(None, evolve=True)
        return parser, [page_of([json.dumps(one).encode() for one in page], parser=parser) for page in pages]

    def test_new_fields_and_members_become_columns(self) -> None:
        parser, pages = self.parsed(
            [{"id": 1, "box": {"w": 1}}], [{"id": 2, "box": {"w": 2, "h": "x"}, "note": "n"}], [{"id": 3}]
        )
        assert parser.schema is not None
        assert [f"{field.name}: {field.type}" for field in parser.schema] == [
            "id: int64",
            "box: struct<w: int64, h: string>",
            "note: string",
        ]
        assert pages[1].rows is not None
        assert pages[1].rows.to_pylist() == [{"id": 2, "box": {"w": 2, "h": "x"}, "note": "n"}]
        assert [page.unknown for page in pages] == [frozenset()] * 3

    def test_whole_numbers_widen_when_others_come(self) -> None:
        parser, pages = self.parsed([{"n": 1}], [{"n": 2}, {"n": 2.5}])
        assert parser.schema == pa.schema([("n", pa.float64())])
        assert (pages[1].rejects, pages[1].records) == ((), 2)

    def test_a_text_among_numbers_is_rejected_and_changes_nothing(self) -> None:
        parser, pages = self.parsed([{"n": 1}], [{"n": "two"}, {"n": 3}])
        assert parser.schema == pa.schema([("n", pa.int64())])
        assert [reject.position for reject in pages[1].rejects] == [1]

    def test_a_field_that_is_null_becomes_a_column_when_it_shows_what_it_is(self) -> None:
        parser, pages = self.parsed([{"id": 1}], [{"id": 2, "late": None}], *([[{"id": 3, "late": 7}]] * 16))
        assert parser.schema == pa.schema([("id", pa.int64()), ("late", pa.int64())])
        assert pages[1].unknown == {"late"}

    def test_without_leave_to_evolve_they_are_left_out(self) -> None:
        parser = PageParser(pa.schema([("n", pa.int64())]))
        page = page_of([b'{"n": 1.5, "new": 1}'], parser=parser)
        assert (parser.schema, page.unknown) == (pa.schema([("n", pa.int64())]), {"new"})
        assert len(page.rejects) == 1
