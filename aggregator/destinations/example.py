"""A conversation to look at: for the pictures in the README and for tests of what is shown."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from aggregator.model import (
    Attachment,
    Author,
    Card,
    Clock,
    ClockKind,
    Conversation,
    ConversationState,
    Direction,
    Kind,
    Notice,
    NoticeKind,
    Outcome,
    Priority,
    Said,
)

NOW: Final = datetime(2026, 3, 4, 6, 20, tzinfo=UTC)  # 14:20 in Shanghai


def example(language: str) -> Notice:
    """A card as it stands eight minutes before its deadline."""
    zh = language == "zh"
    customer = Author(
        "2803301701" if zh else "44196397",
        "林小满" if zh else "Maya Lindqvist",
        "linxiaoman" if zh else "mayalind",
        followers=123_000,
        verified=True,
    )
    first = _said(
        1,
        customer,
        "刚买的充电宝，昨晚放床头充电……"
        if zh
        else "Bought your power bank last week, charged it overnight…",
        minutes=9,
    )
    latest = _said(
        2,
        customer,
        "你们的充电宝起火了！！床单都烧了一个洞 😡 客服电话一直占线，退款 & 赔偿怎么说？"
        if zh
        else "It CAUGHT FIRE and burnt a hole in my sheets 😡 Your hotline is always busy. Refund & damages?",
        minutes=7,
        attachments=(Attachment("image"), Attachment("image"), Attachment("video")),
    )
    why = (
        ("人身安全：起火", "催退款：退款、一直")
        if zh
        else ("Product safety: caught fire", "Refund: refund")
    )
    conversation = Conversation(
        id=7211,
        account="weibo_acme" if zh else "x_acme",
        platform="weibo" if zh else "x",
        kind="public",
        key="p:4988:2803301701",
        root="4988",
        contact_id=31,
        state=ConversationState.OPEN,
        priority=Priority.P1,
        labels=("safety", "refund"),
        routes=("safety",),
        destinations=("social", "desk"),
        mentions=("<!subteam^S012>",),
        aims=(),
        opened_at=NOW - timedelta(minutes=9),
        last_inbound_at=latest.at,
        last_outbound_at=None,
    )
    clock = Clock(
        kind=ClockKind.FIRST_RESPONSE,
        cycle=1,
        started_at=first.at,
        due_at=NOW + timedelta(minutes=6),
        policy="urgent@1",
        priority=Priority.P1,
        started_by=1,
    )
    card = Card(conversation, customer, first, latest, 2, "negative", -0.82, why, clock)
    return Notice(
        key="card:7211:social",
        kind=NoticeKind.CARD,
        language=language,
        timezone="Asia/Shanghai",
        now=NOW,
        card=card,
        mentions=conversation.mentions,
    )


def _said(
    id: int,
    author: Author,
    text: str,
    *,
    minutes: int,
    attachments: tuple[Attachment, ...] = (),
) -> Said:
    return Said(
        id=id,
        direction=Direction.INBOUND,
        kind=Kind.MENTION,
        author=author,
        text=text,
        at=NOW - timedelta(minutes=minutes),
        url=f"https://social.example/posts/{id}",
        attachments=attachments,
    )


def story(language: str) -> list[Notice]:
    """What a terminal shows over a quarter of an hour: a question, the fire, its answer, an ops notice."""
    zh = language == "zh"
    fire = example(language)
    assert fire.card is not None
    question = replace(
        fire.card,
        conversation=replace(
            fire.card.conversation, platform="wechat", priority=Priority.P3, labels=("order",)
        ),
        latest=replace(
            fire.card.latest,
            id=9,
            kind=Kind.DIRECT_MESSAGE,
            author=Author("o1", "周周" if zh else "Zhou Zhou"),
            text="请问订单什么时候发货？" if zh else "When will my order ship, please?",
            attachments=(),
        ),
        why=("订单咨询：什么时候发货",) if zh else ("Order question: when will",),
        clock=replace(fire.card.clock, due_at=NOW + timedelta(hours=2))
        if fire.card.clock
        else None,
    )
    answer = Said(
        id=3,
        direction=Direction.OUTBOUND,
        kind=Kind.MENTION,
        author=Author("1", "小李" if zh else "Li"),
        text="非常抱歉，已私信您" if zh else "So sorry, we have sent you a message",
        at=NOW + timedelta(minutes=4),
        url=None,
    )
    answered = replace(
        fire.card,
        answered=answer,
        clock=replace(
            fire.card.clock,
            stopped_at=answer.at,
            outcome=Outcome.MET,
            wall_ms=13 * 60_000,
            business_ms=13 * 60_000,
        )
        if fire.card.clock
        else None,
    )
    later = NOW + timedelta(minutes=4)
    ops = (
        "rules/20-safety.yaml:14:9: 未知键 anny；是否想写 any？上一个好的版本仍在使用"
        if zh
        else "rules/20-safety.yaml:14:9: unknown key anny; did you mean any? The last good version stays"
    )
    return [
        replace(fire, card=question, now=NOW - timedelta(minutes=2)),
        fire,
        replace(fire, kind=NoticeKind.MESSAGE, message=answer, now=later),
        replace(fire, card=answered, now=later, earlier=None),
        replace(fire, kind=NoticeKind.OPS, card=None, text=ops, now=later + timedelta(minutes=1)),
    ]
