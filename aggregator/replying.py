"""An answer to a customer, sent through the platform: a row first, one attempt, and a look before any other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

import structlog

from aggregator.errors import Rejected, Unauthorized, Unavailable
from aggregator.intake import AccountFacts, decide
from aggregator.leases import Leases
from aggregator.model import Backfill, DeliveryState, Direction, Kind, Message, Page, ReplyWindow
from aggregator.ops import in_words
from aggregator.triage.ruleset import Ruleset
from aggregator.troubles import at_pace
from connectors.base import Replies
from storage.engine import Connection, Database
from storage.leases import Fence
from storage.polls import Conflict, commit_decision, known
from storage.replies import (
    Asked,
    Reply,
    ReplyState,
    add_reply,
    asked,
    brought,
    end_reply,
    replies_to,
)

MAX_DECISIONS = 5
OPEN = (ReplyState.SENDING, ReplyState.UNKNOWN)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Draft:
    """What a person should see before an answer goes out. `length` and `longest` by the platform's count."""

    to: Message
    account: str
    text: str
    public: bool
    length: int
    longest: int
    window: ReplyWindow | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an answer; `reason` in words for a person where it was not sent."""

    state: ReplyState
    reason: str | None = None
    native_id: str | None = None


class Replier:
    """Answers on the platforms. `connectors`: the account's connector and its backfill, by name.

    At most once: an attempt whose outcome is not known is looked up, and not made again unless `again` says so.
    """

    def __init__(
        self,
        *,
        connectors: Callable[[str], tuple[Any, Backfill]],
        db: Database,
        leases: Leases,
        rules: Callable[[], Ruleset],
        now: Callable[[], datetime],
        told: Callable[[Collection[str]], None],
    ) -> None:
        self._connectors = connectors
        self._db = db
        self._leases = leases
        self._rules = rules
        self._now = now
        self._told = told

    def draft(self, message_id: int, text: str) -> Draft:
        """The answer as it would go out. Raises Rejected with the reason where it cannot."""
        return self._draft(self._asked(message_id), text)

    def reply(self, message_id: int, text: str, by: str, *, again: bool = False) -> Outcome:
        """Send `text` as the answer to a stored message. Raises Rejected where it was not even tried.

        1. Check words, length and window. 2. Look up what is not known of earlier attempts. 3. Store a row.
        4. One attempt. 5. Store what was sent, as the stream would have brought it.
        """
        this = self._asked(message_id)
        account = this.message.account
        draft = self._draft(this, text)
        fence = self._leases.hold(f"reply:{account}")
        if fence is None:
            raise Rejected(f"another process is answering for {account} just now; try again")
        connector, _ = self._connectors(account)
        if (earlier := self._earlier(fence, connector, this, draft, again=again)) is not None:
            return earlier
        id = self._db.new_id()
        row = Reply(
            id=id,
            message_id=message_id,
            conversation_id=this.message.conversation_id,
            account=account,
            text=text,
            key=f"inboxd-{id}",
            state=ReplyState.SENDING,
            by=by,
            created_at=self._now(),
        )
        self._db.write(lambda conn: add_reply(conn, row))
        return self._attempt(fence, connector, draft, row)

    # -- before ----------------------------------------------------------------------------------

    def _asked(self, message_id: int) -> Asked:
        with self._db.read() as conn:
            this = asked(conn, message_id)
        if this is None:
            raise Rejected(f"no message {message_id}; inboxd export messages lists the ids")
        if this.message.message.direction is not Direction.INBOUND:
            raise Rejected("this is a message of our own; answer one of the customer's")
        return this

    def _draft(self, this: Asked, text: str) -> Draft:
        account = this.message.account
        connector, _ = self._connectors(account)
        if not isinstance(connector, Replies):
            raise Rejected(f"{account} cannot answer from here; answer on the platform itself")
        direct = this.message.message.kind is Kind.DIRECT_MESSAGE
        to = (this.latest if direct else this.message).message  # a window begins with the newest
        about, window = this.conversation, None
        if about is not None and (
            about.reply_window_closes_at is not None or about.reply_window_left is not None
        ):
            window = ReplyWindow(about.reply_window_closes_at, about.reply_window_left)
        to = replace(to, reply_window=window)
        if not text.strip():
            raise Rejected("an answer needs words")
        limit = connector.reply_limit(to)
        length = limit.count(text)
        if length > limit.longest:
            raise Rejected(f"too long: {length} of {limit.longest} by the platform's count")
        if window is not None:
            if window.closes_at is not None and window.closes_at <= self._now():
                raise Rejected(
                    "the platform's reply window is closed until the customer writes again"
                )
            if window.left is not None and window.left <= 0:
                raise Rejected(
                    "the platform takes no further answer until the customer writes again"
                )
        return Draft(to, account, text, not direct, length, limit.longest, window)

    def _earlier(
        self, fence: Fence, connector: Any, this: Asked, draft: Draft, *, again: bool
    ) -> Outcome | None:
        """What earlier attempts to say this came to; None where it may be said now."""
        with self._db.read() as conn:
            rows = replies_to(conn, [this.message.id], states=(*OPEN, ReplyState.SENT))
        found = None
        for row in rows:
            known_now = self._looked_up(fence, connector, draft, row) if row.state in OPEN else row
            if row.text == draft.text:
                found = known_now
        if found is None or again:
            return None
        if found.state is ReplyState.SENT:
            return Outcome(
                ReplyState.SENT, "this was sent before; nothing was sent now", found.native_id
            )
        return Outcome(
            ReplyState.UNKNOWN,
            "an earlier attempt may have arrived and was not found; look on the platform first",
        )

    def _looked_up(self, fence: Fence, connector: Any, draft: Draft, row: Reply) -> Reply:
        """As far as a stream has brought it, or the platform tells; at the platform's pace."""
        with self._db.read() as conn:
            here = brought(conn, row)
        if here is not None:
            native_id, at = here
            state = ReplyState.SENT
            self._db.write(
                lambda conn: end_reply(conn, row.id, state, native_id=native_id, sent_at=at)
            )
            return replace(row, state=state, native_id=native_id)
        find = partial(connector.find_reply, draft.to, row.text, row.key, row.created_at)
        try:
            sent: Message | None = at_pace(find, threading.Event())
        except (Unavailable, Unauthorized, Rejected) as error:
            log.warning("reply.not_looked_up", account=row.account, reason=in_words(error))
            return row
        if sent is None:
            return row
        self._keep(fence, draft, row, sent)
        return replace(row, state=ReplyState.SENT, native_id=sent.native_id)

    # -- the attempt -----------------------------------------------------------------------------

    def _attempt(self, fence: Fence, connector: Any, draft: Draft, row: Reply) -> Outcome:
        """The boundary of a send: whatever happens, the row says it."""
        try:
            sent = connector.reply(draft.to, draft.text, row.key)
        except Exception as error:
            reason = in_words(error)
            named = isinstance(error, (Unavailable, Unauthorized, Rejected))
            unsure = not named or getattr(error, "maybe_done", False)
            if not named:
                log.error("reply.failed_unexpectedly", account=row.account, exc_info=error)
            state = ReplyState.UNKNOWN if unsure else ReplyState.REFUSED
            self._db.write(lambda conn: end_reply(conn, row.id, state, reason=reason))
            if unsure:
                later = self._looked_up(fence, connector, draft, row)
                if later.state is ReplyState.SENT:
                    return Outcome(ReplyState.SENT, None, later.native_id)
            return Outcome(state, reason)
        self._keep(fence, draft, row, sent)
        return Outcome(ReplyState.SENT, None, sent.native_id)

    def _keep(self, fence: Fence, draft: Draft, row: Reply, sent: Message) -> None:
        """Store what was sent as ours, by the way of every message: clocks stop, cards are edited."""
        left = draft.window.left if draft.window is not None else None
        if sent.reply_window is None and draft.window is not None and left is not None:
            sent = replace(sent, reply_window=ReplyWindow(draft.window.closes_at, max(left - 1, 0)))
        _, backfill = self._connectors(row.account)
        for _ in range(MAX_DECISIONS):
            now = self._now()
            with self._db.read() as conn:
                before = known(conn, row.account, [sent])
            decision = decide(
                Page((sent,), None),
                before,
                account=AccountFacts(row.account, backfill),
                rules=self._rules(),
                now=now,
                new_id=self._db.new_id,
            )

            def unit(conn: Connection) -> None:
                commit_decision(conn, fence=fence, decision=decision, now=now)  # noqa: B023
                end_reply(
                    conn,
                    row.id,
                    ReplyState.SENT,
                    native_id=sent.native_id,
                    sent_at=sent.sent_at or now,  # noqa: B023
                )

            try:
                self._db.write(partial(unit))
            except Conflict:
                continue
            pending = (one for one in decision.deliveries if one.state is DeliveryState.PENDING)
            self._told({one.destination for one in pending})
            return
        raise Unavailable("its conversation kept changing while it was stored", maybe_done=True)
