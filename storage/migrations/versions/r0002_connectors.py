"""Gaps, answers sent through us, reply windows' quotas, the health of accounts, and a lane for history."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
SMALL = sa.SmallInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    for name in ("checked_at", "token_expires_at", "token_warned", "silent_since"):
        op.add_column("account", sa.Column(name, INT, nullable=True))
    op.add_column("stream", sa.Column("state", sa.Text(), nullable=True))
    op.add_column("stream", sa.Column("found", INT, nullable=False, server_default=sa.text("0")))
    for name in ("oldest_at", "done_at"):
        op.add_column("stream", sa.Column(name, INT, nullable=True))
    op.add_column("message", sa.Column("restored_at", INT, nullable=True))
    op.add_column("conversation", sa.Column("reply_window_left", INT, nullable=True))
    op.create_table(
        "gap",
        sa.Column("id", INT, nullable=False, autoincrement=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("since", INT, nullable=True),
        sa.Column("until", INT, nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("recoverable", SMALL, nullable=False, server_default=sa.text("0")),
        sa.Column("noted_at", INT, nullable=False),
        sa.Column("closed_at", INT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gap")),
        sqlite_strict=True,
    )
    op.create_index("ix_gap_account_stream_id", "gap", ["account", "stream", "id"])
    op.create_table(
        "reply",
        sa.Column("id", INT, nullable=False, autoincrement=False),
        sa.Column("message_id", INT, nullable=False),
        sa.Column("conversation_id", INT, nullable=True),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("created_at", INT, nullable=False),
        sa.Column("sent_at", INT, nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("native_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reply")),
        sa.UniqueConstraint("key", name=op.f("uq_reply_key")),
        sqlite_strict=True,
    )
    op.create_index("ix_reply_message_id", "reply", ["message_id"])
