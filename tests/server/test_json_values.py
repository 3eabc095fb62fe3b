"""JSON values in requests: what must not get in."""

from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct, Value

from weir.v1 import task_pb2, task_service_pb2
from weir_core.errors import InvalidArgument
from weir_server.interceptors.json_values import DEPTH, VALUES, check_json


def request(content: Any) -> task_service_pb2.SubmitTaskRequest:
    made = task_service_pb2.SubmitTaskRequest(spec=task_pb2.TaskSpec(type="t"))
    made.spec.input.update(content)
    return made


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth - 1):
        value = [value]
    return {"a": value}


def violation(message: Any) -> tuple[str, str]:
    with pytest.raises(InvalidArgument) as caught:
        check_json(message)
    (found,) = caught.value.violations
    return found.field, found.description


class TestCheckJson:
    @pytest.mark.parametrize(
        "content",
        [{}, {"a": None}, {"a": {"b": [1, "x", True, {}, []]}}, {"": ""}, nested(DEPTH)],
        ids=str,
    )
    def test_plain_json_passes(self, content: Any):
        check_json(request(content))

    @pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
    def test_a_number_that_json_has_not_is_named_by_its_path(self, number: float):
        field, description = violation(request({"a": {"b c": [1, {"d": number}]}}))
        assert field == "spec.input.a.b c[1].d"
        assert str(number) in description

    def test_what_is_nested_too_deep(self):
        field, description = violation(request(nested(DEPTH + 1)))
        assert field.startswith("spec.input.a[0][0]")
        assert str(DEPTH) in description

    def test_more_values_than_can_be_converted_in_time(self):
        _, description = violation(request({"a": [0] * (VALUES + 1)}))
        assert str(VALUES) in description

    def test_a_value_that_is_none_at_all(self):
        message = request({})
        message.spec.input.fields["a"].CopyFrom(Value())
        assert violation(message)[0] == "spec.input.a"

    def test_a_message_without_json_is_let_be(self):
        check_json(task_service_pb2.GetTaskRequest(task_id="x"))

    def test_a_struct_alone(self):
        content = Struct()
        content.update({"a": 1.0})
        check_json(content)
