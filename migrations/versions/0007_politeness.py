"""sources are asked politely: whether they have changed, and no faster than they may be

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

from weir_core import columns

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("collection", schema=None) as batch_op:
        batch_op.add_column(sa.Column("known", columns.Json(), nullable=True))

    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.add_column(sa.Column("known", columns.Json(), nullable=True))

    with op.batch_alter_table("connection", schema=None) as batch_op:
        batch_op.add_column(sa.Column("politeness", columns.Json(), nullable=True))

    with op.batch_alter_table("connector", schema=None) as batch_op:
        batch_op.add_column(sa.Column("can_pace", sa.Boolean(), server_default=sa.text("0"), nullable=False))


def downgrade() -> None:
    with op.batch_alter_table("connector", schema=None) as batch_op:
        batch_op.drop_column("can_pace")

    with op.batch_alter_table("connection", schema=None) as batch_op:
        batch_op.drop_column("politeness")

    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.drop_column("known")

    with op.batch_alter_table("collection", schema=None) as batch_op:
        batch_op.drop_column("known")
