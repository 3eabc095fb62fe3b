"""The table of errors: complete, and telling no more than it should."""

from collections.abc import Iterator

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from weir.v1 import common_pb2
from weir_core import errors
from weir_core.errors import InvalidArgument, NotFound, QuotaExceeded, Violation, WeirError
from weir_server.app import services
from weir_server.rpc.status import CODES, answer_to


def subclasses(kind: type[WeirError]) -> Iterator[type[WeirError]]:
    for each in kind.__subclasses__():
        if each.__module__.startswith("weir"):
            yield each
            yield from subclasses(each)


class TestCodes:
    def test_the_whole_server_is_loaded(self):
        # Only then are all errors known.
        assert services()

    def test_every_error_has_a_code_of_its_own_or_of_its_family(self):
        lacking = [
            kind for kind in subclasses(WeirError) if not (CODES.keys() - {WeirError}) & set(kind.__mro__)
        ]
        assert lacking == []

    def test_every_reason_is_one_of_the_contract(self):
        for kind in subclasses(WeirError):
            assert f"ERROR_REASON_{kind.reason}" in common_pb2.ErrorReason.keys()  # noqa: SIM118

    def test_every_reason_of_the_contract_is_used(self):
        used = {kind.reason for kind in subclasses(WeirError)} | {WeirError.reason, "UNSPECIFIED"}
        assert used == {name.removeprefix("ERROR_REASON_") for name in common_pb2.ErrorReason.keys()}  # noqa: SIM118

    def test_what_callers_did_is_told_from_what_broke(self):
        table = {kind.__name__: code for kind, code in CODES.items()}
        assert table["InvalidArgument"] is grpc.StatusCode.INVALID_ARGUMENT
        assert table["DependencyDown"] is grpc.StatusCode.UNAVAILABLE
        assert grpc.StatusCode.UNKNOWN not in table.values()


class TestAnswerTo:
    def test_a_subclass_has_its_familys_code_and_its_own_reason(self):
        class Special(errors.NotFound):
            pass

        assert answer_to(Special("task", "x"), "r").code is grpc.StatusCode.NOT_FOUND

    @pytest.mark.parametrize("error", [ValueError("s3cr3t"), KeyError("s3cr3t"), SystemError("s3cr3t")])
    def test_a_defect_keeps_its_text(self, error: Exception):
        answer = answer_to(error, "req-1")
        assert answer.code is grpc.StatusCode.INTERNAL
        assert "s3cr3t" not in f"{answer}"
        assert b"req-1" in answer.details

    def test_details_name_the_resource(self):
        answer = answer_to(NotFound("task", "x"), "r")
        status = status_pb2.Status.FromString(answer.details)
        resource = error_details_pb2.ResourceInfo.FromString(status.details[1].value)
        assert (resource.resource_type, resource.resource_name) == ("task", "x")

    def test_the_largest_error_fits_into_the_metadata(self):
        violations = [Violation(f"field{number}" * 30, "ä" * 5000) for number in range(500)]
        for error in (InvalidArgument(*violations), QuotaExceeded("é" * 9999, "\U0001f600" * 9999)):
            answer = answer_to(error, "r" * 64)
            # gRPC sends the message in percent encoding, and the details in base64.
            length = len(answer.message.encode()) * 3 + len(answer.details) * 4 // 3
            assert length < 8192 - 500

    def test_text_that_cannot_be_sent_is_mended(self):
        answer = answer_to(NotFound("task", "\ud800"), "r")
        assert answer.message.encode()
