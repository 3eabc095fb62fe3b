"""connections and collections are tried

Revision ID: 0006
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

from weir_core import columns

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "trial",
        sa.Column("id", columns.Uuid(), nullable=False),
        sa.Column("asked", columns.Blob(), nullable=False),
        sa.Column("answer", columns.Blob(), nullable=True),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trial")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("trial", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_trial_create_time"), ["create_time"], unique=False)

    with op.batch_alter_table("connector", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("can_discover", sa.Boolean(), server_default=sa.text("0"), nullable=False)
        )

    with op.batch_alter_table("connection", schema=None) as batch_op:
        batch_op.add_column(sa.Column("last_check", columns.Json(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("connection", schema=None) as batch_op:
        batch_op.drop_column("last_check")

    with op.batch_alter_table("connector", schema=None) as batch_op:
        batch_op.drop_column("can_discover")

    op.drop_table("trial")
