"""The tables, once for SQLite and PostgreSQL.

All times are epoch milliseconds UTC; ids are made by the program (storage/ids.py) and grow with time; what is
a list in the model is JSON text. Tables that are read all day are small or have partial indexes.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, LargeBinary, UniqueConstraint, literal_column, text

from storage.columns import (
    FLOAT,
    INT,
    SMALL,
    a_flag,
    a_key,
    a_part,
    a_table,
    a_text,
    an_id,
    an_int,
    metadata,
)
from storage.schema_corrections import correction
from storage.schema_outbox import DEAD, HELD, PENDING, delivery, destination
from storage.schema_rollup import rollup
from storage.schema_told import act, silence
from storage.schema_watch import checkup, trouble

__all__ = [
    "DEAD",
    "HELD",
    "PENDING",
    "act",
    "checkup",
    "correction",
    "delivery",
    "destination",
    "metadata",
    "rollup",
    "silence",
    "trouble",
]

BACKFILL = "#backfill"  # what the name of a stream's lane of history ends in

# --- the program itself ---------------------------------------------------------------------------

meta = a_table("meta", a_key("key"), a_text("value", null=False))

lease = a_table(
    "lease",
    a_key("name"),
    a_text("owner", null=False),
    an_int("epoch", null=False),
    an_int("expires_at", null=False),  # by the clock of the database, not by the daemon's `now`
    an_int("acquired_at", null=False),
)

rule_version = a_table(
    "rule_version",
    a_key("version"),
    an_int("activated_at", null=False),
    a_text("sources", null=False),
)
rule_file = a_table(
    "rule_file", a_key("name"), a_text("text", null=False), an_int("saved_at", null=False)
)

# --- accounts ---------------------------------------------------------------------------------------

account = a_table(
    "account",
    a_key("name"),
    a_text("platform", null=False),
    an_int("first_poll_at", null=False),
    an_int("checked_at"),  # when the platform was last asked who we are
    an_int("token_expires_at"),
    an_int("token_warned"),  # the fewest days left that were warned of; null: none yet
    an_int("silent_since"),  # the last inbound message before a silence that was told
)

stream = a_table(
    "stream",
    a_key("account"),
    a_key("name"),
    a_text("cursor"),
    an_int("next_poll_at"),
    an_int("paused_until"),
    Column("failures", INT, nullable=False, server_default=text("0")),
    a_text("last_error"),
    an_int("last_success_at"),
    an_int("last_poll_at"),
    a_text("state"),  # ok, denied, quota, auth or unavailable: what the last attempt said
    # Of a lane that reads history only (its name ends in #backfill):
    Column("found", INT, nullable=False, server_default=text("0")),
    an_int("oldest_at"),
    an_int("done_at"),
)

# A stretch of a stream that was not read.
gap = a_table(
    "gap",
    an_id(),
    a_text("account", null=False),
    a_text("stream", null=False),
    an_int("since"),
    an_int("until"),
    a_text("reason", null=False),
    a_flag("recoverable"),
    an_int("noted_at", null=False),
    an_int("closed_at"),
    Index("ix_gap_account_stream_id", "account", "stream", "id"),
)

keep = a_table("keep", a_key("account"), a_key("key"), a_text("value", null=False))

push = a_table(
    "push",
    an_id(),
    a_text("account", null=False),
    a_text("stream", null=False),
    an_int("received_at", null=False),
    Column("body", LargeBinary, nullable=False),
    a_text("digest", null=False),
    UniqueConstraint("account", "digest"),
    Index("ix_push_account_stream_id", "account", "stream", "id"),
)

# --- messages ---------------------------------------------------------------------------------------

# Apart from `message`, so that messages can be partitioned or deleted without losing the key.
dedup = a_table(
    "dedup", a_key("account"), a_key("native_key"), an_int("message_id", null=False), rowid=False
)

message = a_table(
    "message",
    an_id(),
    a_text("account", null=False),
    a_text("platform", null=False),
    an_int("conversation_id"),
    an_int("contact_id"),
    a_text("kind", null=False),
    a_text("direction", null=False),
    a_text("native_id", null=False),
    a_text("author_id"),
    a_text("author_name"),
    a_text("author_handle"),
    an_int("author_followers"),
    Column("author_verified", SMALL),
    a_text("text"),
    a_text("quoted"),
    a_text("lang"),
    a_text("url"),
    an_int("sent_at"),
    an_int("received_at", null=False),
    an_int("edited_at"),
    an_int("deleted_at"),
    a_text("root"),
    a_text("person"),
    a_text("reply_to"),
    a_text("attachments", null=False),
    a_text("marks", null=False),
    a_flag("history"),
    Column("urgency", SMALL),
    Column("importance", SMALL),
    a_text("priority"),
    a_text("sentiment"),
    Column("score", FLOAT),
    a_text("tags", null=False),
    a_text("matches", null=False),
    a_text("reasons", null=False),
    a_flag("truncated"),
    a_text("rules_version"),
    an_int("restored_at"),  # when a deletion was last taken back
    Index("ix_message_received_at", "received_at"),
)
_IN_CONVERSATION = message.c.conversation_id.is_not(None)
Index(
    "ix_message_conversation_id_id",
    message.c.conversation_id,
    message.c.id,
    # Without those that wait: SQLite would look for them here instead of in the small indexes below.
    sqlite_where=_IN_CONVERSATION,
    postgresql_where=_IN_CONVERSATION,
)
# Our own messages that wait for what they answer; a brand's plain posts have neither and stay out.
_WAITING = message.c.conversation_id.is_(None)
Index(
    "ix_message_waiting_reply",
    message.c.account,
    message.c.reply_to,
    sqlite_where=_WAITING & message.c.reply_to.is_not(None),
    postgresql_where=_WAITING & message.c.reply_to.is_not(None),
)
Index(
    "ix_message_waiting_person",
    message.c.account,
    message.c.person,
    sqlite_where=_WAITING & message.c.person.is_not(None),
    postgresql_where=_WAITING & message.c.person.is_not(None),
)

message_raw = a_table(
    "message_raw",
    a_part("message_id", "message.id"),
    Column("payload", LargeBinary, nullable=False),  # zlib
    an_int("stored_at", null=False),
)

# What a message said before it was edited or withdrawn.
message_version = a_table(
    "message_version",
    a_part("message_id", "message.id"),
    an_id("version"),
    an_int("replaced_at", null=False),
    a_text("text"),
    a_text("quoted"),
    a_text("attachments", null=False),
    an_int("edited_at"),
    an_int("deleted_at"),
    rowid=False,
)

contact = a_table(
    "contact",
    an_id(),
    a_text("account", null=False),
    a_text("native_id", null=False),
    a_text("name"),
    a_text("handle"),
    an_int("followers"),
    Column("verified", SMALL),
    UniqueConstraint("account", "native_id"),
)

# --- conversations and their clocks ---------------------------------------------------------------------

conversation = a_table(
    "conversation",
    an_id(),
    a_text("account", null=False),
    a_text("platform", null=False),
    a_text("kind", null=False),
    a_text("key", null=False),
    a_text("root"),
    an_int("contact_id"),
    a_text("state", null=False),
    a_text("priority", null=False),
    a_text("labels", null=False),
    a_text("routes", null=False),
    a_text("destinations", null=False),
    a_text("mentions", null=False),
    a_text("aims", null=False),
    an_int("opened_at", null=False),
    an_int("last_inbound_at"),
    an_int("last_outbound_at"),
    an_int("resolved_at"),
    an_int("closed_at"),
    an_int("reply_window_closes_at"),
    an_int("version", null=False),
    an_int("reply_window_left"),
    a_text("claimed_by"),
    an_int("claimed_at"),
    an_int("window_look_at"),  # when the reply window is next looked at; null: nothing to warn of
)
# Conditions of partial indexes: SQLite uses them only where a statement has the very words.
NOT_CLOSED = conversation.c.state != literal_column("'closed'")
Index(
    "uq_conversation_account_key",
    conversation.c.account,
    conversation.c.key,
    unique=True,
    sqlite_where=NOT_CLOSED,
    postgresql_where=NOT_CLOSED,
)
WINDOW_LOOKED_AT = conversation.c.window_look_at.is_not(None)
Index(
    "ix_conversation_window_look_at",
    conversation.c.window_look_at,
    sqlite_where=WINDOW_LOOKED_AT,
    postgresql_where=WINDOW_LOOKED_AT,
)
Index(
    "ix_conversation_account_root",
    conversation.c.account,
    conversation.c.root,
    sqlite_where=NOT_CLOSED,
    postgresql_where=NOT_CLOSED,
)

clock = a_table(
    "clock",
    a_part("conversation_id", "conversation.id"),
    a_key("kind"),
    an_id("cycle"),
    an_int("started_at", null=False),
    an_int("due_at", null=False),
    a_text("policy", null=False),
    a_text("priority", null=False),
    an_int("started_by"),
    an_int("stopped_at"),
    an_int("stopped_by"),
    an_int("breached_at"),
    a_text("outcome"),
    an_int("business_ms"),
    an_int("wall_ms"),
    a_flag("late_ingest"),
    a_flag("clamped"),
    an_int("look_at"),  # when the next rung of its ladder may be due; null: none is left
    rowid=False,
)
RUNNING = clock.c.outcome.is_(None)
Index("ix_clock_running", clock.c.due_at, sqlite_where=RUNNING, postgresql_where=RUNNING)
LOOKED_AT = clock.c.look_at.is_not(None)
Index("ix_clock_look_at", clock.c.look_at, sqlite_where=LOOKED_AT, postgresql_where=LOOKED_AT)

clock_event = a_table(
    "clock_event",
    a_part("conversation_id", "conversation.id"),
    a_key("kind"),
    an_id("cycle"),
    an_id("seq"),
    a_text("event", null=False),
    an_int("at", null=False),
    an_int("cause"),
    a_text("reason"),
    a_text("by"),
    a_text("way"),
    rowid=False,
)

# What a person answered through us: stored before the platform is asked, once.
reply = a_table(
    "reply",
    an_id(),
    an_int("message_id", null=False),
    an_int("conversation_id"),
    a_text("account", null=False),
    a_text("text", null=False),
    a_text("key", null=False),
    a_text("state", null=False),
    a_text("by", null=False),
    an_int("created_at", null=False),
    an_int("sent_at"),
    a_text("reason"),
    a_text("native_id"),
    UniqueConstraint("key"),
    Index("ix_reply_message_id", "message_id"),
    Index("ix_reply_conversation_id", "conversation_id"),
)
