"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
SMALL = sa.SmallInteger().with_variant(sa.Integer(), "sqlite")
FLOAT: sa.Double[float] = sa.Double().with_variant(sa.REAL(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "meta",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_meta")),
        sqlite_strict=True,
    )
    op.create_table(
        "rule_version",
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("activated_at", INT, nullable=False),
        sa.Column("sources", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_rule_version")),
        sqlite_strict=True,
    )
    op.create_table(
        "rule_file",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("saved_at", INT, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_rule_file")),
        sqlite_strict=True,
    )
    op.create_table(
        "account",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("first_poll_at", INT, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_account")),
        sqlite_strict=True,
    )
    op.create_table(
        "stream",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("next_poll_at", INT, nullable=True),
        sa.Column("paused_until", INT, nullable=True),
        sa.Column("failures", INT, nullable=False, server_default=sa.text("0")),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("last_success_at", INT, nullable=True),
        sa.Column("last_poll_at", INT, nullable=True),
        sa.PrimaryKeyConstraint("account", "name", name=op.f("pk_stream")),
        sqlite_strict=True,
    )
    op.create_table(
        "keep",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account", "key", name=op.f("pk_keep")),
        sqlite_strict=True,
    )
    op.create_table(
        "push",
        sa.Column("id", INT, nullable=False, autoincrement=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("received_at", INT, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_push")),
        sa.UniqueConstraint("account", "digest", name=op.f("uq_push_account_digest")),
        sqlite_strict=True,
    )
    op.create_index("ix_push_account_stream_id", "push", ["account", "stream", "id"])
    op.create_table(
        "dedup",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("native_key", sa.Text(), nullable=False),
        sa.Column("message_id", INT, nullable=False),
        sa.PrimaryKeyConstraint("account", "native_key", name=op.f("pk_dedup")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "message",
        sa.Column("id", INT, nullable=False, autoincrement=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("conversation_id", INT, nullable=True),
        sa.Column("contact_id", INT, nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("native_id", sa.Text(), nullable=False),
        sa.Column("author_id", sa.Text(), nullable=True),
        sa.Column("author_name", sa.Text(), nullable=True),
        sa.Column("author_handle", sa.Text(), nullable=True),
        sa.Column("author_followers", INT, nullable=True),
        sa.Column("author_verified", SMALL, nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("quoted", sa.Text(), nullable=True),
        sa.Column("lang", sa.Text(), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("sent_at", INT, nullable=True),
        sa.Column("received_at", INT, nullable=False),
        sa.Column("edited_at", INT, nullable=True),
        sa.Column("deleted_at", INT, nullable=True),
        sa.Column("root", sa.Text(), nullable=True),
        sa.Column("person", sa.Text(), nullable=True),
        sa.Column("reply_to", sa.Text(), nullable=True),
        sa.Column("attachments", sa.Text(), nullable=False),
        sa.Column("marks", sa.Text(), nullable=False),
        sa.Column("history", SMALL, nullable=False, server_default=sa.text("0")),
        sa.Column("urgency", SMALL, nullable=True),
        sa.Column("importance", SMALL, nullable=True),
        sa.Column("priority", sa.Text(), nullable=True),
        sa.Column("sentiment", sa.Text(), nullable=True),
        sa.Column("score", FLOAT, nullable=True),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("matches", sa.Text(), nullable=False),
        sa.Column("reasons", sa.Text(), nullable=False),
        sa.Column("truncated", SMALL, nullable=False, server_default=sa.text("0")),
        sa.Column("rules_version", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message")),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_message_conversation_id_id",
        "message",
        ["conversation_id", "id"],
        sqlite_where=sa.text("conversation_id IS NOT NULL"),
        postgresql_where=sa.text("conversation_id IS NOT NULL"),
    )
    op.create_index("ix_message_received_at", "message", ["received_at"])
    op.create_index(
        "ix_message_waiting_person",
        "message",
        ["account", "person"],
        sqlite_where=sa.text("conversation_id IS NULL AND person IS NOT NULL"),
        postgresql_where=sa.text("conversation_id IS NULL AND person IS NOT NULL"),
    )
    op.create_index(
        "ix_message_waiting_reply",
        "message",
        ["account", "reply_to"],
        sqlite_where=sa.text("conversation_id IS NULL AND reply_to IS NOT NULL"),
        postgresql_where=sa.text("conversation_id IS NULL AND reply_to IS NOT NULL"),
    )
    op.create_table(
        "message_raw",
        sa.Column("message_id", INT, nullable=False, autoincrement=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("stored_at", INT, nullable=False),
        sa.ForeignKeyConstraint(
            ["message_id"],
            ["message.id"],
            name=op.f("fk_message_raw_message_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_message_raw")),
        sqlite_strict=True,
    )
    op.create_table(
        "message_version",
        sa.Column("message_id", INT, nullable=False, autoincrement=False),
        sa.Column("version", INT, nullable=False, autoincrement=False),
        sa.Column("replaced_at", INT, nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("quoted", sa.Text(), nullable=True),
        sa.Column("attachments", sa.Text(), nullable=False),
        sa.Column("edited_at", INT, nullable=True),
        sa.Column("deleted_at", INT, nullable=True),
        sa.ForeignKeyConstraint(
            ["message_id"],
            ["message.id"],
            name=op.f("fk_message_version_message_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("message_id", "version", name=op.f("pk_message_version")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "contact",
        sa.Column("id", INT, nullable=False, autoincrement=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("native_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("handle", sa.Text(), nullable=True),
        sa.Column("followers", INT, nullable=True),
        sa.Column("verified", SMALL, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contact")),
        sa.UniqueConstraint("account", "native_id", name=op.f("uq_contact_account_native_id")),
        sqlite_strict=True,
    )
    op.create_table(
        "conversation",
        sa.Column("id", INT, nullable=False, autoincrement=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("root", sa.Text(), nullable=True),
        sa.Column("contact_id", INT, nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("priority", sa.Text(), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("routes", sa.Text(), nullable=False),
        sa.Column("destinations", sa.Text(), nullable=False),
        sa.Column("mentions", sa.Text(), nullable=False),
        sa.Column("aims", sa.Text(), nullable=False),
        sa.Column("opened_at", INT, nullable=False),
        sa.Column("last_inbound_at", INT, nullable=True),
        sa.Column("last_outbound_at", INT, nullable=True),
        sa.Column("resolved_at", INT, nullable=True),
        sa.Column("closed_at", INT, nullable=True),
        sa.Column("reply_window_closes_at", INT, nullable=True),
        sa.Column("version", INT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conversation")),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_conversation_account_root",
        "conversation",
        ["account", "root"],
        sqlite_where=sa.text("state != 'closed'"),
        postgresql_where=sa.text("state != 'closed'"),
    )
    op.create_index(
        "uq_conversation_account_key",
        "conversation",
        ["account", "key"],
        unique=True,
        sqlite_where=sa.text("state != 'closed'"),
        postgresql_where=sa.text("state != 'closed'"),
    )
    op.create_table(
        "clock",
        sa.Column("conversation_id", INT, nullable=False, autoincrement=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("cycle", INT, nullable=False, autoincrement=False),
        sa.Column("started_at", INT, nullable=False),
        sa.Column("due_at", INT, nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("priority", sa.Text(), nullable=False),
        sa.Column("started_by", INT, nullable=True),
        sa.Column("stopped_at", INT, nullable=True),
        sa.Column("stopped_by", INT, nullable=True),
        sa.Column("breached_at", INT, nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("business_ms", INT, nullable=True),
        sa.Column("wall_ms", INT, nullable=True),
        sa.Column("late_ingest", SMALL, nullable=False, server_default=sa.text("0")),
        sa.Column("clamped", SMALL, nullable=False, server_default=sa.text("0")),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversation.id"],
            name=op.f("fk_clock_conversation_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("conversation_id", "kind", "cycle", name=op.f("pk_clock")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_clock_running",
        "clock",
        ["due_at"],
        sqlite_where=sa.text("outcome IS NULL"),
        postgresql_where=sa.text("outcome IS NULL"),
    )
    op.create_table(
        "clock_event",
        sa.Column("conversation_id", INT, nullable=False, autoincrement=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("cycle", INT, nullable=False, autoincrement=False),
        sa.Column("seq", INT, nullable=False, autoincrement=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("at", INT, nullable=False),
        sa.Column("cause", INT, nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversation.id"],
            name=op.f("fk_clock_event_conversation_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "conversation_id", "kind", "cycle", "seq", name=op.f("pk_clock_event")
        ),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "delivery",
        sa.Column("id", INT, nullable=False, autoincrement=False),
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", INT, nullable=False),
        sa.Column("conversation_id", INT, nullable=True),
        sa.Column("message_id", INT, nullable=True),
        sa.Column("priority", sa.Text(), nullable=False),
        sa.Column("due_at", INT, nullable=False),
        sa.Column("attempts", INT, nullable=False),
        sa.Column("sent_at", INT, nullable=True),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("unsure", SMALL, nullable=False, server_default=sa.text("0")),
        sa.Column("in_flight", SMALL, nullable=False, server_default=sa.text("0")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
        sa.UniqueConstraint("key", name=op.f("uq_delivery_key")),
        sqlite_strict=True,
    )
    op.create_index("ix_delivery_conversation_id_id", "delivery", ["conversation_id", "id"])
    op.create_index(
        "ix_delivery_dead",
        "delivery",
        ["id"],
        sqlite_where=sa.text("state = 'dead'"),
        postgresql_where=sa.text("state = 'dead'"),
    )
    op.create_index(
        "ix_delivery_pending",
        "delivery",
        ["destination", "priority", "id"],
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index(
        "ix_delivery_pending_conversation",
        "delivery",
        ["destination", "conversation_id", "id"],
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_table(
        "destination",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("paused_until", INT, nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("last_success_at", INT, nullable=True),
        sa.Column("failures", INT, nullable=False, server_default=sa.text("0")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_destination")),
        sqlite_strict=True,
    )
