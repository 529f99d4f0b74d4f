"""The table of what people corrected of verdicts. A verdict itself stays as it was made."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index

from storage.columns import INT, a_table, a_text, an_id, an_int

# What a correction does not name is null, or an empty JSON list: it says nothing of that.
correction = a_table(
    "correction",
    an_id(),
    Column("message_id", INT, ForeignKey("message.id", ondelete="CASCADE"), nullable=False),
    an_int("corrected_at", null=False),
    a_text("corrected_by", null=False),
    a_text("why"),
    a_text("priority"),
    a_text("sentiment"),
    a_text("added", null=False),
    a_text("removed", null=False),
    Index("ix_correction_message_id_id", "message_id", "id"),
)
