"""Watch the running clocks: a breach is recorded once and the card says so; each rung is told once."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from aggregator.leases import Leases
from aggregator.metrics import Metrics
from aggregator.model import Backfill, Conversation, Delivery
from aggregator.ops import Ops
from aggregator.rungs import Rungs, Seen
from aggregator.sla.waits import whole_ms
from aggregator.telling import Teller
from aggregator.triage.ruleset import Ruleset
from storage.acts import add_acts
from storage.clocks import breach_due, may_breach
from storage.engine import Connection, Database
from storage.leases import LeaseLost
from storage.looks import may_look, note_looks, note_window_looks, to_look_at
from storage.outbox import enqueue
from storage.polls import Conflict, update_conversations

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Found:
    late: list[Conversation]
    seen: list[Seen] = field(default_factory=list)
    rows: list[Delivery] = field(default_factory=list)


class Escalation:
    """One replica at a time looks for deadlines and other rungs that have passed. `tick` is called by the scheduler.

    What is due is judged again in the transaction that tells it: what was answered meanwhile is not told.
    """

    def __init__(
        self,
        *,
        db: Database,
        leases: Leases,
        now: Callable[[], datetime],
        told: Callable[[Collection[str]], None],
        metrics: Metrics,
        rules: Callable[[], Ruleset],
        destinations: Collection[str],
        ops: Ops,
    ) -> None:
        self._db = db
        self._leases = leases
        self._now = now
        self._told = told
        self._metrics = metrics
        self._rules = rules
        self._destinations = frozenset(destinations)
        self._ops = ops

    def tick(self) -> None:
        """Reads first: a second in which nothing is due writes nothing."""
        fence = self._leases.hold("clocks")
        if fence is None:
            return
        now = whole_ms(self._now())
        with self._db.read() as conn:
            if not may_breach(conn, now) and not may_look(conn, now):
                return
        teller = Teller(Backfill.ALERT, now, self._db.new_id)
        rungs = Rungs(self._rules().targets, self._destinations, now, self._db.new_id)

        def unit(conn: Connection) -> _Found:
            late = breach_due(conn, fence=fence, now=now, new_id=self._db.new_id)
            found = _Found(late)
            found.rows.extend(
                teller.card_update(conversation, destination)
                for conversation in late
                for destination in conversation.destinations
            )
            for about, clocks in to_look_at(conn, now):
                seen = rungs.see(about, clocks)
                found.seen.append(seen)
                found.rows.extend(seen.rows)
            note_looks(conn, [one for seen in found.seen for one in seen.looks])
            update_conversations(conn, [seen.about for seen in found.seen if seen.changed])
            note_window_looks(
                conn, [(one.about.id, one.about.window_look_at) for one in found.seen]
            )
            add_acts(conn, [act for seen in found.seen for act in seen.acts])
            enqueue(conn, found.rows)
            return found

        try:
            found = self._db.write(unit)
        except LeaseLost:
            self._leases.lost(fence)
            return
        except Conflict:
            return  # a page came in between: the next look reads what it brought
        self._say(found)

    def _say(self, found: _Found) -> None:
        for conversation in found.late:
            self._metrics.breaches.labels(conversation.priority.value).inc()
            log.info(
                "clock.breached", conversation=conversation.id, priority=conversation.priority.value
            )
        for seen in found.seen:
            for row in seen.rows:
                if row.text is not None:
                    log.info("clock.rung", conversation=seen.about.id, key=row.key)
            for name, instead in seen.gone.items():
                words = f"{', '.join(instead)} hears instead" if instead else "nobody hears of it"
                self._ops.broken(
                    f"rung:{name}",
                    f"rules/targets.yaml escalates to {name}, which the settings do not name; "
                    f"{words}; put the destination back, or name another",
                )
        if found.rows:
            self._told({row.destination for row in found.rows})
