"""What each clock, message and first card adds to the rollup, read from the stored rows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, bindparam, case, func, literal_column, select

from aggregator.model import Direction, NoticeKind, Outcome
from storage.histogram import SPAN, bucket
from storage.schema import clock, clock_event, conversation, delivery, message, reply
from storage.sql import among, dumps, from_ms

TOLD = "told"  # the platform's time of a conversation's first message → its first card was sent
MESSAGES = "messages"  # what customers wrote; it has no times

# What `dims` holds, in this order; a facet's rows hold its value instead of what else is grouped by.
DIMS = ("clock", "account", "platform", "kind", "priority", "target", "late_ingest")
FACET_DIMS = ("value", "clock", "late_ingest")
FACETS = ("label", "route", "person", "hour")
OUTCOMES = tuple(one.value for one in Outcome)  # met, breached, unanswered, not needed, withdrawn

PAGE = 2_000  # conversations, or messages, of one read
Key = tuple[str, int, str]  # facet, day, dims


class Fact(NamedTuple):
    """`at`: when the message that started it was received; `labels` and `routes` are JSON lists."""

    at: int
    clock: str
    account: str
    platform: str
    kind: str
    priority: str
    target: str
    late: int
    outcome: str | None
    business_ms: int | None
    wall_ms: int | None
    labels: str
    routes: str
    person: str | None


_KIND = func.coalesce(
    message.c.kind, case((conversation.c.kind == "direct", "direct_message"), else_="comment")
)
_ANSWER = message.alias("answer")
_OF_CLOCKS = (
    select(
        clock.c.conversation_id,
        clock.c.kind,
        clock.c.cycle,
        func.coalesce(message.c.received_at, clock.c.started_at).label("at"),
        conversation.c.account,
        conversation.c.platform,
        _KIND.label("message_kind"),
        clock.c.priority,
        clock.c.policy,
        clock.c.late_ingest,
        clock.c.outcome,
        clock.c.business_ms,
        clock.c.wall_ms,
        conversation.c.labels,
        conversation.c.routes,
        clock.c.stopped_at,
        _ANSWER.c.native_id,
        func.coalesce(_ANSWER.c.author_name, _ANSWER.c.author_handle, _ANSWER.c.author_id),
    )
    .select_from(clock)
    .join(conversation, conversation.c.id == clock.c.conversation_id)
    .outerjoin(message, message.c.id == clock.c.started_by)
    .outerjoin(_ANSWER, _ANSWER.c.id == clock.c.stopped_by)
    .where(among(clock.c.conversation_id, "ids"))
)
_REPLIES = (
    select(reply.c.conversation_id, reply.c.native_id, reply.c.by)
    .where(
        among(reply.c.conversation_id, "ids"),
        reply.c.native_id.is_not(None),
        reply.c.state == "sent",
    )
    .order_by(reply.c.id)
)
_ACTS = (
    select(clock_event.c.conversation_id, clock_event.c.kind, clock_event.c.cycle, clock_event.c.by)
    .where(
        among(clock_event.c.conversation_id, "ids"),
        clock_event.c.by.is_not(None),
        clock_event.c.event.in_(("fulfil", "cancel")),
    )
    .order_by(clock_event.c.seq)
)
_FIRST = message.alias("first")
_CARDS = (
    select(
        _FIRST.c.received_at,
        _FIRST.c.account,
        _FIRST.c.platform,
        _FIRST.c.kind,
        func.min(delivery.c.sent_at)
        - func.min(
            case(
                (_FIRST.c.sent_at < _FIRST.c.received_at, _FIRST.c.sent_at),
                else_=_FIRST.c.received_at,
            )
        ),
    )
    .select_from(delivery)
    .join(
        _FIRST,
        _FIRST.c.id
        == select(func.min(message.c.id))
        .where(
            message.c.conversation_id == delivery.c.conversation_id,
            message.c.direction == Direction.INBOUND,
            message.c.history == 0,
        )
        .scalar_subquery(),
    )
    .where(
        among(delivery.c.conversation_id, "ids"),
        delivery.c.kind == NoticeKind.CARD,
        delivery.c.state == literal_column("'sent'"),
    )
    .group_by(
        delivery.c.conversation_id,
        _FIRST.c.received_at,
        _FIRST.c.account,
        _FIRST.c.platform,
        _FIRST.c.kind,
    )
)
_OF_MESSAGES = select(
    message.c.received_at,
    message.c.account,
    message.c.platform,
    message.c.kind,
    message.c.priority,
    message.c.tags,
).where(message.c.direction == Direction.INBOUND, message.c.history == 0)
_BY_ID = _OF_MESSAGES.where(among(message.c.id, "ids"))
_BY_TIME = _OF_MESSAGES.where(
    message.c.received_at >= bindparam("since"), message.c.received_at < bindparam("until")
)


def of_clocks(connection: Connection, ids: Collection[int]) -> Iterator[Fact]:
    """Every clock of these conversations. The person is who answered: by the reply that we sent, or by the
    author that the platform names, or whose act stopped the clock."""
    rows = connection.execute(_OF_CLOCKS, {"ids": ids}).all()
    senders: dict[tuple[int, str], str] = {}
    actors: dict[tuple[int, str, int], str] = {}
    if any(row.stopped_at is not None for row in rows):
        senders = {
            (id, native): by for id, native, by in connection.execute(_REPLIES, {"ids": ids})
        }
        actors = {
            (id, kind, no): by for id, kind, no, by in connection.execute(_ACTS, {"ids": ids})
        }
    for id, kind, cycle, *same, labels, routes, stopped_at, native, author in rows:
        at, account, platform, message_kind, priority, policy, late, outcome, business, wall = same
        person = None
        if stopped_at is not None:
            person = senders.get((id, native)) or author or actors.get((id, kind, cycle))
        yield Fact(
            *(at, kind, account, platform, message_kind, priority, policy.rpartition("@")[0]),
            *(late, outcome, business, wall, labels, routes, person),
        )


def of_cards(connection: Connection, ids: Collection[int]) -> Iterator[Fact]:
    """How long it took until each of these conversations was first told, where it was."""
    for at, account, platform, kind, wall in connection.execute(_CARDS, {"ids": ids}):
        told = max(wall, 0)
        yield Fact(at, TOLD, account, platform, kind, "", "", 0, None, None, told, "[]", "[]", None)


def of_messages(connection: Connection, ids: Collection[int]) -> Iterator[Fact]:
    """What customers wrote, of these messages; what is history is not counted."""
    return _messages(connection.execute(_BY_ID, {"ids": ids}))


def between(connection: Connection, since: int, until: int) -> Iterator[Fact]:
    """Every fact of what was received from `since` to before `until`: exact, and as slow as they are many."""
    about = (
        select(message.c.conversation_id)
        .distinct()
        .where(
            message.c.received_at >= since,
            message.c.received_at < until,
            message.c.conversation_id.is_not(None),
        )
    )
    ids = sorted(connection.execute(about).scalars())
    for start in range(0, len(ids), PAGE):
        some = ids[start : start + PAGE]
        for found in (of_clocks(connection, some), of_cards(connection, some)):
            yield from (fact for fact in found if since <= fact.at < until)
    yield from _messages(connection.execute(_BY_TIME, {"since": since, "until": until}))


def _messages(rows: Iterable[tuple[int, str, str, str, str | None, str]]) -> Iterator[Fact]:
    for at, account, platform, kind, priority, tags in rows:
        yield Fact(
            *(at, MESSAGES, account, platform, kind, priority or "", ""),
            *(0, None, None, None, tags, "[]", None),
        )


class Tally:
    """Facts added up as the rows of the table: key → figures and buckets. Subtracting is adding `-n`."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self.figures: dict[Key, list[int]] = {}  # count, then each of OUTCOMES
        self.times: dict[Key, Counter[int]] = {}

    def add(self, fact: Fact, n: int = 1) -> None:
        day, hour = local(fact.at, self._zone)
        dims = _dims(fact[1:8])
        self._add(("", day, dims), fact, n)
        if fact.clock == TOLD:
            return
        for label in _values(fact.labels):
            self._add(("label", day, _dims((label, fact.clock, fact.late))), fact, n)
        self._add(("hour", day, _dims((hour, fact.clock, fact.late))), fact, n)
        if fact.clock == MESSAGES:
            return
        for route in _values(fact.routes):
            self._add(("route", day, _dims((route, fact.clock, fact.late))), fact, n)
        self._add(("person", day, _dims((fact.person, fact.clock, fact.late))), fact, n)

    def _add(self, key: Key, fact: Fact, n: int) -> None:
        figures = self.figures.get(key)
        if figures is None:
            figures = self.figures[key] = [0] * (1 + len(OUTCOMES))
            self.times[key] = Counter()
        figures[0] += n
        if fact.outcome is not None:
            figures[1 + OUTCOMES.index(fact.outcome)] += n
        if fact.business_ms is not None:
            self.times[key][bucket(fact.business_ms)] += n
        if fact.wall_ms is not None:
            self.times[key][SPAN + bucket(fact.wall_ms)] += n


def local(ms: int, zone: ZoneInfo) -> tuple[int, str]:
    """The local day as 20260304, and the hour of the week as `3 09` (Wednesday)."""
    at = from_ms(ms).astimezone(zone)
    return day_of(at), f"{at.isoweekday()} {at.hour:02}"


def day_of(at: datetime) -> int:
    return at.year * 10_000 + at.month * 100 + at.day


@lru_cache(maxsize=4096)
def _dims(values: tuple[str | int | None, ...]) -> str:
    return dumps(values)


@lru_cache(maxsize=1024)
def _values(words: str) -> tuple[str | None, ...]:
    return tuple(dict.fromkeys(json.loads(words))) or (None,)
