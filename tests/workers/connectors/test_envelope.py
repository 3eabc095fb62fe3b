import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weir_workers.connectors.envelope import WrongShape, slices, split
from weir_workers.connectors.errors import BodyCut

documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
spaces = st.sampled_from([None, 1, "\t"])


def wrapped(records: list[Any], space: Any) -> bytes:
    document = {"before": [1, {"items": 2}], "data": {"x": "]", "items": records}, "total": 7, "next": None}
    return json.dumps(document, indent=space).encode()


class TestSplit:
    @given(st.lists(documents, max_size=5), spaces)
    def test_list_and_extras_come_out_whole(self, records: list[Any], space: Any) -> None:
        found = split(wrapped(records, space), "data.items", ("total", "next", "data.x", "none.such"))
        assert found.extras == (7, None, "]", None)
        assert repr(json.loads(found.records)) == repr(records)
        parts = slices(found)
        assert repr([json.loads(part) for part in parts]) == repr(records)

    @given(st.lists(documents, min_size=1, max_size=5), spaces, st.data())
    def test_cut_body_is_never_taken_for_a_whole_one(
        self, records: list[Any], space: Any, data: st.DataObject
    ) -> None:
        body = wrapped(records, space)
        cut = data.draw(st.integers(0, len(body) - 1))
        with pytest.raises(BodyCut):
            split(body[:cut], "data.items")

    @given(st.binary(max_size=60))
    def test_any_bytes_are_a_list_or_refused(self, body: bytes) -> None:
        try:
            found = split(body, "")
        except (BodyCut, WrongShape):
            return
        assert found.records.lstrip().startswith(b"[")

    def test_mark_at_the_start_is_no_fault(self) -> None:
        assert split(b"\xef\xbb\xbf[1]", "").records == b"[1]"

    def test_last_of_two_equal_names_counts(self) -> None:
        assert split(b'{"a": [1], "a": [2]}', "a").records == b"[2]"
        assert split(b'{"a": [1], "a": [NaN]}', "a").records == b"[NaN]"

    def test_nothing_but_json_may_follow(self) -> None:
        with pytest.raises(BodyCut):
            split(b'[{"a": 1}]}\n{"r": []', "")

    @pytest.mark.parametrize(
        "body", [b"[" * 100_000, b"[" * 3000 + b"]" * 3000, b'{"a":' * 3000 + b"1" + b"}" * 3000]
    )
    def test_endless_nesting_is_refused(self, body: bytes) -> None:
        with pytest.raises((WrongShape, BodyCut)):
            split(body, "")

    @pytest.mark.parametrize(
        "body,path,said",
        [
            (b'{"a": 1}', "b", "nothing at records_path 'b'"),
            (b'{"a": {"b": 1}}', "a", "an object at records_path 'a'"),
            (b'{"a": "x"}', "a", "a text at records_path 'a'"),
            (b'{"a": 1}', "a.b", "nothing at records_path 'a.b'"),
            (b"7", "", "a number in the body itself"),
        ],
    )
    def test_says_what_is_there_instead(self, body: bytes, path: str, said: str) -> None:
        with pytest.raises(WrongShape, match=said):
            split(body, path)
