from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weir_workers.connectors.infer import MAX_COLUMNS, TooManyColumns, infer_schema, unknown_fields


def type_of(*values: Any) -> pa.DataType | None:
    schema = infer_schema([{"x": value, "y": 1} for value in values])
    assert schema is not None
    return schema.field("x").type if "x" in schema.names else None


class TestInferSchema:
    @pytest.mark.parametrize(
        "values,kind",
        [
            ([1, 2], pa.int64()),
            ([1, 2.5], pa.float64()),
            ([2**63], pa.uint64()),
            ([2**70], pa.float64()),
            ([-(2**70)], pa.float64()),
            ([True, None], pa.bool_()),
            ([None, None], pa.string()),
            (["2024-01-01T00:00:00Z"], pa.string()),
            ([[]], pa.list_(pa.string())),
            ([[1], [2.5]], pa.list_(pa.float64())),
            ([[None, 1]], pa.list_(pa.int64())),
            ([{"a": 1}, {"b": "x"}], pa.struct([("a", pa.int64()), ("b", pa.string())])),
            ([{}], None),
            ([[{}]], None),
            ([1, "a", "b"], pa.string()),
            ([1, 2, "b"], pa.int64()),
            ([True, 1, 1], pa.int64()),
        ],
    )
    def test_types(self, values: list[Any], kind: pa.DataType | None) -> None:
        assert type_of(*values) == kind

    def test_columns_stand_in_the_order_they_came(self) -> None:
        schema = infer_schema([{"b": 1}, {"a": 1, "b": 2}])
        assert schema is not None
        assert schema.names == ["b", "a"]

    @pytest.mark.parametrize("records", [[], [1, "x", None], [{}]])
    def test_nothing_to_see(self, records: list[Any]) -> None:
        assert infer_schema(records) is None

    def test_values_used_as_names_are_refused(self) -> None:
        with pytest.raises(TooManyColumns, match="name the `columns`"):
            infer_schema([{f"id-{number}": 1} for number in range(MAX_COLUMNS + 1)])

    def test_name_that_is_no_text_has_no_column(self) -> None:
        schema = infer_schema([{"a": 1, "\ud800": 2}])
        assert schema is not None
        assert schema.names == ["a"]

    @settings(deadline=None)
    @given(
        st.lists(
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
                lambda inner: (
                    st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3)
                ),
            )
        )
    )
    def test_never_fails_and_gives_types_that_a_file_can_hold(self, records: list[Any]) -> None:
        schema = infer_schema(records)
        if schema is not None:
            sink = pa.BufferOutputStream()
            pq.write_table(schema.empty_table(), sink)
            assert pq.read_schema(pa.BufferReader(sink.getvalue())).equals(schema)


class TestUnknownFields:
    def test_number_is_bounded(self) -> None:
        schema = pa.schema([("a", pa.int64())])
        assert len(unknown_fields([{f"f{number}": 1 for number in range(500)}], schema)) == 100

    def test_can_be_shown(self) -> None:
        found = unknown_fields([{"\ud800": 1}], pa.schema([("a", pa.int64())]))
        assert found == {"?"}
