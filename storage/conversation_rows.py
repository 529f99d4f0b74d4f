"""Conversations, clocks and deliveries as rows, in the order of their tables' columns in schema.py."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from aggregator.model import (
    Aim,
    Clock,
    ClockEvent,
    ClockKind,
    Conversation,
    ConversationState,
    Delivery,
    DeliveryState,
    NoticeKind,
    Outcome,
    Priority,
)
from storage.message_rows import Values, unwords, words
from storage.sql import dumps, from_ms, opt_ms, opt_time, to_ms


def conversation_row(c: Conversation, version: int) -> Values:
    return (
        c.id,
        c.account,
        c.platform,
        c.kind,
        c.key,
        c.root,
        c.contact_id,
        c.state,
        c.priority,
        words(c.labels),
        words(c.routes),
        words(c.destinations),
        words(c.mentions),
        dumps([[to_ms(aim.at), aim.target, aim.priority] for aim in c.aims]) if c.aims else "[]",
        to_ms(c.opened_at),
        opt_ms(c.last_inbound_at),
        opt_ms(c.last_outbound_at),
        opt_ms(c.resolved_at),
        opt_ms(c.closed_at),
        opt_ms(c.reply_window_closes_at),
        version,
        c.reply_window_left,
        c.claimed_by,
        opt_ms(c.claimed_at),
        opt_ms(c.window_look_at),
    )


def conversation(row: Row[Any]) -> Conversation:
    return Conversation(
        id=row.id,
        account=row.account,
        platform=row.platform,
        kind=row.kind,
        key=row.key,
        root=row.root,
        contact_id=row.contact_id,
        state=ConversationState(row.state),
        priority=Priority(row.priority),
        labels=unwords(row.labels),
        routes=unwords(row.routes),
        destinations=unwords(row.destinations),
        mentions=unwords(row.mentions),
        aims=tuple(
            Aim(from_ms(at), target, Priority(priority))
            for at, target, priority in json.loads(row.aims)
        ),
        opened_at=from_ms(row.opened_at),
        last_inbound_at=opt_time(row.last_inbound_at),
        last_outbound_at=opt_time(row.last_outbound_at),
        resolved_at=opt_time(row.resolved_at),
        closed_at=opt_time(row.closed_at),
        reply_window_closes_at=opt_time(row.reply_window_closes_at),
        reply_window_left=row.reply_window_left,
        claimed_by=row.claimed_by,
        claimed_at=opt_time(row.claimed_at),
        window_look_at=opt_time(row.window_look_at),
        version=row.version,
    )


# --- clocks and deliveries --------------------------------------------------------------------------------


def clock_row(conversation_id: int, c: Clock) -> Values:
    return (
        conversation_id,
        c.kind,
        c.cycle,
        to_ms(c.started_at),
        to_ms(c.due_at),
        c.policy,
        c.priority,
        c.started_by,
        opt_ms(c.stopped_at),
        c.stopped_by,
        opt_ms(c.breached_at),
        c.outcome,
        c.business_ms,
        c.wall_ms,
        int(c.late_ingest),
        int(c.clamped),
        opt_ms(c.look_at),
    )


def event_rows(conversation_id: int, c: Clock) -> list[Values]:
    return [
        (
            conversation_id,
            c.kind,
            c.cycle,
            seq,
            e.event,
            to_ms(e.at),
            e.cause,
            e.reason,
            e.by,
            e.way,
        )
        for seq, e in enumerate(c.events)
    ]


def clock(row: Row[Any], events: Sequence[ClockEvent]) -> Clock:
    return Clock(
        kind=ClockKind(row.kind),
        cycle=row.cycle,
        started_at=from_ms(row.started_at),
        due_at=from_ms(row.due_at),
        policy=row.policy,
        priority=Priority(row.priority),
        started_by=row.started_by,
        stopped_at=opt_time(row.stopped_at),
        stopped_by=row.stopped_by,
        breached_at=opt_time(row.breached_at),
        outcome=None if row.outcome is None else Outcome(row.outcome),
        business_ms=row.business_ms,
        wall_ms=row.wall_ms,
        late_ingest=bool(row.late_ingest),
        clamped=bool(row.clamped),
        look_at=opt_time(row.look_at),
        events=tuple(events),
    )


def delivery_row(d: Delivery) -> Values:
    return (
        d.id,
        d.destination,
        d.kind,
        d.key,
        d.state,
        to_ms(d.created_at),
        d.conversation_id,
        d.message_id,
        d.priority,
        to_ms(d.due_at or d.created_at),
        d.attempts,
        opt_ms(d.sent_at),
        d.external_id,
        d.url,
        d.reason,
        d.text,
        int(d.unsure),
        0,
        d.held_by,
    )


def delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        id=row.id,
        destination=row.destination,
        kind=NoticeKind(row.kind),
        key=row.key,
        state=DeliveryState(row.state),
        created_at=from_ms(row.created_at),
        conversation_id=row.conversation_id,
        message_id=row.message_id,
        priority=Priority(row.priority),
        due_at=from_ms(row.due_at),
        attempts=row.attempts,
        sent_at=opt_time(row.sent_at),
        external_id=row.external_id,
        url=row.url,
        reason=row.reason,
        text=row.text,
        unsure=bool(row.unsure),
        held_by=row.held_by,
    )
