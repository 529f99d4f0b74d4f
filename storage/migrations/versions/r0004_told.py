"""What people did with conversations, silences, what is held, and when a clock is next looked at."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("conversation", sa.Column("claimed_by", sa.Text(), nullable=True))
    op.add_column("conversation", sa.Column("claimed_at", INT, nullable=True))
    op.add_column("conversation", sa.Column("window_look_at", INT, nullable=True))
    op.add_column("clock", sa.Column("look_at", INT, nullable=True))
    op.add_column("clock_event", sa.Column("by", sa.Text(), nullable=True))
    op.add_column("clock_event", sa.Column("way", sa.Text(), nullable=True))
    op.add_column("delivery", sa.Column("held_by", sa.Text(), nullable=True))
    for table, column in (("conversation", "window_look_at"), ("clock", "look_at")):
        known = sa.text(f"{column} IS NOT NULL")
        op.create_index(
            f"ix_{table}_{column}", table, [column], sqlite_where=known, postgresql_where=known
        )
    held = sa.text("state = 'held'")
    op.create_index(
        "ix_delivery_held",
        "delivery",
        ["destination", "id"],
        sqlite_where=held,
        postgresql_where=held,
    )
    op.create_table(
        "act",
        sa.Column("id", INT, nullable=False, autoincrement=False),
        sa.Column("conversation_id", INT, nullable=False),
        sa.Column("at", INT, nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("way", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=True),
        sa.Column("why", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_act")),
        sqlite_strict=True,
    )
    op.create_index("ix_act_conversation_id_id", "act", ["conversation_id", "id"])
    op.create_table(
        "silence",
        sa.Column("id", INT, nullable=False, autoincrement=False),
        sa.Column("created_at", INT, nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("matchers", sa.Text(), nullable=False),
        sa.Column("starts_at", INT, nullable=False),
        sa.Column("until", INT, nullable=True),
        sa.Column("interval", sa.Text(), nullable=True),
        sa.Column("ended_at", INT, nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_silence")),
        sqlite_strict=True,
    )
    # What runs already is looked at once: its ladder is not known here.
    op.execute("UPDATE clock SET look_at = started_at WHERE outcome IS NULL AND stopped_at IS NULL")
