"""Stretches of a stream that were not read: noted with the page that told of them, closed with the one that brings them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection, select, update

from aggregator.model import Gap
from storage.schema import gap
from storage.sql import bulk_insert, clean, opt_ms, opt_time, to_ms

LOOKED_AT = 200  # of a stream's gaps, the newest; an older one that is told again is noted again


def note_gaps(
    connection: Connection,
    account: str,
    stream: str,
    gaps: Sequence[Gap],
    *,
    now: datetime,
    new_id: Callable[[], int],
) -> tuple[Gap, ...]:
    """Store the gaps that are not known; returns them. One inside a known one of the same kind is known.

    A recoverable one inside a new one that is not is closed: by now it is known to be lost.
    """
    if not gaps:
        return ()
    rows = connection.execute(
        select(gap.c.since, gap.c.until, gap.c.recoverable)
        .where(gap.c.account == account, gap.c.stream == stream, gap.c.closed_at.is_(None))
        .order_by(gap.c.id.desc())
        .limit(LOOKED_AT)
    )
    known = [(row.since, row.until, bool(row.recoverable)) for row in rows]
    fresh = []
    for one in gaps:
        since, until = opt_ms(one.since), opt_ms(one.until)
        if not _inside(known, since, until, recoverable=one.recoverable):
            known.append((since, until, one.recoverable))
            fresh.append(one)
    bulk_insert(
        connection,
        gap,
        [
            (
                new_id(),
                account,
                stream,
                opt_ms(one.since),
                opt_ms(one.until),
                clean(one.reason),
                int(one.recoverable),
                to_ms(now),
                None,
            )
            for one in fresh
        ],
    )
    for one in fresh:
        if not one.recoverable:
            close_gaps(connection, account, stream, one.since, one.until, now=now)
    return tuple(fresh)


def close_gaps(
    connection: Connection,
    account: str,
    stream: str,
    since: datetime | None,
    until: datetime | None,
    *,
    now: datetime,
) -> tuple[Gap, ...]:
    """Close the recoverable gaps that lie wholly between these times (None: no end on that side); returns them."""
    rows = connection.execute(
        select(gap)
        .where(
            gap.c.account == account,
            gap.c.stream == stream,
            gap.c.closed_at.is_(None),
            gap.c.recoverable == 1,
        )
        .order_by(gap.c.id)
    ).all()
    whole = [(opt_ms(since), opt_ms(until), True)]
    inside = [row for row in rows if _inside(whole, row.since, row.until, recoverable=True)]
    if inside:
        these = gap.c.id.in_([row.id for row in inside])
        connection.execute(update(gap).where(these).values(closed_at=to_ms(now)))
    return tuple(
        Gap(opt_time(row.since), opt_time(row.until), row.reason, recoverable=True)
        for row in inside
    )


def _inside(
    known: Iterable[tuple[int | None, int | None, bool]],
    since: int | None,
    until: int | None,
    *,
    recoverable: bool,
) -> bool:
    return any(
        kind == recoverable
        and (begin is None or (since is not None and begin <= since))
        and (end is None or (until is not None and until <= end))
        for begin, end, kind in known
    )
