"""Connectors, connections, collections, runs and datasets as messages."""

from datetime import timedelta
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.struct_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp

from weir.v1 import collection_pb2, collection_service_pb2, task_pb2
from weir.v1.common_pb2 import TimeRange
from weir_core.collections.guards import Check, Guard
from weir_core.collections.models import (
    Collection,
    Connection,
    ConnectionCheck,
    Connector,
    Counters,
    NewCollection,
    NewConnection,
    Politeness,
    Run,
    Span,
    SyncMode,
)
from weir_core.datasets.models import ColumnInfo, Dataset
from weir_core.datasets.quarantine import Quarantined
from weir_core.datasets.reader import RecordQuery
from weir_core.datasets.values import CursorValue, SchemaPolicy
from weir_core.errors import InvalidArgument
from weir_core.ids import parse_id
from weir_server.rpc.convert import duration, json_object, principal, struct, timestamp
from weir_server.rpc.convert_tasks import failure
from weir_server.rpc.masks import changed

_WHOLE = 2**53
_ONE_OF = "secrets."
CONNECTION_SETTABLE = ("name", "settings", "secrets", "allow_private_addresses", "politeness")
COLLECTION_SETTABLE = (
    "name",
    "connection_id",
    "stream",
    "settings",
    "mode",
    "cursor_field",
    "key_fields",
    "deleted_field",
    "lag",
    "schema_policy",
    "guards",
)


def connector(value: Connector) -> collection_pb2.Connector:
    """A connector with its schemas."""
    return collection_pb2.Connector(
        name=value.name,
        description=value.description,
        version=value.version,
        connection_schema=struct(value.connection_schema),
        collection_schema=struct(value.collection_schema),
        modes=[_mode(mode) for mode in value.modes],
        can_discover=value.can_discover,
        can_pace=value.can_pace,
    )


def new_connection(message: collection_pb2.Connection) -> NewConnection:
    """What a caller asks for; output-only fields are ignored."""
    return NewConnection(
        project=message.project,
        name=message.name,
        connector=message.connector,
        settings=json_object(message.settings),
        secrets=dict(message.secrets),
        allow_private_addresses=message.allow_private_addresses,
        politeness=Politeness(message.politeness.max_concurrency, message.politeness.max_per_minute),
    )


def connection(value: Connection) -> collection_pb2.Connection:
    """A connection; of its secrets the names only."""
    return collection_pb2.Connection(
        id=str(value.id),
        project=value.project,
        name=value.name,
        connector=value.connector,
        settings=struct(value.settings),
        secret_names=value.secret_names,
        allow_private_addresses=value.allow_private_addresses,
        politeness=collection_pb2.Politeness(
            max_concurrency=value.politeness.max_concurrency, max_per_minute=value.politeness.max_per_minute
        ),
        revision=value.revision,
        last_check=None if value.last_check is None else check(value.last_check),
        creator=principal(value.creator),
        etag=value.etag,
        create_time=timestamp(value.create_time),
        update_time=timestamp(value.update_time),
    )


def changed_connection(
    found: Connection, message: collection_pb2.Connection, mask: FieldMask
) -> tuple[collection_pb2.Connection, frozenset[str]]:
    """What a connection becomes, with its new secrets, and the names of those that stay.

    The mask names secrets all together, or one by one.
    """
    one_by_one = {path for path in mask.paths if path.startswith(_ONE_OF)}
    rest = FieldMask(paths=[path for path in mask.paths if path not in one_by_one])
    wanted = changed(connection(found), message, rest, CONNECTION_SETTABLE)
    if not {"secrets", "*"} & set(mask.paths):
        touched = {path.removeprefix(_ONE_OF) for path in one_by_one}
        wanted.secrets.update({name: message.secrets[name] for name in touched & set(message.secrets)})
        return wanted, frozenset(found.secret_names) - touched
    return wanted, frozenset()


def check(value: ConnectionCheck) -> collection_pb2.ConnectionCheck:
    """How a try of a connection went."""
    return collection_pb2.ConnectionCheck(
        ok=value.failure is None,
        failure=failure(value.failure, full=False),
        latency=duration(value.latency),
        time=timestamp(value.time),
    )


def new_collection(message: collection_pb2.Collection) -> NewCollection:
    """What a caller asks for; output-only fields are ignored."""
    return NewCollection(
        project=message.project,
        name=message.name,
        connection_id=parse_id("collection.connection_id", message.connection_id),
        settings=json_object(message.settings),
        mode=SyncMode(message.mode),
        stream=message.stream,
        cursor_field=message.cursor_field,
        key_fields=tuple(message.key_fields),
        deleted_field=message.deleted_field,
        lag=message.lag.ToTimedelta(),
        schema_policy=SchemaPolicy(message.schema_policy or SchemaPolicy.EVOLVE),
        guards=tuple(map(_new_guard, message.guards)),
        dataset=message.dataset,
    )


def collection(value: Collection) -> collection_pb2.Collection:
    """A collection with its cursor and its last run."""
    return collection_pb2.Collection(
        id=str(value.id),
        project=value.project,
        name=value.name,
        connection_id=str(value.connection_id),
        stream=value.stream,
        settings=struct(value.settings),
        mode=_mode(value.mode),
        cursor_field=value.cursor_field,
        key_fields=value.key_fields,
        deleted_field=value.deleted_field,
        lag=duration(value.lag) if value.lag else None,
        schema_policy=collection_pb2.SchemaPolicy.ValueType(value.schema_policy),
        guards=[_guard(guard) for guard in value.guards],
        dataset=value.dataset,
        cursor=_cursor(value.cursor),
        last_run=None if value.last_run is None else run(value.last_run),
        creator=principal(value.creator),
        etag=value.etag,
        create_time=timestamp(value.create_time),
        update_time=timestamp(value.update_time),
    )


