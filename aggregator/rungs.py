"""What a look at one conversation's ladders brings: who is told of a step, and what changes by it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from aggregator.model import (
    Act,
    Clock,
    ClockKind,
    Conversation,
    Delivery,
    DeliveryState,
    NoticeKind,
    Rung,
)
from aggregator.sla.calendar import to_ms
from aggregator.sla.ladder import (
    CLAIM,
    RELEASE,
    WINDOW,
    Look,
    Step,
    calendar_of,
    claim_steps,
    look,
    steps,
    target_of,
    window_steps,
)
from aggregator.sla.policy import Targets

DAEMON, DECAY = "inboxd", "decay"


@dataclass(slots=True)
class Seen:
    """`about`: the conversation as it is now; `looks`: when its clocks are next looked at.

    `gone`: destinations that were to hear of it and are not there, with who hears instead.
    """

    about: Conversation
    rows: list[Delivery] = field(default_factory=list)
    looks: list[tuple[int, ClockKind, int, datetime | None]] = field(default_factory=list)
    acts: list[Act] = field(default_factory=list)
    gone: dict[str, tuple[str, ...]] = field(default_factory=dict)
    changed: bool = False  # the conversation itself, not only when it is next looked at


@dataclass(frozen=True, slots=True)
class Rungs:
    """`destinations`: those that the settings have."""

    targets: Targets
    destinations: Collection[str]
    now: datetime
    new_id: Callable[[], int]

    def see(self, about: Conversation, clocks: Sequence[Clock]) -> Seen:
        """Look at every ladder of a conversation; each step is told once, by the keys of its rows."""
        seen = Seen(about)
        for clock in clocks:
            if clock.look_at is not None and clock.look_at <= self.now:
                self._clock(seen, clock)
        if about.window_look_at is not None and about.window_look_at <= self.now:
            claim, window = self._claim(seen, clocks), self._window(seen)
            then = min((at for at in (claim, window) if at is not None), default=None)
            seen.about = replace(seen.about, window_look_at=then)
        return seen

    def _clock(self, seen: Seen, clock: Clock) -> None:
        target = target_of(clock.policy, self.targets)
        found = look(steps(clock, target), self.now, *([target.calendar] if target else []))
        seen.looks.append((seen.about.id, clock.kind, clock.cycle, found.then))
        if found.step is not None:
            rung = Rung(clock.kind.value, found.step.level, found.step.at, found.late)
            self._tell(seen, found, rung, f"{clock.kind}:{clock.cycle}:{found.step.level}")

    def _window(self, seen: Seen) -> datetime | None:
        about = seen.about
        closes = about.reply_window_closes_at
        found = look(window_steps(about), self.now)
        open_yet = closes is None or closes > self.now  # once it is closed a warning is too late
        if found.step is not None and open_yet:
            rung = Rung(WINDOW, found.step.level, found.step.at, found.late)
            cycle = to_ms(closes or found.step.at)
            self._tell(seen, found, rung, f"{WINDOW}:{cycle}:{found.step.level}")
        return found.then

    def _claim(self, seen: Seen, clocks: Sequence[Clock]) -> datetime | None:
        about = seen.about
        calendar = calendar_of(about, self.targets)
        found = look(claim_steps(about, clocks, self.targets), self.now, calendar)
        if found.step is None or about.claimed_at is None:
            return found.then
        clock = next((c for c in clocks if c.stopped_at is None), None)
        kind = ClockKind.FIRST_RESPONSE if clock is None else clock.kind
        rung = Rung(kind.value, CLAIM, found.step.at, found.late)
        name = f"{CLAIM}:{to_ms(about.claimed_at)}:{found.step.level}"
        if found.step.level == RELEASE:
            reached = self._reached(clocks)
            step = replace(
                found.step,
                to=tuple(dict.fromkeys((*about.destinations, *(reached.to if reached else ())))),
                mentions=reached.mentions if reached else (),
            )
            found = replace(found, step=step)
            self._release(seen)
        self._tell(seen, found, rung, name)
        return found.then

    def _reached(self, clocks: Iterable[Clock]) -> Step | None:
        """The most severe escalation that a waiting customer's clock has come to."""
        past = [
            step
            for clock in clocks
            if clock.kind is not ClockKind.RESOLUTION
            for step in steps(clock, target_of(clock.policy, self.targets))
            if step.at <= self.now and step.to
        ]
        return past[-1] if past else None

    def _release(self, seen: Seen) -> None:
        about = seen.about
        seen.acts.append(
            Act(
                id=self.new_id(),
                conversation_id=about.id,
                at=self.now,
                what="released",
                by=DAEMON,
                way=DECAY,
                value=about.claimed_by,
                why="claimed and not answered",
            )
        )
        seen.about = replace(about, claimed_by=None, claimed_at=None)
        seen.changed = True
        for name in about.destinations:
            id = self.new_id()
            key = f"card:{about.id}:{name}:{id}"
            seen.rows.append(replace(self._row(seen, name, NoticeKind.CARD, key), id=id))

    # -- who is told -----------------------------------------------------------------------------

    def _tell(self, seen: Seen, found: Look, rung: Rung, name: str) -> None:
        step = found.step
        assert step is not None
        escalated = self._there(seen, found)
        warned = [one for one in seen.about.destinations if step.warns and one not in escalated]
        for to in warned:
            if to in self.destinations:
                self._add(seen, to, NoticeKind.WARNING, rung, name)
        loud = replace(rung, mentions=step.mentions)
        for to in escalated:
            self._add(seen, to, NoticeKind.ESCALATION, loud, name)

    def _there(self, seen: Seen, found: Look) -> tuple[str, ...]:
        """Whom a step escalates to. Where nobody of them is there, the next step's; else the conversation's own."""
        step = found.step
        assert step is not None
        there = self._known(step.to)
        lost = [one for one in step.to if one not in self.destinations]
        if not lost:
            return there
        if not there:
            later = (self._known(one.to) for one in found.rest)
            there = next((one for one in later if one), self._known(seen.about.destinations))
        seen.gone.update(dict.fromkeys(lost, there))
        return there

    def _known(self, names: Iterable[str]) -> tuple[str, ...]:
        return tuple(one for one in names if one in self.destinations)

    def _add(self, seen: Seen, to: str, kind: NoticeKind, rung: Rung, name: str) -> None:
        """The card first, where there is none: what is told stands under it, and it is kept up to date."""
        about = seen.about
        seen.rows.append(self._row(seen, to, NoticeKind.CARD, f"card:{about.id}:{to}"))
        if to not in about.destinations:
            seen.about = replace(about, destinations=(*about.destinations, to))
            seen.changed = True
        row = self._row(seen, to, kind, f"rung:{about.id}:{name}:{to}")
        seen.rows.append(replace(row, text=rung.to_json()))

    def _row(self, seen: Seen, to: str, kind: NoticeKind, key: str) -> Delivery:
        return Delivery(
            id=self.new_id(),
            destination=to,
            kind=kind,
            key=key,
            state=DeliveryState.PENDING,
            created_at=self.now,
            conversation_id=seen.about.id,
            priority=seen.about.priority,
            due_at=self.now,
        )
