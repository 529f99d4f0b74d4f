"""Decide what a page of messages changes: which are new, what they mean, whose they are, who is told.

Pure: no clock, database, network or logger. The same page, known state, rules and time give the same
decision, which is what makes `try`, backtests and replays exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from aggregator.model import (
    AS_OF,
    UNDELIVERED,
    Backfill,
    Contact,
    ConversationState,
    Decision,
    Direction,
    Entry,
    Fill,
    Kind,
    Known,
    Message,
    Page,
    Seen,
    StoredMessage,
    Verdict,
    Version,
)
from aggregator.readings import as_it_is, bare, marks, newer
from aggregator.sla.waits import whole_ms
from aggregator.telling import Teller
from aggregator.threads import Draft, conversation_key, opened, over, settle, subject
from aggregator.triage.ruleset import Ruleset
from aggregator.triage.text import language


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """What deciding needs to know of the account whose page it is."""

    name: str
    backfill: Backfill


def decide(
    page: Page,
    known: Known,
    *,
    account: AccountFacts,
    rules: Ruleset,
    now: datetime,
    new_id: Callable[[], int],
) -> Decision:
    """What to store for `page`. Messages are taken in the order of their platform times.

    1. A message seen before is a repeat, or a new version of itself.
    2. A new inbound message is judged and joins or opens its conversation.
    3. A new one of ours joins the conversation it answers, or waits for it.
    4. Each conversation touched gets its priority, routes, clocks and deliveries anew.
    """
    return _Intake(known, account, rules, now, new_id).run(page.messages)


def clamped(sent_at: datetime | None, received_at: datetime) -> datetime:
    """The platform's time as clocks use it: never later than the time it was received."""
    return received_at if sent_at is None else min(sent_at, received_at)


