"""The tables in which the daemon keeps what it knows of itself: checks of accounts, troubles told."""

from __future__ import annotations

from sqlalchemy import Column, text

from storage.columns import INT, a_flag, a_key, a_table, a_text, an_int

# What an account's last check said. `streams` and `quotas` are JSON; a check that failed leaves the rest.
checkup = a_table(
    "checkup",
    a_key("account"),
    an_int("checked_at"),  # the last one that was answered
    an_int("tried_at"),  # the last one at all
    a_text("native_id"),
    a_text("name"),
    a_text("streams", null=False),
    a_text("note"),
    a_text("error"),  # why the last one was not answered; null: it was
    a_text("quotas", null=False),
    an_int("quotas_at"),
)

# What a person was told to mend. `open`: and not yet that it is over.
trouble = a_table(
    "trouble",
    a_key("key"),
    a_flag("open"),
    Column("told_at", INT, nullable=False, server_default=text("0")),
    a_text("text", null=False),
)
