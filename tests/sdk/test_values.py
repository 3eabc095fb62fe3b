import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from weir.errors import InvalidValue
from weir.v1.task_pb2 import TaskState
from weir.values import MAX_DEPTH, SAFE_INTEGER, enum_name, from_struct, to_struct

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-SAFE_INTEGER, SAFE_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=30)


def sent(value: Any) -> Any:
    struct = to_struct({"x": value})
    assert struct is not None
    return from_struct(Struct.FromString(struct.SerializeToString()))["x"]


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


class TestStruct:
    @given(JSON)
    def test_what_is_accepted_comes_back_equal(self, value: Any):
        assert sent(value) == value

    @given(st.integers(-SAFE_INTEGER, SAFE_INTEGER))
    def test_an_integer_comes_back_as_one(self, value: int):
        assert type(sent(value)) is int

    @given(st.integers(SAFE_INTEGER + 1) | st.integers(max_value=-SAFE_INTEGER - 1))
    def test_an_integer_that_would_change_is_refused(self, value: int):
        with pytest.raises(InvalidValue, match=r"input\.a\[1\]\.b: .* beyond 2\^53"):
            to_struct({"a": [0, {"b": value}]})

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_what_json_has_no_number_for_is_refused(self, value: float):
        with pytest.raises(InvalidValue, match="no JSON number"):
            to_struct({"a": value})

    @pytest.mark.parametrize(
        "value,advice",
        [
            (datetime(2026, 1, 1, tzinfo=UTC), "isoformat"),
            (date(2026, 1, 1), "isoformat"),
            (timedelta(1), "seconds"),
            (Decimal(1), "str"),
            (b"x", "base64"),
            ({1}, "list"),
            (object(), "object is no JSON value"),
        ],
    )
    def test_the_refusal_says_what_would_be_right(self, value: object, advice: str):
        with pytest.raises(InvalidValue, match=rf"input\.a: .*{advice}") as caught:
            to_struct({"a": value})
        assert caught.value.path == "input.a"

    def test_a_key_that_is_no_text_is_refused(self):
        with pytest.raises(InvalidValue, match="key 1"):
            to_struct({"a": {1: 2}})

    def test_depth_is_bounded(self):
        assert sent(nested(MAX_DEPTH - 1)) == nested(MAX_DEPTH - 1)
        with pytest.raises(InvalidValue, match="deeper than 32"):
            to_struct({"x": nested(MAX_DEPTH)})

    def test_a_pydantic_model_is_taken_by_its_json(self):
        class Report(BaseModel):
            day: date
            total: Decimal

        struct = to_struct(Report(day=date(2026, 1, 1), total=Decimal("1.10")))
        assert struct is not None
        assert from_struct(struct) == {"day": "2026-01-01", "total": "1.10"}

    def test_a_circle_is_refused(self):
        circle: list[Any] = []
        circle.append(circle)
        with pytest.raises(InvalidValue, match="deeper"):
            to_struct({"x": circle})


class TestEnumName:
    def test_goes_without_the_enums_own_name(self):
        assert enum_name(TaskState, TaskState.TASK_STATE_FAILED) == "FAILED"

    def test_an_unknown_value_is_its_number(self):
        assert enum_name(TaskState, 77) == "77"
