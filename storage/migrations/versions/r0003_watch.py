"""What an account's last check said, and which troubles a person was told of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
SMALL = sa.SmallInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "checkup",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("checked_at", INT, nullable=True),
        sa.Column("tried_at", INT, nullable=True),
        sa.Column("native_id", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("streams", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("quotas", sa.Text(), nullable=False),
        sa.Column("quotas_at", INT, nullable=True),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_checkup")),
        sqlite_strict=True,
    )
    op.create_table(
        "trouble",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("open", SMALL, nullable=False, server_default=sa.text("0")),
        sa.Column("told_at", INT, nullable=False, server_default=sa.text("0")),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_trouble")),
        sqlite_strict=True,
    )
