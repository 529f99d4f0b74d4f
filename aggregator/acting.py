"""What a person does with a conversation: written down as an act, and everything that follows from it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from aggregator.errors import Rejected
from aggregator.intake import clamped
from aggregator.model import (
    Act,
    Backfill,
    Conversation,
    ConversationState,
    Decision,
    Delivery,
    DeliveryState,
    KnownConversation,
    NoticeKind,
    Priority,
    StoredMessage,
)
from aggregator.sla.waits import whole_ms
from aggregator.telling import Teller
from aggregator.threads import Draft, settle
from aggregator.triage.ruleset import Ruleset
from storage.conversations import conversation_known, latest_inbound
from storage.engine import Connection, Database
from storage.polls import Conflict, commit_decision

MAX_DECISIONS = 5


class What(StrEnum):
    """What may be done, as the act is written."""

    CLAIM = "claimed"
    RELEASE = "released"
    RESOLVE = "resolved"
    WAIT = "waiting"
    NO_ANSWER = "not_needed"
    CLOSE = "closed"
    REOPEN = "reopened"
    PRIORITY = "priority"


@dataclass(frozen=True, slots=True)
class Asked:
    """`by`: who does it; `way`: command, slack, ticket …; `priority`: of What.PRIORITY only."""

    what: What
    by: str
    way: str
    priority: Priority | None = None
    why: str | None = None


def act_on(
    conversation_id: int,
    asked: Asked,
    *,
    db: Database,
    rules: Callable[[], Ruleset],
    backfill: Callable[[str], Backfill],
    now: Callable[[], datetime],
    told: Callable[[Collection[str]], None],
) -> Conversation:
    """Write the act, decide the conversation anew and tell its cards, in one transaction. Returns it as it is then.

    It shows at once. Where a page came in between, it is decided again. `backfill`: by the account's name.
    Raises Rejected where the act makes no sense as the conversation stands.
    """
    for _ in range(MAX_DECISIONS):
        with db.read() as conn:
            known = conversation_known(conn, conversation_id)
            latest = latest_inbound(conn, conversation_id)
        if known is None:
            raise Rejected(
                f"no conversation {conversation_id}; inboxd export conversations lists the ids"
            )
        at = whole_ms(now())
        act = Act(
            id=db.new_id(),
            conversation_id=conversation_id,
            at=at,
            what=asked.what,
            by=asked.by,
            way=asked.way,
            value=asked.priority,
            why=asked.why,
        )
        decision = decided(
            known,
            act,
            latest=latest,
            rules=rules(),
            backfill=backfill(known.conversation.account),
            new_id=db.new_id,
        )

        def unit(conn: Connection, decision: Decision = decision, at: datetime = at) -> None:
            commit_decision(conn, fence=None, decision=decision, now=at)

        try:
            db.write(unit)
        except Conflict as conflict:
            if asked.what is What.REOPEN and known.conversation.state is ConversationState.CLOSED:
                raise Rejected(
                    "the customer has begun another conversation; go on there"
                ) from conflict
            continue
        told({row.destination for row in decision.deliveries})
        return decision.conversations[0]
    raise Rejected(f"conversation {conversation_id} is changing all the time; try again")


def decided(
    known: KnownConversation,
    act: Act,
    *,
    latest: StoredMessage | None,
    rules: Ruleset,
    backfill: Backfill,
    new_id: Callable[[], int],
) -> Decision:
    """What an act changes. Pure. Raises Rejected where it makes no sense."""
    before = known.conversation
    _refuse(before, act)
    draft = Draft(
        _changed(before, act),
        [
            replace(one, history=one.history and backfill is not Backfill.ALERT)
            for one in known.entries
        ],
        known.clocks,
        before.destinations,
        changed=True,
        acts=(*known.acts, act),
    )
    if act.what == What.PRIORITY and latest is not None:
        # Who is told and what is owed are judged on it, with the customer's last message.
        at = clamped(latest.message.sent_at, latest.received_at)
        draft.fresh.append((at, latest.message))
    settle(draft, rules=rules, now=act.at, before=before)
    rows = Teller(backfill, act.at, new_id).tell(draft)
    return Decision(
        conversations=(draft.conversation,),
        clocks={before.id: draft.clocks},
        deliveries=tuple(_at_once(row, act.at) for row in rows),
        acts=(act,),
    )


def _refuse(about: Conversation, act: Act) -> None:
    state, what = about.state, act.what
    over = state in (ConversationState.RESOLVED, ConversationState.CLOSED)
    if what == What.REOPEN and state is ConversationState.OPEN:
        raise Rejected("it is open already")
    if state is ConversationState.CLOSED and what != What.REOPEN:
        raise Rejected("it is closed; reopen it first")
    if what in (What.RESOLVE, What.NO_ANSWER) and over:
        raise Rejected(f"it is {state} already")
    if what == What.WAIT and state is ConversationState.WAITING:
        raise Rejected("we wait for the customer already")
    if what == What.RELEASE and about.claimed_by is None:
        raise Rejected("nobody has claimed it")
    if what == What.CLAIM and about.claimed_by == act.by:
        raise Rejected(f"{act.by} has claimed it already")
    if what == What.PRIORITY and act.value == about.priority:
        raise Rejected(f"it is {about.priority} already")


def _changed(about: Conversation, act: Act) -> Conversation:
    """What the act itself sets; the state follows from all acts and messages."""
    if act.what == What.CLAIM:
        return replace(about, claimed_by=act.by, claimed_at=act.at)
    if act.what == What.RELEASE:
        return replace(about, claimed_by=None, claimed_at=None)
    if act.what == What.CLOSE:
        return replace(about, state=ConversationState.CLOSED, closed_at=act.at)
    if act.what == What.REOPEN:
        return replace(about, state=ConversationState.OPEN, closed_at=None, resolved_at=None)
    if act.what == What.PRIORITY and act.value is not None:
        return replace(about, priority=Priority(act.value))
    return about


def _at_once(row: Delivery, now: datetime) -> Delivery:
    """A person's act shows at once: its edits wait for no others."""
    if row.kind is NoticeKind.CARD and row.state is DeliveryState.PENDING:
        return replace(row, due_at=now)
    return row
