"""The tables of what people do with conversations, and of what they do not want to hear of."""

from __future__ import annotations

from sqlalchemy import Index

from storage.columns import a_table, a_text, an_id, an_int

# What a person, or the daemon, did with a conversation: claimed, resolved, set to P1.
act = a_table(
    "act",
    an_id(),
    an_int("conversation_id", null=False),
    an_int("at", null=False),
    a_text("what", null=False),
    a_text("by", null=False),
    a_text("way", null=False),
    a_text("value"),
    a_text("why"),
    Index("ix_act_conversation_id_id", "conversation_id", "id"),
)

# `matchers` is JSON; `interval` names one of targets.yaml, in which it holds again and again.
silence = a_table(
    "silence",
    an_id(),
    an_int("created_at", null=False),
    a_text("by", null=False),
    a_text("why", null=False),
    a_text("matchers", null=False),
    an_int("starts_at", null=False),
    an_int("until"),
    a_text("interval"),
    an_int("ended_at"),
    a_text("ended_by"),
)
