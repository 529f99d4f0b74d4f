"""The tables of what is to be told, and of the places it goes to."""

from __future__ import annotations

from sqlalchemy import Column, Index, UniqueConstraint, literal_column, text

from storage.columns import INT, a_flag, a_key, a_table, a_text, an_id, an_int

delivery = a_table(
    "delivery",
    an_id(),
    a_text("destination", null=False),
    a_text("kind", null=False),
    a_text("key", null=False),
    a_text("state", null=False),
    an_int("created_at", null=False),
    an_int("conversation_id"),
    an_int("message_id"),
    a_text("priority", null=False),
    an_int("due_at", null=False),
    an_int("attempts", null=False),
    an_int("sent_at"),
    a_text("external_id"),
    a_text("url"),
    a_text("reason"),
    a_text("text"),
    a_flag("unsure"),
    a_flag("in_flight"),  # a sender has it in hands, or died with it
    a_text("held_by"),  # `quiet:night`, `silence:12`, `incident:7`
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
HELD = delivery.c.state == literal_column("'held'")
Index(
    "ix_delivery_held",
    delivery.c.destination,
    delivery.c.id,
    sqlite_where=HELD,
    postgresql_where=HELD,
)
DEAD = delivery.c.state == literal_column("'dead'")
Index("ix_delivery_dead", delivery.c.id, sqlite_where=DEAD, postgresql_where=DEAD)

destination = a_table(
    "destination",
    a_key("name"),
    an_int("paused_until"),
    a_text("last_error"),
    an_int("last_success_at"),
    Column("failures", INT, nullable=False, server_default=text("0")),
)
