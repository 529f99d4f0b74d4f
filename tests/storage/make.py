"""Messages and decisions as the connectors and intake would hand them over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from aggregator.model import (
    Aim,
    Attachment,
    Author,
    Clock,
    ClockEvent,
    ClockKind,
    Contact,
    Conversation,
    ConversationState,
    Decision,
    Delivery,
    DeliveryState,
    Direction,
    Kind,
    Match,
    Message,
    NoticeKind,
    Priority,
    StoredMessage,
    Verdict,
)
from storage.engine import Database
from storage.leases import Fence, acquire
from storage.polls import commit_poll
from tests.conftest import NOW

ACCOUNT = "weibo_acme"


def fence(db: Database, name: str = f"account:{ACCOUNT}", owner: str = "我") -> Fence:
    held = db.write(lambda conn: acquire(conn, name, owner, 30))
    assert held is not None
    return held


def message(number: int = 1, **changes: Any) -> Message:
    given = Message(
        native_id=f"49{number:014d}",
        platform="weibo",
        kind=Kind.COMMENT,
        direction=Direction.INBOUND,
        author=Author(f"u{number}", f"用户{number}", f"user{number}", 42, False),
        text=f"第{number}次了，退款还没到！",
        sent_at=NOW - timedelta(minutes=5),
        root="post1",
        person=f"u{number}",
        url=f"https://weibo.example/{number}",
        lang="zh",
        attachments=(Attachment("image", "https://img.example/1.jpg"),),
        quoted="//@某人:转发微博",
        raw=b'{"id": 1}' * 30,
        marks=("time.clamped",),
    )
    return replace(given, **changes)


def verdict(priority: Priority = Priority.P2) -> Verdict:
    return Verdict(
        urgency=2,
        importance=1,
        priority=priority,
        sentiment="negative",
        score=-0.5,
        tags=("refund",),
        matches=(Match("refund-waiting", "退款", 4, 6), Match("repost", "转发", 6, 8, quoted=True)),
        reasons=("refund-waiting: 退款",),
    )


def conversation(id: int, of: Message, **changes: Any) -> Conversation:
    direct = of.kind is Kind.DIRECT_MESSAGE
    given = Conversation(
        id=id,
        account=ACCOUNT,
        platform=of.platform,
        kind="direct" if direct else "public",
        key=f"d:{of.person}" if direct else f"p:{of.root}:{of.person}",
        root=None if direct else of.root,
        contact_id=None,
        state=ConversationState.OPEN,
        priority=Priority.P2,
        labels=("refund",),
        routes=("refunds",),
        destinations=("social",),
        mentions=("@值班",),
        aims=(Aim(NOW, "standard", Priority.P2),),
        opened_at=of.sent_at or NOW,
        last_inbound_at=of.sent_at,
        last_outbound_at=None,
    )
    return replace(given, **changes)


def clock(started_by: int | None, **changes: Any) -> Clock:
    given = Clock(
        kind=ClockKind.FIRST_RESPONSE,
        cycle=1,
        started_at=NOW - timedelta(minutes=5),
        due_at=NOW + timedelta(minutes=25),
        policy="standard@1",
        priority=Priority.P2,
        started_by=started_by,
        events=(ClockEvent("activate", NOW - timedelta(minutes=5), started_by),),
    )
    return replace(given, **changes)


def delivery(id: int, conversation_id: int | None = None, **changes: Any) -> Delivery:
    given = Delivery(
        id=id,
        destination="social",
        kind=NoticeKind.CARD,
        key=f"key:{id}",
        state=DeliveryState.PENDING,
        created_at=NOW,
        conversation_id=conversation_id,
        priority=Priority.P2,
        due_at=NOW,
    )
    return replace(given, **changes)


def decision(new_id: Callable[[], int], *messages: Message, **changes: Any) -> Decision:
    """Each message is new and opens a conversation of its own, with a contact, a clock and a card."""
    stored, contacts, conversations, clocks, deliveries = [], [], [], {}, []
    for one in messages:
        assert one.author is not None
        contact = Contact(new_id(), ACCOUNT, one.author)
        about = conversation(new_id(), one, contact_id=contact.id)
        kept = StoredMessage(
            id=new_id(),
            account=ACCOUNT,
            message=one,
            received_at=NOW,
            conversation_id=about.id,
            contact_id=contact.id,
            verdict=verdict(),
            rules_version="r1",
        )
        stored.append(kept)
        contacts.append(contact)
        conversations.append(about)
        clocks[about.id] = (clock(kept.id),)
        deliveries.append(delivery(new_id(), about.id))
    made = Decision(
        messages=tuple(stored),
        contacts=tuple(contacts),
        conversations=tuple(conversations),
        clocks=clocks,
        deliveries=tuple(deliveries),
    )
    return replace(made, **changes)


def commit(db: Database, held: Fence, decided: Decision, **changes: Any) -> None:
    given: dict[str, Any] = {
        "fence": held,
        "account": ACCOUNT,
        "stream": "comments",
        "page_cursor": "c1",
        "decision": decided,
        "now": NOW,
        "next_poll_at": NOW + timedelta(minutes=1),
    }
    db.write(lambda conn: commit_poll(conn, **{**given, **changes}))


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)
