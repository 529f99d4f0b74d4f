"""What a delivery says at the moment of its sending: the newest state of what it tells of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from aggregator.model import Delivery, Notice, NoticeKind, Rung
from aggregator.triage.ruleset import Ruleset
from storage.engine import Database
from storage.outbox import load_card, load_said, receipt

DIGEST_LINES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Notices:
    """The notices of one destination."""

    destination: str
    language: str
    timezone: str
    db: Database
    rules: Callable[[], Ruleset]
    now: Callable[[], datetime]

    def of(self, delivery: Delivery, along: Sequence[Delivery] = ()) -> Notice:
        """`along`: digests that are told in the same notice.

        Raises LookupError where what it tells of is there no more.
        """
        notice = Notice(
            key=delivery.key,
            kind=delivery.kind,
            language=self.language,
            timezone=self.timezone,
            now=self.now(),
            text=delivery.text,
            since=delivery.created_at,
        )
        if delivery.kind in (NoticeKind.WARNING, NoticeKind.ESCALATION) and delivery.text:
            notice = replace(notice, text=None, rung=Rung.of_json(delivery.text))
        if delivery.conversation_id is None:
            return notice
        said = None
        with self.db.read() as conn:
            if delivery.kind is NoticeKind.DIGEST:
                rows = [delivery, *along]
                ids = [row.conversation_id for row in rows if row.conversation_id is not None]
                told = tuple(load_card(conn, id)[0] for id in ids[:DIGEST_LINES])
                return replace(notice, digest=told, count=len(ids))
            card, evidence = load_card(conn, delivery.conversation_id)
            earlier = receipt(conn, self.destination, delivery.conversation_id)
            if delivery.message_id is not None:
                said = load_said(conn, delivery.message_id)
                if said is None:
                    raise LookupError(f"no message {delivery.message_id}")
        matches = [match for found in evidence for match in found]
        return replace(
            notice,
            card=replace(card, why=self.rules().why(matches, language=self.language)),
            message=said,
            earlier=earlier,
            mentions=card.conversation.mentions if earlier is None else (),
        )
