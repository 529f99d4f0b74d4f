"""The rollup: kept in the transaction that changes what it adds up, filled anew, compared with a recompute."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, bindparam, delete, select, text

from aggregator.model import Decision, Direction
from storage.facts import OUTCOMES, PAGE, Fact, Key, Tally, of_cards, of_clocks, of_messages
from storage.histogram import pack, unpack
from storage.schema import conversation, message, meta, rollup
from storage.sql import among, bulk_insert

ZONE = "rollup_zone"  # the key in `meta`: whose days these are

_KEYS = (rollup.c.facet, rollup.c.day, rollup.c.dims)
_KEY = "facet, day, dims"
_NOTHING = (*([0] * (1 + len(OUTCOMES))), b"")
_MINE = (
    select(rollup)
    .where(
        among(rollup.c.facet, "facets"), among(rollup.c.day, "days"), among(rollup.c.dims, "dims")
    )
    .order_by(*_KEYS)
    .with_for_update()
)
_ZONE = select(meta.c.value).where(meta.c.key == ZONE)
_LOCK = (
    select(conversation.c.id)
    .where(among(conversation.c.id, "ids"))
    .order_by(conversation.c.id)
    .with_for_update(key_share=True)
)


@contextmanager
def rolled(
    connection: Connection,
    *,
    clocks: Collection[int] = (),
    new: Collection[int] = (),
    cards: Collection[int] = (),
    messages: Collection[int] = (),
    new_messages: Collection[int] = (),
) -> Iterator[None]:
    """Around writes to these: what they added before is taken back, what they add afterwards is added.

    `clocks`: conversations whose clocks, labels, routes or answers may change, `new` those that are not stored
    yet; `cards`: conversations of which a card may have been sent; `messages`: whose verdict may change.
    Whoever writes such rows outside of this is found by `inboxd db check`. Everything is read from the
    stored rows, so that the rollup is what a recompute would be.
    """
    if not (clocks or new or cards or messages or new_messages):
        yield
        return
    known = sorted({*clocks, *cards})
    if connection.dialect.name == "postgresql":
        # Before anything is read: against `refill`, and against another replica at the same conversation.
        connection.execute(text("LOCK TABLE rollup IN ROW EXCLUSIVE MODE"))
        if known:
            connection.execute(_LOCK, {"ids": known}).all()
    before = Counter(_facts(connection, sorted(clocks), sorted(cards), sorted(messages)))
    yield
    after = Counter(
        _facts(
            connection,
            sorted({*clocks, *new}),
            sorted(cards),
            sorted({*messages, *new_messages}),
        )
    )
    after.subtract(before)
    if changed := [(fact, n) for fact, n in after.items() if n]:
        tally = Tally(zone(connection))
        for fact, n in changed:
            tally.add(fact, n)
        _write(connection, tally)


def rolled_up(connection: Connection, decision: Decision) -> AbstractContextManager[None]:
    """Around the write of a decision."""
    versions = [one.message_id for one in decision.versions]
    touched: list[int] = []
    if told := [*versions, *(one.message_id for one in decision.fills)]:
        about = select(message.c.conversation_id).where(among(message.c.id, told))
        touched = [id for id in connection.execute(about).scalars() if id is not None]
    new = {one.id for one in decision.conversations if one.version == 0}
    named = {*(one.id for one in decision.conversations), *decision.clocks}
    inbound = Direction.INBOUND
    return rolled(
        connection,
        clocks=(named | {*touched}) - new,
        new=new,
        cards=touched,
        messages=versions,
        new_messages=[one.id for one in decision.messages if one.message.direction is inbound],
    )


def _facts(
    connection: Connection, clocks: list[int], cards: list[int], messages: list[int]
) -> Iterator[Fact]:
    if clocks:
        yield from of_clocks(connection, clocks)
    if cards:
        yield from of_cards(connection, cards)
    if messages:
        yield from of_messages(connection, messages)


def _write(connection: Connection, tally: Tally) -> None:
    """Add to the rows, which are locked in the order of their keys so that replicas do not deadlock."""
    changed = [
        key
        for key in sorted(tally.figures)
        if any(tally.figures[key]) or any(tally.times[key].values())
    ]
    stored = _locked(connection, changed)
    missing = [key for key in changed if key not in stored]
    if missing and connection.dialect.name == "postgresql":
        bulk_insert(connection, rollup, [(*key, *_NOTHING) for key in missing], unless=_KEY)
        stored |= _locked(connection, missing)
    rows: list[tuple[Any, ...]] = []
    gone: list[tuple[Any, ...]] = []
    for key in changed:
        *figures, times = stored.get(key, _NOTHING)
        added = [a + b for a, b in zip(figures, tally.figures[key], strict=True)]
        counts = unpack(times)
        for number, n in tally.times[key].items():
            counts[number] = counts.get(number, 0) + n
        (rows if added[0] else gone).append((*key, *added, pack(counts)))
    bulk_insert(connection, rollup, rows, replace=_KEY)
    for facet, day, dims, *_ in gone:
        this = (rollup.c.facet == facet) & (rollup.c.day == day) & (rollup.c.dims == dims)
        connection.execute(delete(rollup).where(this))


def _locked(connection: Connection, keys: list[Key]) -> dict[Key, tuple[Any, ...]]:
    if not keys:
        return {}
    facets, days, dims = (sorted(set(some)) for some in zip(*keys, strict=True))
    rows = connection.execute(_MINE, {"facets": facets, "days": days, "dims": dims})
    return {(row[0], row[1], row[2]): tuple(row[3:]) for row in rows}


# --- all of it --------------------------------------------------------------------------------------


def zone_name(connection: Connection) -> str | None:
    """Whose days the rollup has; None where nobody has said: then it is UTC's, and was never filled."""
    return connection.execute(_ZONE).scalar()


