"""What people, and the daemon, did with conversations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

from sqlalchemy import Connection, select

from aggregator.model import Act
from storage.schema import act
from storage.sql import among, bulk_insert, clean, from_ms, to_ms

_OF = (
    select(act).where(among(act.c.conversation_id, "ids")).order_by(act.c.conversation_id, act.c.id)
)


def add_acts(connection: Connection, acts: Iterable[Act]) -> None:
    """Write them down; an act is never changed afterwards."""
    rows = [
        (
            one.id,
            one.conversation_id,
            to_ms(one.at),
            one.what,
            clean(one.by),
            one.way,
            one.value,
            None if one.why is None else clean(one.why),
        )
        for one in acts
    ]
    bulk_insert(connection, act, rows)


def acts_of(connection: Connection, ids: Collection[int]) -> defaultdict[int, list[Act]]:
    """Conversation id → what was done with it, in the order in which it was written."""
    found: defaultdict[int, list[Act]] = defaultdict(list)
    for row in connection.execute(_OF, {"ids": ids}):
        found[row.conversation_id].append(
            Act(
                id=row.id,
                conversation_id=row.conversation_id,
                at=from_ms(row.at),
                what=row.what,
                by=row.by,
                way=row.way,
                value=row.value,
                why=row.why,
            )
        )
    return found
