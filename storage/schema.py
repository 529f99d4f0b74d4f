"""The tables, once for SQLite and PostgreSQL.

All times are epoch milliseconds UTC; ids are made by the program (storage/ids.py) and grow with time; what is
a list in the model is JSON text. Tables that are read all day are small or have partial indexes.
"""

from __future__ import annotations

from sqlalchemy import (
    REAL,
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    literal_column,
    text,
)
from sqlalchemy.schema import SchemaItem

# STRICT tables know five type names only, and an INTEGER PRIMARY KEY is the rowid itself.
INT = BigInteger().with_variant(Integer(), "sqlite")
SMALL = SmallInteger().with_variant(Integer(), "sqlite")  # 0 to 3, or 0 and 1 for a flag
FLOAT: Double[float] = Double().with_variant(REAL(), "sqlite")

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


def _table(name: str, *parts: SchemaItem, rowid: bool = True) -> Table:
    return Table(name, metadata, *parts, sqlite_strict=True, sqlite_with_rowid=rowid)


def _id(name: str = "id") -> Column[int]:
    return Column(name, INT, primary_key=True, autoincrement=False)


def _key(name: str) -> Column[str]:
    return Column(name, Text, primary_key=True)


def _text(name: str, *, null: bool = True) -> Column[str]:
    return Column(name, Text, nullable=null)


def _int(name: str, *, null: bool = True) -> Column[int]:
    return Column(name, INT, nullable=null)


def _flag(name: str) -> Column[int]:
    return Column(name, SMALL, nullable=False, server_default=text("0"))


def _part(name: str, target: str) -> Column[int]:
    """A key column of a row that goes when its owner goes."""
    return Column(
        name, INT, ForeignKey(target, ondelete="CASCADE"), primary_key=True, autoincrement=False
    )


# --- the program itself ---------------------------------------------------------------------------

meta = _table("meta", _key("key"), _text("value", null=False))

lease = _table(
    "lease",
    _key("name"),
    _text("owner", null=False),
    _int("epoch", null=False),
    _int("expires_at", null=False),  # by the clock of the database, not by the daemon's `now`
    _int("acquired_at", null=False),
)

rule_version = _table(
    "rule_version", _key("version"), _int("activated_at", null=False), _text("sources", null=False)
)
rule_file = _table(
    "rule_file", _key("name"), _text("text", null=False), _int("saved_at", null=False)
)

# --- accounts ---------------------------------------------------------------------------------------

account = _table(
    "account", _key("name"), _text("platform", null=False), _int("first_poll_at", null=False)
)

stream = _table(
    "stream",
    _key("account"),
    _key("name"),
    _text("cursor"),
    _int("next_poll_at"),
    _int("paused_until"),
    Column("failures", INT, nullable=False, server_default=text("0")),
    _text("last_error"),
    _int("last_success_at"),
    _int("last_poll_at"),
)

keep = _table("keep", _key("account"), _key("key"), _text("value", null=False))

push = _table(
    "push",
    _id(),
    _text("account", null=False),
    _text("stream", null=False),
    _int("received_at", null=False),
    Column("body", LargeBinary, nullable=False),
    _text("digest", null=False),
    UniqueConstraint("account", "digest"),
    Index("ix_push_account_stream_id", "account", "stream", "id"),
)

# --- messages ---------------------------------------------------------------------------------------

# Apart from `message`, so that messages can be partitioned or deleted without losing the key.
dedup = _table(
    "dedup", _key("account"), _key("native_key"), _int("message_id", null=False), rowid=False
)

