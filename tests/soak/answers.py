"""The daemon's own answers on a soaked day: by the way of `inboxd reply`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from aggregator.errors import Rejected
from aggregator.replying import Outcome, Replier
from storage.schema import message
from tests.fakes import RULES
from tests.soak.stage import Inbox


def answer(inbox: Inbox, native_id: str, text: str) -> Outcome | Rejected | None:
    """What became of it; Rejected where it was not even tried, None where the message is not stored yet."""
    with inbox.db.read() as conn:
        id = conn.execute(select(message.c.id).where(message.c.native_id == native_id)).scalar()
    if id is None:
        return None
    replier = Replier(
        connectors=lambda _: (inbox.connector, inbox.account.backfill),
        db=inbox.db,
        leases=inbox.leases,
        rules=lambda: RULES,
        now=inbox.now,
        told=_nobody,
    )
    try:
        return replier.reply(id, text, "小林")
    except Rejected as error:
        return error


def _nobody(names: Any) -> None:
    """The cards of a soaked day are told to nobody."""