def run(value: Run, *, full: bool = False) -> collection_pb2.Run:
    """A run; with `full` the failure has its stack traces and log tail."""
    message = collection_pb2.Run(
        id=str(value.id),
        project=value.project,
        collection_id=str(value.collection_id),
        state=task_pb2.TaskState.ValueType(value.state),
        counters=_counters(value.counters),
        cursor_before=_cursor(value.cursor_before),
        cursor_after=None if value.span else _cursor(value.cursor_after),
        dataset_id=str(value.dataset_id),
        dataset_version=value.dataset_version,
        warnings=value.warnings,
        schema_changes=value.schema_changes,
        connection_revision=value.connection_revision,
        failure=failure(value.failure, full=full),
        create_time=timestamp(value.create_time),
        end_time=timestamp(value.end_time),
    )
    if value.span is not None:
        message.backfill.CopyFrom(_backfill(value.span))
    elif value.mode is SyncMode.FULL:
        message.full = True
    return message


def span(message: collection_pb2.Backfill) -> Span:
    """What a backfill reads."""
    if message.HasField("times"):
        times = message.times
        return Span(times.start_time.ToJsonString(), times.end_time.ToJsonString())
    return Span(
        _bound("backfill.values.start", message.values.start),
        _bound("backfill.values.end", message.values.end),
    )


def dataset(value: Dataset) -> collection_pb2.Dataset:
    """A dataset; with columns where they were read."""
    return collection_pb2.Dataset(
        id=str(value.id),
        project=value.project,
        name=value.name,
        collection_id="" if value.collection_id is None else str(value.collection_id),
        version=value.version,
        schema_version=value.schema_version,
        columns=[_column(column) for column in value.columns],
        record_count=value.record_count,
        size_bytes=value.size_bytes,
        segment_count=value.segment_count,
        quarantine_count=value.quarantine_count,
        commit_time=timestamp(value.commit_time),
        etag=value.etag,
    )


def quarantined(value: Quarantined) -> collection_pb2.QuarantinedRecord:
    """A record that did not fit."""
    return collection_pb2.QuarantinedRecord(
        id=str(value.id),
        dataset_id=str(value.dataset_id),
        run_id=str(value.run_id),
        raw=value.raw,
        truncated=value.truncated,
        page=value.page,
        position=value.position,
        column=value.column,
        reason=value.reason,
        create_time=timestamp(value.create_time),
    )


def record_query(message: collection_service_pb2.RecordQuery) -> RecordQuery:
    """Which records are wanted."""
    return RecordQuery(
        dataset_id=parse_id("query.dataset_id", message.dataset_id),
        columns=tuple(message.columns),
        filter=message.filter,
        version=message.version,
        limit=message.limit,
        resume_token=message.resume_token,
    )


def _mode(value: SyncMode) -> Any:
    return collection_pb2.SyncMode.ValueType(value)


def _counters(value: Counters) -> collection_pb2.RunCounters:
    return collection_pb2.RunCounters(
        records_read=value.records_read,
        records_written=value.records_written,
        records_quarantined=value.records_quarantined,
        bytes_read=value.bytes_read,
        bytes_written=value.bytes_written,
        segments=value.segments,
        requests=value.requests,
    )


def _column(value: ColumnInfo) -> collection_pb2.Column:
    return collection_pb2.Column(
        name=value.name, type=value.type, nullable=value.nullable, since_schema_version=value.since
    )


def _new_guard(message: collection_pb2.Guard) -> Guard:
    check = Check(message.WhichOneof("check") or "")
    value = getattr(message, check)
    match check:
        case Check.MAX_AGE:
            return Guard(check, value.ToTimedelta().total_seconds(), warn_only=message.warn_only)
        case Check.MAX_NULL_SHARE:
            return Guard(check, value.share, value.column, message.warn_only)
        case _:
            return Guard(check, value, warn_only=message.warn_only)


def _guard(value: Guard) -> collection_pb2.Guard:
    message = collection_pb2.Guard(warn_only=value.warn_only)
    match value.check:
        case Check.MAX_AGE:
            message.max_age.FromTimedelta(timedelta(seconds=value.limit))
        case Check.MAX_NULL_SHARE:
            share = collection_pb2.NullShare(column=value.column, share=value.limit)
            message.max_null_share.CopyFrom(share)
        case check:
            setattr(message, check, value.limit)
    return message


def cursor(field: str, value: Value) -> CursorValue | None:
    """A cursor as a caller gives it; None for null."""
    return None if value.WhichOneof("kind") == "null_value" else _bound(field, value)


def _backfill(value: Span) -> collection_pb2.Backfill:
    start, end = Timestamp(), Timestamp()
    try:
        start.FromJsonString(str(value.start))
        end.FromJsonString(str(value.end))
    except ValueError:
        values = collection_pb2.ValueRange(start=_cursor(value.start), end=_cursor(value.end))
        return collection_pb2.Backfill(values=values)
    return collection_pb2.Backfill(times=TimeRange(start_time=start, end_time=end))


def _bound(field: str, value: Value) -> CursorValue:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return value.string_value
    if kind != "number_value":
        raise InvalidArgument.at(field, "must be a number or a text")
    return int(value.number_value) if value.number_value.is_integer() else value.number_value


def _cursor(value: CursorValue | None) -> Value | None:
    if value is None:
        return None
    if isinstance(value, str) or abs(value) > _WHOLE:
        return Value(string_value=str(value))
    return Value(number_value=value)
