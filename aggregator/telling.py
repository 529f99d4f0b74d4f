"""Who is told what of a conversation that changed: the deliveries for the outbox. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from aggregator.model import (
    Backfill,
    Conversation,
    Delivery,
    DeliveryState,
    Direction,
    NoticeKind,
    StoredMessage,
)
from aggregator.threads import Draft

COALESCE = timedelta(seconds=2)  # automatic edits of one card within this are one edit
GATHER = timedelta(seconds=30)  # what a backfill found is told in one digest
NOBODY = "nobody"  # the destination on a row that says why nobody was told


@dataclass(frozen=True, slots=True)
class Teller:
    """Makes delivery rows; every row says what to tell, never how it looks."""

    backfill: Backfill
    now: datetime
    new_id: Callable[[], int]

    def tell(self, draft: Draft) -> Iterator[Delivery]:
        """One card per conversation and destination; later messages under it, and the card edited.

        What a backfill found goes into a digest or nowhere; a conversation that nobody is told of gets
        a row with the reason.
        """
        conversation = draft.conversation
        fresh = [one for one in draft.added if not one.history]
        if draft.new and not fresh:
            yield from self._backfilled(conversation)
            return
        if not conversation.destinations:
            asked = [one for one in fresh if one.message.direction is Direction.INBOUND]
            if asked:
                names = ", ".join(conversation.routes)
                yield self._skipped(conversation, f"route {names} tells nobody", asked[-1].id)
            return
        for destination in conversation.destinations:
            if destination in draft.before:
                yield from self._update(conversation, destination, fresh, changed=draft.changed)
            elif fresh or draft.changed:
                yield from self._open(conversation, destination, fresh[1:] if draft.new else [])

    def _open(
        self, conversation: Conversation, destination: str, more: list[StoredMessage]
    ) -> Iterator[Delivery]:
        key = f"card:{conversation.id}:{destination}"
        yield self._delivery(conversation, destination, NoticeKind.CARD, key)
        for stored in more:
            yield self._message(conversation, destination, stored)

    def _update(
        self,
        conversation: Conversation,
        destination: str,
        fresh: list[StoredMessage],
        *,
        changed: bool,
    ) -> Iterator[Delivery]:
        for stored in fresh:
            yield self._message(conversation, destination, stored)
        if fresh or changed:
            yield self.card_update(conversation, destination)

    def card_update(self, conversation: Conversation, destination: str) -> Delivery:
        """The card, edited to the newest state; rendered when it is sent, so that several are one."""
        id = self.new_id()
        key = f"card:{conversation.id}:{destination}:{id}"
        row = self._delivery(conversation, destination, NoticeKind.CARD, key)
        return replace(row, id=id, due_at=self.now + COALESCE)

    def _message(
        self, conversation: Conversation, destination: str, stored: StoredMessage
    ) -> Delivery:
        key = f"message:{stored.id}:{destination}"
        row = self._delivery(conversation, destination, NoticeKind.MESSAGE, key)
        return replace(row, message_id=stored.id)

    def _backfilled(self, conversation: Conversation) -> Iterator[Delivery]:
        if self.backfill is not Backfill.ALERT:
            yield self._skipped(conversation, f"backfill: {self.backfill}", conversation.id)
            return
        for destination in conversation.destinations:
            key = f"backfill:{conversation.id}:{destination}"
            row = self._delivery(conversation, destination, NoticeKind.DIGEST, key)
            yield replace(row, due_at=self.now + GATHER)

    def _skipped(self, conversation: Conversation, reason: str, about: int) -> Delivery:
        row = self._delivery(conversation, NOBODY, NoticeKind.CARD, f"{NOBODY}:{about}")
        return replace(row, state=DeliveryState.SKIPPED, reason=reason)

    def _delivery(
        self, conversation: Conversation, destination: str, kind: NoticeKind, key: str
    ) -> Delivery:
        return Delivery(
            id=self.new_id(),
            destination=destination,
            kind=kind,
            key=key,
            state=DeliveryState.PENDING,
            created_at=self.now,
            conversation_id=conversation.id,
            priority=conversation.priority,
            due_at=self.now,
        )
