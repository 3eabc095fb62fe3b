"""merge and backfill

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

from weir_core import columns

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "hidden_rows",
        sa.Column("id", columns.Uuid(), nullable=False),
        sa.Column("dataset_id", columns.Uuid(), nullable=False),
        sa.Column("segment_id", columns.Uuid(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("places", columns.Blob(), nullable=False),
        sa.Column("from_version", sa.BigInteger(), nullable=False),
        sa.Column("to_version", sa.BigInteger(), nullable=True),
        sa.Column("retire_time", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hidden_rows")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("hidden_rows", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_hidden_rows_dataset_id_from_version"), ["dataset_id", "from_version"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_hidden_rows_retire_time"), ["retire_time"], unique=False)
        batch_op.create_index(batch_op.f("ix_hidden_rows_segment_id"), ["segment_id"], unique=False)

    with op.batch_alter_table("collection", schema=None) as batch_op:
        batch_op.add_column(sa.Column("key_fields", columns.Json(), nullable=True))
        batch_op.add_column(
            sa.Column("deleted_field", sa.String(length=200), server_default="", nullable=False)
        )
        batch_op.add_column(sa.Column("lag", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
        batch_op.add_column(sa.Column("guards", columns.Json(), nullable=True))
        batch_op.add_column(
            sa.Column("schema_policy", sa.Integer(), server_default=sa.text("0"), nullable=False)
        )
        batch_op.add_column(
            sa.Column("revision", sa.BigInteger(), server_default=sa.text("1"), nullable=False)
        )
        batch_op.add_column(sa.Column("backfill_run_id", columns.Uuid(), nullable=True))
        batch_op.add_column(sa.Column("update_time", columns.Micros(), nullable=True))

    with op.batch_alter_table("connection", schema=None) as batch_op:
        batch_op.add_column(sa.Column("update_time", columns.Micros(), nullable=True))

    with op.batch_alter_table("dataset", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_dataset_is_delete"), ["is_delete"], unique=False)

    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.add_column(sa.Column("staged", sa.Boolean(), nullable=True))
        batch_op.add_column(sa.Column("span", columns.Json(), nullable=True))
        batch_op.add_column(sa.Column("nulls", columns.Json(), nullable=True))
        batch_op.add_column(sa.Column("warnings", columns.Json(), nullable=True))
        batch_op.add_column(sa.Column("schema_changes", columns.Json(), nullable=True))

    with op.batch_alter_table("segment", schema=None) as batch_op:
        batch_op.add_column(sa.Column("bounds", columns.Json(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("segment", schema=None) as batch_op:
        batch_op.drop_column("bounds")

    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.drop_column("schema_changes")
        batch_op.drop_column("warnings")
        batch_op.drop_column("nulls")
        batch_op.drop_column("span")
        batch_op.drop_column("staged")

    with op.batch_alter_table("dataset", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_dataset_is_delete"))

    with op.batch_alter_table("connection", schema=None) as batch_op:
        batch_op.drop_column("update_time")

    with op.batch_alter_table("collection", schema=None) as batch_op:
        batch_op.drop_column("update_time")
        batch_op.drop_column("backfill_run_id")
        batch_op.drop_column("revision")
        batch_op.drop_column("schema_policy")
        batch_op.drop_column("guards")
        batch_op.drop_column("lag")
        batch_op.drop_column("deleted_field")
        batch_op.drop_column("key_fields")

    with op.batch_alter_table("hidden_rows", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_hidden_rows_segment_id"))
        batch_op.drop_index(batch_op.f("ix_hidden_rows_retire_time"))
        batch_op.drop_index(batch_op.f("ix_hidden_rows_dataset_id_from_version"))

    op.drop_table("hidden_rows")