class _Intake:
    def __init__(
        self,
        known: Known,
        account: AccountFacts,
        rules: Ruleset,
        now: datetime,
        new_id: Callable[[], int],
    ) -> None:
        self.known = known
        self.account = account
        self.rules = rules
        self.now = whole_ms(now)  # as it is stored
        self.new_id = new_id
        self.first_poll_at = known.first_poll_at or self.now
        self.drafts: dict[int, Draft] = {}
        self.open: dict[str, Draft] = {}
        for one in sorted(known.conversations, key=lambda one: one.conversation.id):
            # The store tells what came before the first poll; whether that runs no clock is the account's.
            entries = [replace(entry, history=self._quiet(entry.at)) for entry in one.entries]
            to = one.conversation.destinations
            draft = Draft(one.conversation, entries, one.clocks, to, acts=one.acts)
            self.drafts[one.conversation.id] = draft
            if one.conversation.state is not ConversationState.CLOSED:
                self.open[one.conversation.key] = draft
        self.by_native = dict(known.replied)
        self.contacts = dict(known.contacts)
        self.changed_contacts: dict[str, Contact] = {}
        self.messages: list[StoredMessage] = []
        self.verdicts: dict[str, Verdict] = {}
        self.versions: list[Version] = []
        self.fills: list[Fill] = []
        self.waiting = list(known.waiting)
        self.adopted: dict[int, int] = {}
        self.touched: dict[int, Draft] = {}
        self.repeated = 0
        self.skipped = 0

    def run(self, messages: Iterable[Message]) -> Decision:
        read: dict[str, Message] = {}
        for message in messages:
            earlier = read.get(message.key)
            self.repeated += earlier is not None
            read[message.key] = message if earlier is None else newer(earlier, message)
        for key, message in read.items():
            if (before := self.known.seen.get(key)) is not None:
                self._again(as_it_is(message, before), before, listed=AS_OF in message.marks)
        unseen = [one for key, one in read.items() if key not in self.known.seen]
        fresh = [as_it_is(one, None) for one in sorted(unseen, key=self._order)]
        self._judge_all(fresh)
        for message in fresh:
            self._take(message)
        self._attach_waiting()
        for draft in self.touched.values():
            settle(draft, rules=self.rules, now=self.now)
        tell = Teller(self.account.backfill, self.now, self.new_id).tell
        return Decision(
            messages=tuple(self.messages),
            versions=tuple(self.versions),
            fills=tuple(self.fills),
            contacts=tuple(self.changed_contacts.values()),
            conversations=tuple(draft.conversation for draft in self.touched.values()),
            clocks={id: draft.clocks for id, draft in self.touched.items()},
            deliveries=tuple(row for draft in self.touched.values() for row in tell(draft)),
            adopted=self.adopted,
            repeated=self.repeated,
            skipped=self.skipped,
        )

    def _order(self, message: Message) -> tuple[datetime, int, str]:
        native = message.native_id
        number = int(native) if native.isascii() and native.isdigit() and len(native) < 40 else 0
        return clamped(message.sent_at, self.now), number, native

    def _again(self, message: Message, before: Seen, *, listed: bool) -> None:
        """A repeat, unless it was edited, withdrawn or restored since."""
        withdrawn = (
            message.deleted_at is not None
            and before.deleted_at is None
            and (before.restored_at is None or whole_ms(message.deleted_at) > before.restored_at)
        )
        restored = (
            message.deleted_at is None
            and message.restored_at is not None
            and before.deleted_at is not None
            and whole_ms(message.restored_at) >= before.deleted_at
        )
        edited = (
            message.edited_at is not None
            and (before.deleted_at is None or restored)
            and (before.edited_at is None or whole_ms(message.edited_at) > before.edited_at)
        )
        if not withdrawn:
            self._fill(message, before, listed=listed)
        # Its end was told before its words: they are kept, and it stays withdrawn.
        late = before.deleted_at is not None and before.text is None and message.text is not None
        if not (withdrawn or edited or restored or late):
            self.repeated += 1
            return
        if late and not (edited or restored):
            message = replace(message, deleted_at=before.deleted_at)
        message = replace(message, marks=marks(before, message))
        verdict = None
        if edited and not withdrawn and before.direction is Direction.INBOUND:
            verdict = self._judge(message)
        self.versions.append(
            Version(before.message_id, message, verdict, self.rules.version if verdict else None)
        )
        draft = self.drafts.get(before.conversation_id or 0)
        if draft is None:
            return
        draft.changed = True
        self.touched[draft.conversation.id] = draft
        if verdict is not None:
            draft.verdicts.append(verdict)
            if not self._quiet(clamped(message.sent_at, self.now)):
                draft.fresh.append((clamped(message.edited_at, self.now), message))
        if withdrawn or restored:
            at = clamped(message.deleted_at, self.now) if withdrawn else None
            failed = UNDELIVERED in message.marks
            draft.entries = [
                replace(entry, withdrawn_at=at, undelivered=failed)
                if entry.message_id == before.message_id
                else entry
                for entry in draft.entries
            ]

    def _fill(self, message: Message, before: Seen, *, listed: bool) -> None:
        """What a callback did not tell, a list may: the author's name, a link, when it was first written.

        What hung on a message before an edit may be gone since, unless it is listed so now.
        """
        told = {
            "name": message.author is not None and message.author.name is not None,
            "url": message.url is not None,
            "time": message.sent_at is not None and "time.edit" not in message.marks,
            "attachments": bool(message.attachments) and (listed or before.edited_at is None),
        }
        lacked = frozenset(what for what in before.lacks if told[what])
        if not lacked:
            return
        self.fills.append(Fill(before.message_id, message, lacked))
        known_people = len(self.changed_contacts)
        self._contact(message)
        draft = self.drafts.get(before.conversation_id or 0)
        if draft is None:
            return
        if len(self.changed_contacts) > known_people:  # the card names them now
            draft.changed = True
            self.touched[draft.conversation.id] = draft
        if "time" in lacked:
            at = clamped(message.sent_at, self.now)
            self.touched[draft.conversation.id] = draft
            draft.entries = [
                replace(entry, at=at) if entry.message_id == before.message_id else entry
                for entry in draft.entries
            ]

    def _take(self, message: Message) -> None:
        at = clamped(message.sent_at or message.deleted_at, self.now)
        history = at < self.first_poll_at
        if history and self.account.backfill is Backfill.SKIP:
            self.skipped += 1
        elif bare(message) and UNDELIVERED not in message.marks:
            self.skipped += 1  # withdrawn before we ever saw it
        elif message.direction is Direction.INBOUND:
            self._take_inbound(message, at, history=history)
        else:
            self._take_outbound(message, at, history=history)

    def _take_inbound(self, message: Message, at: datetime, *, history: bool) -> None:
        verdict = self.verdicts[message.key]
        draft = self._conversation_for(message, at)
        stored = self._stored(message, draft.conversation.id, verdict, history=history)
        draft.verdicts.append(verdict)
        if not self._quiet(at):
            draft.fresh.append((at, message))
        self._add(draft, stored, at)

    def _take_outbound(self, message: Message, at: datetime, *, history: bool) -> None:
        draft = self._answered(message, at)
        if draft is not None:
            stored = self._stored(message, draft.conversation.id, None, history=history)
            self._add(draft, stored, at)
        elif message.reply_to or (message.person and message.kind is Kind.DIRECT_MESSAGE):
            stored = self._stored(message, None, None, history=history)
            self.messages.append(stored)
            self.waiting.append(stored)
        else:
            self.skipped += 1  # a post of our own opens no conversation

    def _answered(self, message: Message, at: datetime) -> Draft | None:
        """The conversation that a message of ours answers, if it is known already.

        That of the message it replies to; else the open one with that person, or the only open one under its root
        (not for an answer to what has not come yet: it waits), unless that began after we wrote.
        """
        if message.root == message.native_id:
            return None  # a post of our own: it opens the thread that others answer in
        if message.reply_to is not None:
            draft = self.drafts.get(self.by_native.get(message.reply_to, 0))
            if draft is not None:
                return draft
        if message.person is not None:
            draft = self.open.get(conversation_key(message))
        elif message.reply_to not in (None, message.root):
            draft = None
        else:
            under = [one for one in self.open.values() if one.conversation.root == message.root]
            draft = under[0] if message.root is not None and len(under) == 1 else None
        return draft if draft is not None and at >= draft.conversation.opened_at else None

    def _attach_waiting(self) -> None:
        """Ours that came before what they answer find their conversation once that is here."""
        mine = {stored.id: index for index, stored in enumerate(self.messages)}
        for stored in self.waiting:
            at = clamped(stored.message.sent_at, stored.received_at)
            draft = self._answered(stored.message, at)
            if draft is None:
                continue
            joined = replace(stored, conversation_id=draft.conversation.id)
            if stored.id in mine:
                self.messages[mine[stored.id]] = joined
            else:
                self.adopted[stored.id] = draft.conversation.id
            self._join(draft, joined, at)

    def _conversation_for(self, message: Message, at: datetime) -> Draft:
        key = conversation_key(message)
        draft = self.open.get(key)
        if draft is not None:
            if not over(draft, at):
                return draft
            draft.conversation = replace(
                draft.conversation, state=ConversationState.CLOSED, closed_at=self.now
            )
            draft.changed = True
            self.touched[draft.conversation.id] = draft
        draft = opened(
            message,
            id=self.new_id(),
            account=self.account.name,
            contact_id=self._contact(message),
            at=at,
        )
        self.drafts[draft.conversation.id] = self.open[key] = draft
        return draft

    def _judge_all(self, messages: Sequence[Message]) -> None:
        """Judged together they cost a fraction of what each alone does."""
        inbound = [one for one in messages if one.direction is Direction.INBOUND]
        verdicts = self.rules.evaluate_many([subject(one, self.account.name) for one in inbound])
        self.verdicts = {one.key: said for one, said in zip(inbound, verdicts, strict=True)}

    def _judge(self, message: Message) -> Verdict:
        return self.rules.judge(subject(message, self.account.name))

    def _quiet(self, at: datetime) -> bool:
        """Found by a backfill that is to be silent: no clocks, no routes, nobody told."""
        return at < self.first_poll_at and self.account.backfill is Backfill.SILENT

    def _stored(
        self,
        message: Message,
        conversation_id: int | None,
        verdict: Verdict | None,
        *,
        history: bool,
    ) -> StoredMessage:
        if message.lang is None and message.text:
            message = replace(message, lang=language(message.text))
        if message.sent_at is not None and message.sent_at > self.now:
            message = replace(message, marks=(*message.marks, "time.future"))
        return StoredMessage(
            id=self.new_id(),
            account=self.account.name,
            message=message,
            received_at=self.now,
            conversation_id=conversation_id,
            contact_id=self._contact(message),
            verdict=verdict,
            rules_version=self.rules.version if verdict else None,
            history=history,
        )

    def _contact(self, message: Message) -> int | None:
        """Our id for the author; what the platform tells anew replaces what it told before."""
        author = message.author
        if author is None or author.native_id is None:
            return None
        contact = self.contacts.get(author.native_id)
        if contact is None:
            contact = Contact(self.new_id(), self.account.name, author)
        else:
            told = {
                name: value
                for name in ("name", "handle", "followers", "verified")
                if (value := getattr(author, name)) is not None
            }
            merged = replace(contact.author, **told)
            if merged == contact.author:
                return contact.id
            contact = replace(contact, author=merged)
        self.contacts[author.native_id] = self.changed_contacts[author.native_id] = contact
        return contact.id

    def _add(self, draft: Draft, stored: StoredMessage, at: datetime) -> None:
        self.messages.append(stored)
        self.by_native[stored.message.native_id] = draft.conversation.id
        self._join(draft, stored, at)

    def _join(self, draft: Draft, stored: StoredMessage, at: datetime) -> None:
        self.touched[draft.conversation.id] = draft
        draft.added.append(stored)
        if stored.message.direction is Direction.INBOUND and at < draft.conversation.opened_at:
            draft.conversation = replace(draft.conversation, opened_at=at)
        gone_at = stored.message.deleted_at
        entry = Entry(
            stored.id,
            stored.message.direction,
            at,
            stored.received_at,
            withdrawn_at=None if gone_at is None else clamped(gone_at, self.now),
            history=self._quiet(at),
            undelivered=UNDELIVERED in stored.message.marks,
        )
        draft.entries.append(entry)
