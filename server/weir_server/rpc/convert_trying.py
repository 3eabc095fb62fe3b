"""Tries of connections and collections as messages."""

import base64
from typing import Final
from uuid import UUID

from weir.v1 import collection_pb2
from weir.v1 import collection_service_pb2 as pb
from weir_core.collections.models import NewCollection, NewConnection
from weir_core.collections.trials import Checked, Misfit, Previewed, Stream
from weir_core.ids import parse_id
from weir_server.rpc import convert_collections
from weir_server.rpc.convert import struct
from weir_server.rpc.convert_records import fitting_rows

_MOST_BYTES: Final = 3 * 1024 * 1024


def checked_target(request: pb.CheckConnectionRequest) -> UUID | NewConnection:
    """Which connection is to be tried."""
    if request.HasField("connection"):
        return convert_collections.new_connection(request.connection)
    return parse_id("connection_id", request.connection_id)


def previewed_target(request: pb.PreviewCollectionRequest) -> UUID | NewCollection:
    """Which collection is to be tried."""
    if request.HasField("collection"):
        return convert_collections.new_collection(request.collection)
    return parse_id("collection_id", request.collection_id)


def checked(value: Checked) -> pb.CheckConnectionResponse:
    """How a try went; streams without their schemas where these are too big."""
    message = pb.CheckConnectionResponse(
        check=convert_collections.check(value.check), streams=[_stream(each) for each in value.streams]
    )
    if message.ByteSize() > _MOST_BYTES:
        for stream in message.streams:
            stream.ClearField("schema")
    while message.ByteSize() > _MOST_BYTES:
        del message.streams[len(message.streams) // 2 :]
    return message


def previewed(value: Previewed) -> pb.PreviewCollectionResponse:
    """What a run would read first."""
    records = fitting_rows(value.records)
    short = len(records) < len(value.records)
    return pb.PreviewCollectionResponse(
        records=records,
        schema=struct(value.schema),
        quarantined=[_misfit(each) for each in value.misfits],
        warnings=[*value.warnings, *([f"only {len(records)} records fit into the answer"] if short else [])],
    )


def _stream(value: Stream) -> collection_pb2.SourceStream:
    return collection_pb2.SourceStream(
        name=value.name,
        schema=struct(value.schema),
        cursor_fields=value.cursor_fields,
        key_fields=value.key_fields,
        estimated_records=value.estimated_records,
    )


def _misfit(value: Misfit) -> collection_pb2.QuarantinedRecord:
    return collection_pb2.QuarantinedRecord(
        raw=base64.b64decode(value.raw),
        truncated=value.truncated,
        page=value.page,
        position=value.position,
        column=value.column,
        reason=value.reason,
    )
