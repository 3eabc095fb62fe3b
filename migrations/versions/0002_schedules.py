"""schedules

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

from weir_core import columns

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "fire",
        sa.Column("id", columns.Uuid(), nullable=False),
        sa.Column("schedule_id", columns.Uuid(), nullable=False),
        sa.Column("fire_time", columns.Micros(), nullable=False),
        sa.Column("fired_time", columns.Micros(), nullable=True),
        sa.Column("action_time", columns.Micros(), nullable=False),
        sa.Column("result", sa.Integer(), nullable=False),
        sa.Column("task_id", columns.Uuid(), nullable=True),
        sa.Column("message", sa.String(length=500), nullable=False),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fire")),
        sa.UniqueConstraint("schedule_id", "fired_time", name=op.f("uq_fire_schedule_id_fired_time")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("fire", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_fire_open_schedule_id"), ["open", "schedule_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_fire_schedule_id_id"), ["schedule_id", "id"], unique=False)

    op.create_table(
        "schedule",
        sa.Column("id", columns.Uuid(), nullable=False),
        sa.Column("project", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("description", sa.String(length=1000), nullable=False),
        sa.Column("timing", columns.Json(), nullable=False),
        sa.Column("spec", columns.Json(), nullable=False),
        sa.Column("template", columns.Json(), nullable=False),
        sa.Column("missed", sa.Integer(), nullable=False),
        sa.Column("max_catch_up", sa.Integer(), nullable=False),
        sa.Column("overlap", sa.Integer(), nullable=False),
        sa.Column("pause_after_failures", sa.Integer(), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("pause_reason", sa.String(length=500), nullable=False),
        sa.Column("labels", columns.Json(), nullable=False),
        sa.Column("next_fire", columns.Micros(), nullable=True),
        sa.Column("due_time", sa.BigInteger(), nullable=True),
        sa.Column("held_fire", columns.Micros(), nullable=True),
        sa.Column("held_by", columns.Uuid(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("creator_kind", sa.Integer(), nullable=False),
        sa.Column("creator_id", columns.Uuid(), nullable=True),
        sa.Column("creator_name", sa.String(length=200), nullable=False),
        sa.Column("creator_api_key_id", columns.Uuid(), nullable=True),
        sa.Column("run_as_kind", sa.Integer(), nullable=False),
        sa.Column("run_as_id", columns.Uuid(), nullable=True),
        sa.Column("run_as_name", sa.String(length=200), nullable=False),
        sa.Column("run_as_api_key_id", columns.Uuid(), nullable=True),
        sa.Column("request_key", columns.Digest(), nullable=True),
        sa.Column("request_content", columns.Digest(), nullable=True),
        sa.Column("create_time", columns.Micros(), nullable=False),
        sa.Column("update_time", columns.Micros(), nullable=False),
        sa.Column("is_delete", sa.Boolean(), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedule")),
        sa.UniqueConstraint("project", "name", "live", name=op.f("uq_schedule_project_name_live")),
        sa.UniqueConstraint("request_key", name=op.f("uq_schedule_request_key")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("schedule", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_schedule_due_time"), ["due_time"], unique=False)
        batch_op.create_index(batch_op.f("ix_schedule_held_by"), ["held_by"], unique=False)
        batch_op.create_index(batch_op.f("ix_schedule_name_id"), ["name", "id"], unique=False)

    op.create_table(
        "trigger_request",
        sa.Column("key", columns.Digest(), nullable=False),
        sa.Column("content", columns.Digest(), nullable=False),
        sa.Column("fire_id", columns.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_trigger_request")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("task", schema=None) as batch_op:
        batch_op.add_column(sa.Column("schedule_id", columns.Uuid(), nullable=True))
        batch_op.add_column(sa.Column("fire_time", columns.Micros(), nullable=True))
        batch_op.create_index(batch_op.f("ix_task_schedule_id_id"), ["schedule_id", "id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("task", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_task_schedule_id_id"))
        batch_op.drop_column("fire_time")
        batch_op.drop_column("schedule_id")

    op.drop_table("trigger_request")
    with op.batch_alter_table("schedule", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_schedule_name_id"))
        batch_op.drop_index(batch_op.f("ix_schedule_held_by"))
        batch_op.drop_index(batch_op.f("ix_schedule_due_time"))

    op.drop_table("schedule")
    with op.batch_alter_table("fire", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_fire_schedule_id_id"))
        batch_op.drop_index(batch_op.f("ix_fire_open_schedule_id"))

    op.drop_table("fire")
