"""Response times added up as clocks start and stop. The first start after it fills the table."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "rollup",
        sa.Column("facet", sa.Text(), nullable=False),
        sa.Column("day", INT, nullable=False, autoincrement=False),
        sa.Column("dims", sa.Text(), nullable=False),
        sa.Column("count", INT, nullable=False),
        sa.Column("met", INT, nullable=False),
        sa.Column("breached", INT, nullable=False),
        sa.Column("unanswered", INT, nullable=False),
        sa.Column("not_needed", INT, nullable=False),
        sa.Column("withdrawn", INT, nullable=False),
        sa.Column("times", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("facet", "day", "dims", name=op.f("pk_rollup")),
        sqlite_strict=True,
    )
    op.create_index("ix_reply_conversation_id", "reply", ["conversation_id"])