def zone(connection: Connection) -> ZoneInfo:
    return ZoneInfo(zone_name(connection) or "UTC")


def refill(connection: Connection, name: str) -> None:
    """Add everything up anew, by the days of this zone."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE rollup IN SHARE ROW EXCLUSIVE MODE"))
    connection.execute(delete(rollup))
    bulk_insert(connection, meta, [(ZONE, name)], replace="key")
    tally = recompute(connection, ZoneInfo(name))
    rows = [(*key, *tally.figures[key], pack(tally.times[key])) for key in sorted(tally.figures)]
    for start in range(0, len(rows), PAGE):
        bulk_insert(connection, rollup, rows[start : start + PAGE])


def recompute(connection: Connection, in_zone: ZoneInfo) -> Tally:
    """What the rollup should be, from the rows of clocks, cards and messages."""
    tally = Tally(in_zone)
    for ids in _pages(connection, conversation.c.id):
        for fact in _facts(connection, ids, ids, []):
            tally.add(fact)
    for ids in _pages(connection, message.c.id):
        for fact in of_messages(connection, ids):
            tally.add(fact)
    return tally


def differences(connection: Connection, *, limit: int = 20) -> list[str]:
    """Where the rollup is not what a recompute gives, in words; empty where it is."""
    tally = recompute(connection, zone(connection))
    found = []
    for row in connection.execute(select(rollup).order_by(*_KEYS)):
        key = (row.facet, row.day, row.dims)
        figures, times = tally.figures.pop(key, [0] * 6), tally.times.pop(key, Counter())
        if list(row[3:9]) != figures or unpack(row.times) != +times:
            found.append(f"rollup {' '.join(map(str, key))}: {list(row[3:9])}, should be {figures}")
    found += [
        f"rollup {' '.join(map(str, key))}: missing, should be {figures}"
        for key, figures in sorted(tally.figures.items())
    ]
    more = len(found) - limit
    return found[:limit] + ([f"rollup: {more} more rows differ"] if more > 0 else [])


def rows_between(
    connection: Connection, facet: str, first: int, last: int
) -> Iterable[tuple[Any, ...]]:
    """(day, dims, count, met, breached, unanswered, not needed, withdrawn, times) of the days `first` to `last`."""
    statement = select(*list(rollup.c)[1:]).where(
        rollup.c.facet == facet, rollup.c.day >= first, rollup.c.day <= last
    )
    return connection.execute(statement).all()


def _pages(connection: Connection, column: Any) -> Iterator[list[int]]:
    some = select(column).where(column > bindparam("after")).order_by(column).limit(PAGE)
    after = -1
    while ids := list(connection.execute(some, {"after": after}).scalars()):
        yield ids
        after = ids[-1]
