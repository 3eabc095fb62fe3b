"""first

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op

from weir_core import columns

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "api_key",
        sa.Column("id", columns.Uuid(), nullable=False),
        sa.Column("user_id", columns.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("prefix", sa.String(length=20), nullable=False),
        sa.Column("digest", columns.Digest(), nullable=False),
        sa.Column("expire_time", columns.Micros(), nullable=False),
        sa.Column("last_used_time", columns.Micros(), nullable=True),
        sa.Column("revoke_time", columns.Micros(), nullable=True),
        sa.Column("creator_kind", sa.Integer(), nullable=False),
        sa.Column("creator_id", columns.Uuid(), nullable=True),
        sa.Column("creator_name", sa.String(length=200), nullable=False),
        sa.Column("creator_api_key_id", columns.Uuid(), nullable=True),
        sa.Column("request_key", columns.Digest(), nullable=True),
        sa.Column("request_content", columns.Digest(), nullable=True),
        sa.Column("create_time", columns.Micros(), nullable=False),
        sa.Column("is_delete", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_key")),
        sa.UniqueConstraint("prefix", name=op.f("uq_api_key_prefix")),
        sa.UniqueConstraint("request_key", name=op.f("uq_api_key_request_key")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("api_key", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_api_key_user_id_id"), ["user_id", "id"], unique=False)

    op.create_table(
        "attempt",
        sa.Column("task_id", columns.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("worker_id", columns.Uuid(), nullable=False),
        sa.Column("type_version", sa.Integer(), nullable=False),
        sa.Column("start_time", columns.Micros(), nullable=False),
        sa.Column("end_time", columns.Micros(), nullable=True),
        sa.Column("retry_time", columns.Micros(), nullable=True),
        sa.Column("failure", columns.Json(), nullable=True),
        sa.PrimaryKeyConstraint("task_id", "number", name=op.f("pk_attempt")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "collection",
        sa.Column("id", columns.Uuid(), nullable=False),
        sa.Column("project", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("connection_id", columns.Uuid(), nullable=False),
        sa.Column("stream", sa.String(length=500), nullable=False),
        sa.Column("settings", columns.Json(), nullable=False),
        sa.Column("mode", sa.Integer(), nullable=False),
        sa.Column("cursor_field", sa.String(length=200), nullable=False),
        sa.Column("dataset_id", columns.Uuid(), nullable=False),
        sa.Column("cursor", columns.Json(), nullable=True),
        sa.Column("pending", columns.Json(), nullable=True),
        sa.Column("last_run_id", columns.Uuid(), nullable=True),
        sa.Column("creator_kind", sa.Integer(), nullable=False),
        sa.Column("creator_id", columns.Uuid(), nullable=True),
        sa.Column("creator_name", sa.String(length=200), nullable=False),
        sa.Column("creator_api_key_id", columns.Uuid(), nullable=True),
        sa.Column("request_key", columns.Digest(), nullable=True),
        sa.Column("request_content", columns.Digest(), nullable=True),
        sa.Column("create_time", columns.Micros(), nullable=False),
        sa.Column("is_delete", sa.Boolean(), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_collection")),
        sa.UniqueConstraint("project", "name", "live", name=op.f("uq_collection_project_name_live")),
        sa.UniqueConstraint("request_key", name=op.f("uq_collection_request_key")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("collection", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_collection_connection_id"), ["connection_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_collection_name_id"), ["name", "id"], unique=False)

    op.create_table(
        "connection",
        sa.Column("id", columns.Uuid(), nullable=False),
        sa.Column("project", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("connector", sa.String(length=100), nullable=False),
        sa.Column("settings", columns.Json(), nullable=False),
        sa.Column("secrets", columns.Blob(), nullable=True),
        sa.Column("secret_names", columns.Json(), nullable=False),
        sa.Column("allow_private_addresses", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("creator_kind", sa.Integer(), nullable=False),
        sa.Column("creator_id", columns.Uuid(), nullable=True),
        sa.Column("creator_name", sa.String(length=200), nullable=False),
        sa.Column("creator_api_key_id", columns.Uuid(), nullable=True),
        sa.Column("request_key", columns.Digest(), nullable=True),
        sa.Column("request_content", columns.Digest(), nullable=True),
        sa.Column("create_time", columns.Micros(), nullable=False),
        sa.Column("is_delete", sa.Boolean(), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_connection")),
        sa.UniqueConstraint("project", "name", "live", name=op.f("uq_connection_project_name_live")),
        sa.UniqueConstraint("request_key", name=op.f("uq_connection_request_key")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("connection", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_connection_name_id"), ["name", "id"], unique=False)

    op.create_table(
        "connector",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("description", columns.Json(), nullable=False),
        sa.Column("version", sa.String(length=60), nullable=False),
        sa.Column("connection_schema", columns.Json(), nullable=False),
        sa.Column("collection_schema", columns.Json(), nullable=False),
        sa.Column("modes", columns.Json(), nullable=False),
        sa.Column("update_time", columns.Micros(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_connector")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "dataset",
        sa.Column("id", columns.Uuid(), nullable=False),
        sa.Column("project", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("collection_id", columns.Uuid(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("oldest_version", sa.BigInteger(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("next_generation", sa.BigInteger(), nullable=False),
        sa.Column("schema_version", sa.Integer(), nullable=False),
        sa.Column("record_count", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("segment_count", sa.BigInteger(), nullable=False),
        sa.Column("quarantine_count", sa.BigInteger(), nullable=False),
        sa.Column("commit_time", columns.Micros(), nullable=True),
        sa.Column("create_time", columns.Micros(), nullable=False),
        sa.Column("is_delete", sa.Boolean(), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dataset")),
        sa.UniqueConstraint("project", "name", "live", name=op.f("uq_dataset_project_name_live")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("dataset", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_dataset_collection_id"), ["collection_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_dataset_name_id"), ["name", "id"], unique=False)

    op.create_table(
        "dataset_schema",
        sa.Column("dataset_id", columns.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("columns", columns.Json(), nullable=False),
        sa.Column("create_time", columns.Micros(), nullable=False),
        sa.PrimaryKeyConstraint("dataset_id", "version", name=op.f("pk_dataset_schema")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "gate",
        sa.Column("name", sa.String(length=300), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("pause_reason", sa.String(length=500), nullable=False),
        sa.Column("max_running", sa.Integer(), nullable=False),
        sa.Column("max_per_minute", sa.Integer(), nullable=False),
        sa.Column("running", sa.Integer(), nullable=False),
        sa.Column("waiting", sa.Integer(), nullable=False),
        sa.Column("minute", sa.BigInteger(), nullable=False),
        sa.Column("started", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_gate")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("gate", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_gate_waiting"), ["waiting"], unique=False)

    op.create_table(
        "project",
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("create_time", columns.Micros(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_project")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "quarantine",
        sa.Column("id", columns.Uuid(), nullable=False),
        sa.Column("dataset_id", columns.Uuid(), nullable=False),
        sa.Column("run_id", columns.Uuid(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("page", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("field", columns.Json(), nullable=False),
        sa.Column("reason", columns.Json(), nullable=False),
        sa.Column("raw", columns.Blob(), nullable=False),
        sa.Column("truncated", sa.Boolean(), nullable=False),
        sa.Column("create_time", columns.Micros(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quarantine")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("quarantine", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_quarantine_dataset_id_generation_id"),
            ["dataset_id", "generation", "id"],
            unique=False,
        )
        batch_op.create_index(batch_op.f("ix_quarantine_run_id"), ["run_id"], unique=False)

    op.create_table(
        "role_binding",
        sa.Column("owner_id", columns.Uuid(), nullable=False),
        sa.Column("project", sa.String(length=63), nullable=False),
        sa.Column("role", sa.String(length=60), nullable=False),
        sa.PrimaryKeyConstraint("owner_id", "project", "role", name=op.f("pk_role_binding")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "run",
        sa.Column("id", columns.Uuid(), nullable=False),
        sa.Column("project", sa.String(length=63), nullable=False),
        sa.Column("collection_id", columns.Uuid(), nullable=False),
        sa.Column("dataset_id", columns.Uuid(), nullable=False),
        sa.Column("mode", sa.Integer(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("schema_version", sa.Integer(), nullable=False),
        sa.Column("connection_revision", sa.BigInteger(), nullable=False),
        sa.Column("cursor_before", columns.Json(), nullable=True),
        sa.Column("reached", columns.Json(), nullable=True),
        sa.Column("position", columns.Json(), nullable=True),
        sa.Column("commits", sa.BigInteger(), nullable=False),
        sa.Column("records_read", sa.BigInteger(), nullable=False),
        sa.Column("records_written", sa.BigInteger(), nullable=False),
        sa.Column("records_quarantined", sa.BigInteger(), nullable=False),
        sa.Column("bytes_read", sa.BigInteger(), nullable=False),
        sa.Column("bytes_written", sa.BigInteger(), nullable=False),
        sa.Column("segments", sa.BigInteger(), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("dataset_version", sa.BigInteger(), nullable=False),
        sa.Column("finished", sa.Boolean(), nullable=False),
        sa.Column("residue", sa.Boolean(), nullable=False),
        sa.Column("create_time", columns.Micros(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_run_collection_id_id"), ["collection_id", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_run_project_id"), ["project", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_run_residue_id"), ["residue", "id"], unique=False)

    op.create_table(
        "run_request",
        sa.Column("key", columns.Digest(), nullable=False),
        sa.Column("content", columns.Digest(), nullable=False),
        sa.Column("run_id", columns.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_run_request")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "scheduler",
        sa.Column("id", columns.Uuid(), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("heartbeat_time", columns.Micros(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scheduler")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("scheduler", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_scheduler_heartbeat_time"), ["heartbeat_time"], unique=False)

    op.create_table(
        "segment",
        sa.Column("id", columns.Uuid(), nullable=False),
        sa.Column("dataset_id", columns.Uuid(), nullable=False),
        sa.Column("run_id", columns.Uuid(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("path", sa.String(length=255), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", columns.Digest(), nullable=False),
        sa.Column("schema_version", sa.Integer(), nullable=False),
        sa.Column("low", columns.Json(), nullable=True),
        sa.Column("high", columns.Json(), nullable=True),
        sa.Column("from_version", sa.BigInteger(), nullable=True),
        sa.Column("to_version", sa.BigInteger(), nullable=True),
        sa.Column("create_time", columns.Micros(), nullable=False),
        sa.Column("retire_time", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_segment")),
        sa.UniqueConstraint("path", name=op.f("uq_segment_path")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("segment", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_segment_dataset_id_id"), ["dataset_id", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_segment_retire_time"), ["retire_time"], unique=False)
        batch_op.create_index(batch_op.f("ix_segment_run_id_number"), ["run_id", "number"], unique=False)

    op.create_table(
        "session",
        sa.Column("id", columns.Uuid(), nullable=False),
        sa.Column("user_id", columns.Uuid(), nullable=False),
        sa.Column("client_name", sa.String(length=200), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("expire_time", columns.Micros(), nullable=False),
        sa.Column("revoke_time", columns.Micros(), nullable=True),
        sa.Column("create_time", columns.Micros(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_session")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("session", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_session_user_id_id"), ["user_id", "id"], unique=False)

    op.create_table(
        "signing_key",
        sa.Column("id", columns.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("sealed", columns.Blob(), nullable=False),
        sa.Column("create_time", columns.Micros(), nullable=False),
        sa.Column("retire_time", columns.Micros(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signing_key")),
        sa.UniqueConstraint("number", name=op.f("uq_signing_key_number")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "task",
        sa.Column("id", columns.Uuid(), nullable=False),
        sa.Column("project", sa.String(length=63), nullable=False),
        sa.Column("type", sa.String(length=100), nullable=False),
        sa.Column("type_version", sa.Integer(), nullable=False),
        sa.Column("pack", sa.String(length=60), nullable=False),
        sa.Column("queue", sa.String(length=60), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("charged", sa.Integer(), nullable=False),
        sa.Column("crashes", sa.Integer(), nullable=False),
        sa.Column("due_time", sa.BigInteger(), nullable=False),
        sa.Column("hint_time", sa.BigInteger(), nullable=False),
        sa.Column("alarm_time", columns.Micros(), nullable=True),
        sa.Column("holds", columns.Json(), nullable=False),
        sa.Column("parked_on", sa.String(length=300), nullable=True),
        sa.Column("needed", sa.Boolean(), nullable=False),
        sa.Column("worker_id", columns.Uuid(), nullable=True),
        sa.Column("claim_id", columns.Uuid(), nullable=True),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.Column("reserved_seq", sa.BigInteger(), nullable=False),
        sa.Column("input", columns.Json(), nullable=False),
        sa.Column("labels", columns.Json(), nullable=False),
        sa.Column("limits", columns.Json(), nullable=False),
        sa.Column("start_after", columns.Micros(), nullable=True),
        sa.Column("deadline", columns.Micros(), nullable=True),
        sa.Column("retention", sa.Integer(), nullable=True),
        sa.Column("depends_on", columns.Json(), nullable=False),
        sa.Column("concurrency", columns.Json(), nullable=True),
        sa.Column("key_gate", sa.String(length=300), nullable=True),
        sa.Column("parent_id", columns.Uuid(), nullable=True),
        sa.Column("retry_of", columns.Uuid(), nullable=True),
        sa.Column("output", columns.Json(), nullable=True),
        sa.Column("failure", columns.Json(), nullable=True),
        sa.Column("failure_kind", sa.Integer(), nullable=True),
        sa.Column("fingerprint", sa.String(length=16), nullable=True),
        sa.Column("progress", columns.Json(), nullable=True),
        sa.Column("checkpoint", columns.Json(), nullable=True),
        sa.Column("cancellation", columns.Json(), nullable=True),
        sa.Column("creator_kind", sa.Integer(), nullable=False),
        sa.Column("creator_id", columns.Uuid(), nullable=True),
        sa.Column("creator_name", sa.String(length=200), nullable=False),
        sa.Column("creator_api_key_id", columns.Uuid(), nullable=True),
        sa.Column("request_key", columns.Digest(), nullable=True),
        sa.Column("request_content", columns.Digest(), nullable=True),
        sa.Column("create_time", columns.Micros(), nullable=False),
        sa.Column("start_time", columns.Micros(), nullable=True),
        sa.Column("end_time", columns.Micros(), nullable=True),
        sa.Column("is_delete", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_task")),
        sa.UniqueConstraint("request_key", name=op.f("uq_task_request_key")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("task", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_task_alarm_time"), ["alarm_time"], unique=False)
        batch_op.create_index(batch_op.f("ix_task_claim_id"), ["claim_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_task_creator_id_id"), ["creator_id", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_task_failure_kind_id"), ["failure_kind", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_task_fingerprint_id"), ["fingerprint", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_task_key_gate_state"), ["key_gate", "state"], unique=False)
        batch_op.create_index(batch_op.f("ix_task_parent_id_id"), ["parent_id", "id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_task_parked_on_turn_id"), ["parked_on", "turn", "id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_task_project_id"), ["project", "id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_task_project_state_id"), ["project", "state", "id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_task_queue_id"), ["queue", "id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_task_queue_state_turn_id"), ["queue", "state", "turn", "id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_task_state_due_time"), ["state", "due_time"], unique=False)
        batch_op.create_index(batch_op.f("ix_task_state_hint_time"), ["state", "hint_time"], unique=False)
        batch_op.create_index(batch_op.f("ix_task_state_id"), ["state", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_task_type_id"), ["type", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_task_worker_id_state"), ["worker_id", "state"], unique=False)

    op.create_table(
        "task_dependency",
        sa.Column("task_id", columns.Uuid(), nullable=False),
        sa.Column("needs_id", columns.Uuid(), nullable=False),
        sa.Column("condition", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("task_id", "needs_id", name=op.f("pk_task_dependency")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("task_dependency", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_task_dependency_needs_id"), ["needs_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_task_dependency_outcome_task_id"), ["outcome", "task_id"], unique=False
        )

    op.create_table(
        "task_event",
        sa.Column("task_id", columns.Uuid(), nullable=False),
        sa.Column("to_seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("from_seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("events", columns.Blob(), nullable=False),
        sa.PrimaryKeyConstraint("task_id", "to_seq", name=op.f("pk_task_event")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "task_label",
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("value", sa.String(length=255), nullable=False),
        sa.Column("task_id", columns.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("name", "value", "task_id", name=op.f("pk_task_label")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("task_label", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_task_label_task_id"), ["task_id"], unique=False)

    op.create_table(
        "task_stop",
        sa.Column("task_id", columns.Uuid(), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("grace", sa.Integer(), nullable=True),
        sa.Column("creator_kind", sa.Integer(), nullable=False),
        sa.Column("creator_id", columns.Uuid(), nullable=True),
        sa.Column("creator_name", sa.String(length=200), nullable=False),
        sa.Column("creator_api_key_id", columns.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("task_id", name=op.f("pk_task_stop")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "task_type",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("pack", sa.String(length=60), nullable=False),
        sa.Column("description", columns.Json(), nullable=False),
        sa.Column("input_schema", columns.Json(), nullable=False),
        sa.Column("output_schema", columns.Json(), nullable=False),
        sa.Column("queue", sa.String(length=60), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("permission", sa.String(length=60), nullable=False),
        sa.Column("limits", columns.Json(), nullable=False),
        sa.Column("update_time", columns.Micros(), nullable=False),
        sa.PrimaryKeyConstraint("name", "version", name=op.f("pk_task_type")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "user",
        sa.Column("id", columns.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("display_name", sa.String(length=200), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("last_login_time", columns.Micros(), nullable=True),
        sa.Column("creator_kind", sa.Integer(), nullable=False),
        sa.Column("creator_id", columns.Uuid(), nullable=True),
        sa.Column("creator_name", sa.String(length=200), nullable=False),
        sa.Column("creator_api_key_id", columns.Uuid(), nullable=True),
        sa.Column("request_key", columns.Digest(), nullable=True),
        sa.Column("request_content", columns.Digest(), nullable=True),
        sa.Column("create_time", columns.Micros(), nullable=False),
        sa.Column("is_delete", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user")),
        sa.UniqueConstraint("name", name=op.f("uq_user_name")),
        sa.UniqueConstraint("request_key", name=op.f("uq_user_request_key")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "worker",
        sa.Column("id", columns.Uuid(), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("version", sa.String(length=60), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("queues", columns.Json(), nullable=False),
        sa.Column("types", columns.Json(), nullable=False),
        sa.Column("lease_expire", sa.BigInteger(), nullable=False),
        sa.Column("start_time", columns.Micros(), nullable=False),
        sa.Column("heartbeat_time", columns.Micros(), nullable=False),
        sa.Column("drain_time", columns.Micros(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_worker")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("worker", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_worker_state_lease_expire"), ["state", "lease_expire"], unique=False
        )


def downgrade() -> None:
    with op.batch_alter_table("worker", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_worker_state_lease_expire"))

    op.drop_table("worker")
    op.drop_table("user")
    op.drop_table("task_type")
    op.drop_table("task_stop")
    with op.batch_alter_table("task_label", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_task_label_task_id"))

    op.drop_table("task_label")
    op.drop_table("task_event")
    with op.batch_alter_table("task_dependency", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_task_dependency_outcome_task_id"))
        batch_op.drop_index(batch_op.f("ix_task_dependency_needs_id"))

    op.drop_table("task_dependency")
    with op.batch_alter_table("task", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_task_worker_id_state"))
        batch_op.drop_index(batch_op.f("ix_task_type_id"))
        batch_op.drop_index(batch_op.f("ix_task_state_id"))
        batch_op.drop_index(batch_op.f("ix_task_state_hint_time"))
        batch_op.drop_index(batch_op.f("ix_task_state_due_time"))
        batch_op.drop_index(batch_op.f("ix_task_queue_state_turn_id"))
        batch_op.drop_index(batch_op.f("ix_task_queue_id"))
        batch_op.drop_index(batch_op.f("ix_task_project_state_id"))
        batch_op.drop_index(batch_op.f("ix_task_project_id"))
        batch_op.drop_index(batch_op.f("ix_task_parked_on_turn_id"))
        batch_op.drop_index(batch_op.f("ix_task_parent_id_id"))
        batch_op.drop_index(batch_op.f("ix_task_key_gate_state"))
        batch_op.drop_index(batch_op.f("ix_task_fingerprint_id"))
        batch_op.drop_index(batch_op.f("ix_task_failure_kind_id"))
        batch_op.drop_index(batch_op.f("ix_task_creator_id_id"))
        batch_op.drop_index(batch_op.f("ix_task_claim_id"))
        batch_op.drop_index(batch_op.f("ix_task_alarm_time"))

    op.drop_table("task")
    op.drop_table("signing_key")
    with op.batch_alter_table("session", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_session_user_id_id"))

    op.drop_table("session")
    with op.batch_alter_table("segment", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_segment_run_id_number"))
        batch_op.drop_index(batch_op.f("ix_segment_retire_time"))
        batch_op.drop_index(batch_op.f("ix_segment_dataset_id_id"))

    op.drop_table("segment")
    with op.batch_alter_table("scheduler", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_scheduler_heartbeat_time"))

    op.drop_table("scheduler")
    op.drop_table("run_request")
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_run_residue_id"))
        batch_op.drop_index(batch_op.f("ix_run_project_id"))
        batch_op.drop_index(batch_op.f("ix_run_collection_id_id"))

    op.drop_table("run")
    op.drop_table("role_binding")
    with op.batch_alter_table("quarantine", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_quarantine_run_id"))
        batch_op.drop_index(batch_op.f("ix_quarantine_dataset_id_generation_id"))

    op.drop_table("quarantine")
    op.drop_table("project")
    with op.batch_alter_table("gate", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_gate_waiting"))

    op.drop_table("gate")
    op.drop_table("dataset_schema")
    with op.batch_alter_table("dataset", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_dataset_name_id"))
        batch_op.drop_index(batch_op.f("ix_dataset_collection_id"))

    op.drop_table("dataset")
    op.drop_table("connector")
    with op.batch_alter_table("connection", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_connection_name_id"))

    op.drop_table("connection")
    with op.batch_alter_table("collection", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_collection_name_id"))
        batch_op.drop_index(batch_op.f("ix_collection_connection_id"))

    op.drop_table("collection")
    op.drop_table("attempt")
    with op.batch_alter_table("api_key", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_api_key_user_id_id"))

    op.drop_table("api_key")
