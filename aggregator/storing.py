"""Store what was read of one account: decide on it and commit it, again where others changed it meanwhile."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

import structlog

from aggregator.errors import Unavailable
from aggregator.intake import AccountFacts, decide
from aggregator.model import Attachment, Decision, Delivery, Direction, Gap, Kind, Message, Page
from aggregator.triage.ruleset import Ruleset
from storage.engine import Database
from storage.leases import Fence, LeaseLost
from storage.polls import Conflict, Reach, commit_poll, known

MAX_DECISIONS = 5  # a page that others keep changing under us is put off, not fought over
UNREADABLE = (Attachment("unknown", title="unreadable"),)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Storing:
    """`stored` is called after each commit, with the stream, what was decided, and the gaps noted.

    `gap_notice` makes the row that tells of a gap of a stream, if anybody is to be told, or with `closed` of its end.
    """

    account: AccountFacts
    db: Database
    rules: Callable[[], Ruleset]
    now: Callable[[], datetime]
    stored: Callable[[str, Decision, tuple[Gap, ...]], None]
    gap_notice: Callable[..., Delivery | None]

    def store(
        self,
        fence: Fence,
        stream: str,
        page: Page,
        *,
        next_poll_at: datetime | None,
        drained: Collection[int] = (),
        reach: Callable[[Decision], Reach] | None = None,
    ) -> None:
        """One transaction: the messages, what they change, the gaps, and the cursor.

        `reach` says how far a lane of history has come with a decision. Raises LeaseLost, and Unavailable where nothing was stored or nothing is known of it.
        """
        for _ in range(MAX_DECISIONS):
            now = self.now()
            with self.db.read() as conn:
                before = known(conn, self.account.name, page.messages)
            decision = decide(
                page,
                before,
                account=self.account,
                rules=self.rules(),
                now=now,
                new_id=self.db.new_id,
            )
            try:
                noted = self.db.write(
                    partial(
                        commit_poll,
                        fence=fence,
                        account=self.account.name,
                        stream=stream,
                        page_cursor=page.cursor,
                        decision=decision,
                        now=now,
                        drained=tuple(drained),
                        next_poll_at=next_poll_at,
                        gaps=page.gaps,
                        new_id=self.db.new_id,
                        gap_notice=partial(self.gap_notice, stream),
                        read=reach(decision) if reach is not None else None,
                        covers=page.covers,
                        closed_notice=partial(self.gap_notice, stream, closed=True),
                    )
                )
            except Conflict:
                continue
            self.stored(stream, decision, noted)
            return
        raise Unavailable("its conversations kept changing while it was decided on")

    def store_singly(
        self,
        fence: Fence,
        stream: str,
        page: Page,
        *,
        cursor: str | None,
        next_poll_at: datetime | None,
        drained: Collection[int] = (),
        reach: Callable[[Decision], Reach] | None = None,
    ) -> int:
        """For a page that a defect of ours keeps out: its messages one by one, then its cursor.

        A message that cannot be stored is kept without anything but its id and its raw payload. Returns how
        many those are. `cursor` is the one before the page; it stays until all of it is in. Raises as
        `store` does, and whatever it is that is wrong with more than the messages.
        """
        aside = 0
        for message in page.messages:
            one = partial(self.store, fence, stream, next_poll_at=next_poll_at)
            try:
                one(Page((message,), cursor))
            except (LeaseLost, Unavailable):
                raise
            except Exception as error:
                log.error("message.set_aside", account=self.account.name, exc_info=error)
                one(Page((bare(message),), cursor))
                aside += 1
        rest = replace(page, messages=())
        self.store(fence, stream, rest, next_poll_at=next_poll_at, drained=drained, reach=reach)
        return aside


def bare(message: Message) -> Message:
    """What is left where a message cannot be stored as it was read: that it came, and the raw payload."""
    return Message(
        native_id=message.native_id,
        platform=message.platform,
        kind=message.kind,
        direction=message.direction,
        author=None,
        text=None,
        sent_at=None,
        reply_to=message.reply_to if message.direction is Direction.OUTBOUND else None,
        attachments=UNREADABLE,
        raw=message.raw,
        marks=("unreadable",),
    )


def unreadable(body: bytes, *, platform: str, received_at: datetime) -> Message:
    """A pushed body that its connector cannot read: kept raw, and shown as a message that says nothing."""
    return Message(
        native_id=hashlib.sha256(body).hexdigest()[:32],
        platform=platform,
        kind=Kind.DIRECT_MESSAGE,
        direction=Direction.INBOUND,
        author=None,
        text=None,
        sent_at=received_at,
        attachments=UNREADABLE,
        raw=body,
        marks=("unreadable",),
    )
