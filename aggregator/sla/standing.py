"""What people's acts mean for a conversation: which waits they ended, when we wait, how it stands. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from aggregator.model import Act, ConversationState, Direction, Entry
from aggregator.sla.waits import CLOSED, NOT_NEEDED, RESOLVED, End, Turn, whole_ms

WAITING, REOPENED = "waiting", "reopened"
_ENDING = {"resolved": RESOLVED, "closed": CLOSED, "not_needed": NOT_NEEDED}


@dataclass(frozen=True, slots=True)
class Standing:
    """`ends`: whoever waited then waits no longer; `undone`: when ends were that somebody took back.

    `turns`: when somebody said that the customer's word is next, or ours. `state`: what the last act made of
    the conversation, where nobody has written since; None where what was written decides.
    """

    ends: tuple[End, ...] = ()
    undone: frozenset[datetime] = frozenset()
    turns: tuple[Turn, ...] = ()
    state: ConversationState | None = None
    since: datetime | None = None


def standing(acts: Iterable[Act], entries: Sequence[Entry]) -> Standing:
    """Whatever order they arrived in.

    Reopening takes back the last end, as if it had not been, unless the customer has written since; the
    customer waited all along. After a customer's message it says only that it is our turn.
    """
    ends: list[End] = []
    undone: set[datetime] = set()
    turns: list[Turn] = []
    state: ConversationState | None = None
    since: datetime | None = None
    asked = [whole_ms(one.at) for one in entries if one.direction is Direction.INBOUND]
    said = [
        whole_ms(one.at)
        for one in entries
        if one.direction is Direction.OUTBOUND and not one.undelivered
    ]
    for act in sorted(acts, key=lambda one: (one.at, one.id)):
        at = whole_ms(act.at)
        if act.what in _ENDING:
            reason = _ENDING[act.what]
            ends.append(End(at, reason, act.by, act.way))
            state = _STATES[reason]
            if reason == NOT_NEEDED:
                turns.append(Turn(at, ours=False, by=act.by, way=act.way))
        elif act.what == WAITING:
            turns.append(Turn(at, ours=False, by=act.by, way=act.way))
            state = ConversationState.WAITING
        elif act.what == REOPENED:
            if ends and not any(ends[-1].at < one <= at for one in asked):
                undone.add(ends[-1].at)
                turns = [one for one in turns if one.at != ends[-1].at]
                ends.pop()
            turns.append(Turn(at, ours=True, by=act.by, way=act.way))
            state = ConversationState.OPEN
        else:
            continue
        since = at
    written = [*asked, *(said if state is ConversationState.OPEN else [])]
    if since is not None and any(one > since for one in written):
        state = None
    return Standing(tuple(ends), frozenset(undone), tuple(turns), state, since)


_STATES = {
    RESOLVED: ConversationState.RESOLVED,
    CLOSED: ConversationState.CLOSED,
    NOT_NEEDED: ConversationState.WAITING,
}