message = _table(
    "message",
    _id(),
    _text("account", null=False),
    _text("platform", null=False),
    _int("conversation_id"),
    _int("contact_id"),
    _text("kind", null=False),
    _text("direction", null=False),
    _text("native_id", null=False),
    _text("author_id"),
    _text("author_name"),
    _text("author_handle"),
    _int("author_followers"),
    Column("author_verified", SMALL),
    _text("text"),
    _text("quoted"),
    _text("lang"),
    _text("url"),
    _int("sent_at"),
    _int("received_at", null=False),
    _int("edited_at"),
    _int("deleted_at"),
    _text("root"),
    _text("person"),
    _text("reply_to"),
    _text("attachments", null=False),
    _text("marks", null=False),
    _flag("history"),
    Column("urgency", SMALL),
    Column("importance", SMALL),
    _text("priority"),
    _text("sentiment"),
    Column("score", FLOAT),
    _text("tags", null=False),
    _text("matches", null=False),
    _text("reasons", null=False),
    _flag("truncated"),
    _text("rules_version"),
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

message_raw = _table(
    "message_raw",
    _part("message_id", "message.id"),
    Column("payload", LargeBinary, nullable=False),  # zlib
    _int("stored_at", null=False),
)

# What a message said before it was edited or withdrawn.
message_version = _table(
    "message_version",
    _part("message_id", "message.id"),
    _id("version"),
    _int("replaced_at", null=False),
    _text("text"),
    _text("quoted"),
    _text("attachments", null=False),
    _int("edited_at"),
    _int("deleted_at"),
    rowid=False,
)

contact = _table(
    "contact",
    _id(),
    _text("account", null=False),
    _text("native_id", null=False),
    _text("name"),
    _text("handle"),
    _int("followers"),
    Column("verified", SMALL),
    UniqueConstraint("account", "native_id"),
)

# --- conversations and their clocks ---------------------------------------------------------------------

conversation = _table(
    "conversation",
    _id(),
    _text("account", null=False),
    _text("platform", null=False),
    _text("kind", null=False),
    _text("key", null=False),
    _text("root"),
    _int("contact_id"),
    _text("state", null=False),
    _text("priority", null=False),
    _text("labels", null=False),
    _text("routes", null=False),
    _text("destinations", null=False),
    _text("mentions", null=False),
    _text("aims", null=False),
    _int("opened_at", null=False),
    _int("last_inbound_at"),
    _int("last_outbound_at"),
    _int("resolved_at"),
    _int("closed_at"),
    _int("reply_window_closes_at"),
    _int("version", null=False),
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
Index(
    "ix_conversation_account_root",
    conversation.c.account,
    conversation.c.root,
    sqlite_where=NOT_CLOSED,
    postgresql_where=NOT_CLOSED,
)

clock = _table(
    "clock",
    _part("conversation_id", "conversation.id"),
    _key("kind"),
    _id("cycle"),
    _int("started_at", null=False),
    _int("due_at", null=False),
    _text("policy", null=False),
    _text("priority", null=False),
    _int("started_by"),
    _int("stopped_at"),
    _int("stopped_by"),
    _int("breached_at"),
    _text("outcome"),
    _int("business_ms"),
    _int("wall_ms"),
    _flag("late_ingest"),
    _flag("clamped"),
    rowid=False,
)
RUNNING = clock.c.outcome.is_(None)
Index("ix_clock_running", clock.c.due_at, sqlite_where=RUNNING, postgresql_where=RUNNING)

clock_event = _table(
    "clock_event",
    _part("conversation_id", "conversation.id"),
    _key("kind"),
    _id("cycle"),
    _id("seq"),
    _text("event", null=False),
    _int("at", null=False),
    _int("cause"),
    _text("reason"),
    rowid=False,
)

# --- the outbox -----------------------------------------------------------------------------------------

delivery = _table(
    "delivery",
    _id(),
    _text("destination", null=False),
    _text("kind", null=False),
    _text("key", null=False),
    _text("state", null=False),
    _int("created_at", null=False),
    _int("conversation_id"),
    _int("message_id"),
    _text("priority", null=False),
    _int("due_at", null=False),
    _int("attempts", null=False),
    _int("sent_at"),
    _text("external_id"),
    _text("url"),
    _text("reason"),
    _text("text"),
    _flag("unsure"),
    _flag("in_flight"),  # a sender has it in hands, or died with it
    UniqueConstraint("key"),
    Index("ix_delivery_conversation_id_id", "conversation_id", "id"),
)
PENDING = delivery.c.state == literal_column("'pending'")
Index(
    "ix_delivery_pending",
    delivery.c.destination,
    delivery.c.priority,
    delivery.c.id,
    sqlite_where=PENDING,
    postgresql_where=PENDING,
)
Index(
    "ix_delivery_pending_conversation",
    delivery.c.destination,
    delivery.c.conversation_id,
    delivery.c.id,
    sqlite_where=PENDING,
    postgresql_where=PENDING,
)
DEAD = delivery.c.state == literal_column("'dead'")
Index("ix_delivery_dead", delivery.c.id, sqlite_where=DEAD, postgresql_where=DEAD)

destination = _table(
    "destination",
    _key("name"),
    _int("paused_until"),
    _text("last_error"),
    _int("last_success_at"),
    Column("failures", INT, nullable=False, server_default=text("0")),
)
