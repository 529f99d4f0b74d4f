"""A conversation while a page is decided on: its messages, state, routes and clocks. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from aggregator.model import (
    Act,
    Aim,
    Clock,
    Conversation,
    ConversationState,
    Direction,
    Entry,
    Kind,
    Message,
    Priority,
    StoredMessage,
    Verdict,
)
from aggregator.sla.clock import clocks
from aggregator.sla.ladder import planned, watched
from aggregator.sla.standing import standing
from aggregator.triage.ruleset import Ruleset, Subject
from aggregator.triage.text import language

REOPEN_FOR = timedelta(hours=72)
IDLE_FOR = {"public": timedelta(days=7), "direct": timedelta(days=30)}


@dataclass(slots=True)
class Draft:
    """`before`: the destinations it had; `added`: messages new to it; `fresh`: verdicts that may route it."""

    conversation: Conversation
    entries: list[Entry]
    clocks: tuple[Clock, ...]
    before: tuple[str, ...] = ()
    added: list[StoredMessage] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    fresh: list[tuple[datetime, Message]] = field(default_factory=list)
    changed: bool = False
    acts: tuple[Act, ...] = ()

    @property
    def new(self) -> bool:
        return self.conversation.version == 0


def conversation_key(message: Message) -> str:
    """(account, person) for direct messages, (account, root post, person) for public ones."""
    person = message.person or f"?{message.native_id}"  # nobody known: a conversation of its own
    if message.kind is Kind.DIRECT_MESSAGE:
        return f"d:{person}"
    return f"p:{message.root or message.native_id}:{person}"


def opened(
    message: Message, *, id: int, account: str, contact_id: int | None, at: datetime
) -> Draft:
    """A new conversation that `message` opens."""
    key = conversation_key(message)
    direct = message.kind is Kind.DIRECT_MESSAGE
    conversation = Conversation(
        id=id,
        account=account,
        platform=message.platform,
        kind="direct" if direct else "public",
        key=key,
        root=None if direct else message.root or message.native_id,
        contact_id=contact_id,
        state=ConversationState.OPEN,
        priority=Priority.P4,
        labels=(),
        routes=(),
        destinations=(),
        mentions=(),
        aims=(),
        opened_at=at,
        last_inbound_at=None,
        last_outbound_at=None,
    )
    return Draft(conversation, [], ())


def over(draft: Draft, at: datetime) -> bool:
    """Whether a message at `at` starts anew instead of joining (semantics.md, "Conversations").

    Judged on every message so far, those of this page included: how a platform cuts its pages means nothing.
    """
    conversation = draft.conversation
    last = max((entry.at for entry in draft.entries), default=conversation.opened_at)
    if (settled_at := _settled_at(draft)) is not None:
        return at - settled_at >= REOPEN_FOR
    if conversation.state is ConversationState.RESOLVED and not _wrote(draft):
        return at - (conversation.resolved_at or last) >= REOPEN_FOR
    return at - last >= IDLE_FOR[conversation.kind]


def settle(
    draft: Draft, *, rules: Ruleset, now: datetime, before: Conversation | None = None
) -> None:
    """Give the conversation its times, priority, labels, state, routes and clocks anew.

    Its priority is the highest of its messages, its labels the union. Routes are judged on that, with
    the latest message; destinations are added, never taken away. `before`: as it was, where somebody's act has
    changed it already.
    """
    conversation = draft.conversation
    before = before or conversation
    inbound = [entry.at for entry in draft.entries if entry.direction is Direction.INBOUND]
    outbound = [
        entry.at
        for entry in draft.entries
        if entry.direction is Direction.OUTBOUND and not entry.undelivered
    ]
    conversation = replace(
        _windowed(conversation, draft.added),
        last_inbound_at=max(inbound, default=None),
        last_outbound_at=max(outbound, default=None),
        priority=min([conversation.priority, *(one.priority for one in draft.verdicts)]),
        labels=_union(conversation.labels, (tag for one in draft.verdicts for tag in one.tags)),
    )
    if conversation.state is not ConversationState.CLOSED:
        conversation = _state(conversation, draft)
    # One that opened and was closed on the same page is routed too: what is in it was told to nobody yet.
    conversation = _route(conversation, draft, rules, now)
    found = clocks(
        draft.entries,
        conversation.aims,
        rules.targets,
        version=rules.version,
        now=now,
        stored=draft.clocks,
        resolved_at=conversation.resolved_at,
        closed_at=conversation.closed_at,
        acts=draft.acts,
    )
    # What a backfill found is told in a digest: what was due before we came is nobody's alarm.
    silent = {one.id for one in draft.added if one.history}
    draft.clocks = planned(found, draft.clocks, rules.targets, now, silent=silent)
    draft.conversation = watched(
        conversation,
        None if draft.new else before,
        draft.clocks,
        rules.targets,
        now,
        silent=bool(silent) and len(silent) == len(draft.added),
    )


def _windowed(conversation: Conversation, added: Iterable[StoredMessage]) -> Conversation:
    """With the platform's reply window as the latest message that brings one tells it."""
    told = [
        (one.message.sent_at or one.received_at, number, one.message.reply_window)
        for number, one in enumerate(added)
        if one.message.reply_window is not None
    ]
    if not told:
        return conversation
    at, _, window = max(told, key=lambda one: one[:2])
    latest = conversation.last_inbound_at
    if latest is not None and at < latest and conversation.reply_window_closes_at is not None:
        return conversation  # came late: what is known is newer
    return replace(
        conversation, reply_window_closes_at=window.closes_at, reply_window_left=window.left
    )


