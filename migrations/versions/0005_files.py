"""tasks have files

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

from weir_core import columns

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "file",
        sa.Column("id", columns.Uuid(), nullable=False),
        sa.Column("project", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("media_type", sa.String(length=100), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", columns.Digest(), nullable=False),
        sa.Column("path", sa.String(length=255), nullable=False),
        sa.Column("task_id", columns.Uuid(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("settled", sa.Boolean(), nullable=False),
        sa.Column("creator_kind", sa.Integer(), nullable=False),
        sa.Column("creator_id", columns.Uuid(), nullable=True),
        sa.Column("creator_name", sa.String(length=200), nullable=False),
        sa.Column("creator_api_key_id", columns.Uuid(), nullable=True),
        sa.Column("create_time", columns.Micros(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_file")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("file", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_file_name_id"), ["name", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_file_project_id"), ["project", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_file_settled_id"), ["settled", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_file_task_id_id"), ["task_id", "id"], unique=False)

    with op.batch_alter_table("task", schema=None) as batch_op:
        batch_op.add_column(sa.Column("output_file_id", columns.Uuid(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("task", schema=None) as batch_op:
        batch_op.drop_column("output_file_id")

    with op.batch_alter_table("file", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_file_task_id_id"))
        batch_op.drop_index(batch_op.f("ix_file_settled_id"))
        batch_op.drop_index(batch_op.f("ix_file_project_id"))
        batch_op.drop_index(batch_op.f("ix_file_name_id"))

    op.drop_table("file")