def _state(conversation: Conversation, draft: Draft) -> Conversation:
    last_in, last_out = conversation.last_inbound_at, conversation.last_outbound_at
    if (settled_at := _settled_at(draft)) is not None:
        return replace(conversation, state=ConversationState.RESOLVED, resolved_at=settled_at)
    stands = standing(draft.acts, draft.entries)
    if stands.state is not None:
        resolved = stands.state is ConversationState.RESOLVED
        at = stands.since if resolved else None
        return replace(conversation, state=stands.state, resolved_at=at)
    if conversation.state is ConversationState.RESOLVED and not _wrote(draft):
        return conversation
    answered = last_out is not None and (last_in is None or last_out >= last_in)
    state = ConversationState.WAITING if answered else ConversationState.OPEN
    return replace(conversation, state=state, resolved_at=None)


def _settled_at(draft: Draft) -> datetime | None:
    """What came before us is nobody's task: it counts as settled until the customer writes again."""
    asked = [entry for entry in draft.entries if entry.direction is Direction.INBOUND]
    if not asked or not all(entry.history for entry in asked):
        return None
    return max(entry.at for entry in draft.entries if entry.history)


def _wrote(draft: Draft) -> bool:
    """Whether the customer has written on this page."""
    return any(one.message.direction is Direction.INBOUND for one in draft.added)


def _route(conversation: Conversation, draft: Draft, rules: Ruleset, now: datetime) -> Conversation:
    if not draft.fresh:
        return conversation
    _, latest = max(draft.fresh, key=lambda one: one[0])
    routes = rules.route(
        subject(latest, conversation.account),
        priority=conversation.priority,
        labels=conversation.labels,
    )
    target = next((route.target for route in routes if route.target), None)
    aims = conversation.aims
    if not aims:
        aims = (Aim(conversation.opened_at, target, conversation.priority),)
    else:
        last = replace(aims[-1], target=target or aims[-1].target, priority=conversation.priority)
        if last != aims[-1]:
            aims = (*aims, replace(last, at=now))
    return replace(
        conversation,
        routes=_union(conversation.routes, (route.id for route in routes)),
        destinations=_union(conversation.destinations, (to for one in routes for to in one.to)),
        mentions=_union(conversation.mentions, (who for one in routes for who in one.mention)),
        aims=aims,
    )


def subject(message: Message, account: str) -> Subject:
    """What triage judges of a message."""
    return Subject(
        text=message.text,
        quoted=message.quoted,
        platform=message.platform,
        kind=message.kind,
        account=account,
        lang=message.lang or (language(message.text) if message.text else None),
        author=message.author,
        sent_at=message.sent_at,
    )


def _union(before: tuple[str, ...], more: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*before, *more]))
