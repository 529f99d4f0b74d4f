"""What every destination says in the same words: people, places, times, durations, and how long is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from aggregator.destinations.escape import fit, one_line
from aggregator.destinations.wording import name, say
from aggregator.model import (
    Author,
    Card,
    Clock,
    ConversationState,
    Direction,
    Notice,
    Outcome,
    Priority,
    Said,
)

NOTABLE_FOLLOWERS = 10_000
ID_SHOWN = 6
LONG_ID = 20
MAX_NAME = 80
MAX_LABELS = 10

PRIORITY_SIGN = {Priority.P1: "🔴", Priority.P2: "🟠", Priority.P3: "🔵", Priority.P4: "⚪"}
SENTIMENT_SIGN = {"positive": "🙂", "neutral": "😐", "negative": "😠"}


class State(StrEnum):
    """Where a conversation stands for somebody who looks at its card."""

    WAITING = "waiting"
    OVERDUE = "overdue"
    ANSWERED = "answered"
    RESOLVED = "resolved"
    CLOSED = "closed"
    UNANSWERED_CLOSED = "unanswered_closed"
    NOT_NEEDED = "not_needed"
    WITHDRAWN = "withdrawn"
    NO_TARGET = "no_target"


STATE_SIGN = {
    State.WAITING: "⏳",
    State.OVERDUE: "🚨",
    State.ANSWERED: "✅",
    State.RESOLVED: "✅",
    State.CLOSED: "☑️",
    State.UNANSWERED_CLOSED: "☑️",
    State.NOT_NEEDED: "☑️",
    State.WITHDRAWN: "🗑️",
    State.NO_TARGET: "💬",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """`word` is the state in one word or clause, `rest` what to know about it, ready to be shown."""

    state: State
    word: str
    rest: tuple[str, ...]


def state_of(card: Card, now: datetime) -> State:
    """A running clock comes first; then how the last one ended; then what the conversation says."""
    clock = card.clock
    if clock is not None and clock.stopped_at is None:
        late = clock.breached_at is not None or now > clock.due_at
        return State.OVERDUE if late else State.WAITING
    if clock is not None and clock.outcome in _ENDS:
        return _ENDS[clock.outcome]
    if card.conversation.state is ConversationState.RESOLVED:
        return State.RESOLVED
    if card.answered is not None or clock is not None:
        return State.ANSWERED
    if card.conversation.state is ConversationState.CLOSED:
        return State.CLOSED
    return State.NO_TARGET


_ENDS = {
    Outcome.UNANSWERED_CLOSED: State.UNANSWERED_CLOSED,
    Outcome.NOT_NEEDED: State.NOT_NEEDED,
    Outcome.WITHDRAWN: State.WITHDRAWN,
}


def standing(
    card: Card,
    notice: Notice,
    show: Callable[[datetime], str],
    escape: Callable[[str], str] = one_line,
    *,
    stays: bool = True,
) -> Standing:
    """How long is left, or how it ended.

    `show` writes a time, `escape` what comes from outside (a colleague's name). Where the words `stay`, a
    duration says at what time it was true: a card may stand for hours before it is edited.
    """
    language = notice.language
    state = state_of(card, notice.now)
    clock = card.clock
    at = "_at" if stays else ""
    if state is State.WAITING and clock is not None:
        left = duration(clock.due_at - notice.now, language)
        return Standing(
            state,
            say(language, "waiting", time=show(clock.due_at), reply=_reply(clock, language)),
            (say(language, "waiting.left" + at, now=show(notice.now), left=left),),
        )
    if state is State.OVERDUE and clock is not None:
        over = duration(notice.now - clock.due_at, language)
        return Standing(
            state,
            say(language, "overdue"),
            (
                say(
                    language,
                    "overdue.since",
                    time=show(clock.due_at),
                    reply=_reply(clock, language),
                ),
                say(language, "overdue.by" + at, now=show(notice.now), over=over),
            ),
        )
    if state is State.ANSWERED:
        return Standing(state, say(language, "answered"), _answered(card, language, show, escape))
    return Standing(state, say(language, str(state)), ())


def _reply(clock: Clock, language: str) -> str:
    return say(language, f"reply.{clock.kind}")


def _answered(
    card: Card, language: str, show: Callable[[datetime], str], escape: Callable[[str], str]
) -> tuple[str, ...]:
    rest = []
    if card.answered is not None:
        who = escape(speaker(card.answered, None, language))
        rest.append(say(language, "answered.by", who=who, time=show(card.answered.at)))
    clock = card.clock
    if clock is not None and clock.wall_ms is not None:
        wall = duration(timedelta(milliseconds=clock.wall_ms), language)
        business = wall
        if clock.business_ms is not None:
            business = duration(timedelta(milliseconds=clock.business_ms), language)
        key = "answered.after" if business == wall else "answered.business"
        rest.append(say(language, key, wall=wall, business=business))
    if clock is not None and clock.outcome in (Outcome.MET, Outcome.BREACHED):
        rest.append(say(language, f"answered.{clock.outcome}"))
    return tuple(rest)


def reply_window(card: Card, notice: Notice, show: Callable[[datetime], str]) -> str | None:
    """Until when, and how many times, the platform lets us answer; None where it sets no limit or all is over."""
    language, about = notice.language, card.conversation
    closes_at, left = about.reply_window_closes_at, about.reply_window_left
    if (closes_at is None and left is None) or about.state in _DONE:
        return None
    if closes_at is not None and closes_at <= notice.now:
        return say(language, "window", rest=say(language, "window.closed"))
    rest = []
    if closes_at is not None:
        until = duration(closes_at - notice.now, language)
        rest.append(
            say(
                language,
                "window.closes",
                time=show(closes_at),
                left=until,
                now=show(notice.now),
            )
        )
    if left is not None:
        rest.append(say(language, "window.left" if left > 0 else "window.none", count=left))
    return say(language, "window", rest=say(language, "list").join(rest))


_DONE = (ConversationState.RESOLVED, ConversationState.CLOSED)


# --- times ------------------------------------------------------------------------------------------


def duration(delta: timedelta, language: str) -> str:
    """Two units at most, rounded down: `1 h 5 min`, `2 天 3 小时`. Negative reads as its size."""
    minutes = int(abs(delta).total_seconds() // 60)
    if minutes < 1:
        return say(language, "moment")
    days, rest = divmod(minutes, 1440)
    hours, minutes = divmod(rest, 60)
    parts = [("days", days), ("hours", hours)] if days else [("hours", hours), ("minutes", minutes)]
    return " ".join(say(language, unit, count=count) for unit, count in parts if count)


def zone(timezone: str) -> tzinfo:
    """The zone of that name; UTC for a name that is none, so that a card always has times."""
    try:
        return ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def local_time(at: datetime, timezone: str, now: datetime) -> str:
    """`14:32`, with the date where it is not today, with the year where it is not this one."""
    try:
        here, today = at.astimezone(zone(timezone)), now.astimezone(zone(timezone))
    except OverflowError:  # the first or the last day that Python knows
        here, today = at, now
    if here.date() == today.date():
        return here.strftime("%H:%M")
    return here.strftime("%m-%d %H:%M" if here.year == today.year else "%Y-%m-%d %H:%M")


# --- people and places ------------------------------------------------------------------------------


def person(author: Author | None, language: str) -> str:
    """The name to call somebody by, on one line, at most 80 units.

    Where a platform gives only a long id (WeChat's openid), its end tells two people apart; a short one
    (a colleague's account) is shown as it is.
    """
    if author is None:
        return say(language, "somebody")
    for value in (author.name, author.handle):
        shown_name = one_line(value or "")
        if shown_name:
            return fit(shown_name, MAX_NAME)
    native_id = one_line(author.native_id or "")
    if len(native_id) > LONG_ID:
        return say(language, "customer", end=native_id[-ID_SHOWN:])
    return native_id or say(language, "somebody")


def credentials(author: Author | None, language: str) -> list[str]:
    """Handle, verification, and a following that matters."""
    if author is None:
        return []
    facts = []
    handle = one_line(author.handle or "").lstrip("@")
    if handle and handle != person(author, language):
        facts.append("@" + fit(handle, MAX_NAME))
    if author.verified:
        facts.append("✔ " + say(language, "verified"))
    if author.followers is not None and author.followers >= NOTABLE_FOLLOWERS:
        facts.append(say(language, "followers", count=_large(author.followers, language)))
    return facts


def _large(count: int, language: str) -> str:
    units = ((10**8, " 亿"), (10**4, " 万")) if language == "zh" else ((10**6, "M"), (10**3, "K"))
    for size, word in units:
        if count >= size:
            tenths = count * 10 // size
            return f"{tenths // 10}{word}" if tenths % 10 == 0 else f"{tenths / 10:.1f}{word}"
    return str(count)


def where(card: Card, language: str) -> str:
    """`微博 · 评论`: our words for the platform and the kind."""
    platform = name(language, "platform", card.conversation.platform)
    return f"{fit(one_line(platform), 40)} · {name(language, 'kind', card.latest.kind)}"


def priority(value: Priority, language: str) -> str:
    return f"{value} {say(language, f'priority.{value}')}"


def attachments(said: Said, language: str) -> str | None:
    """`图片 ×2、语音`; None where there are none. An unknown kind is told by its own name."""
    if said.deleted or not said.attachments:
        return None
    kinds = Counter(one_line(one.kind) for one in said.attachments)
    words = [
        fit(name(language, "attachment", kind), 30) + (f" ×{count}" if count > 1 else "")
        for kind, count in kinds.items()
    ]
    return say(language, "list").join(words[:8])


def words_of(said: Said, language: str) -> str:
    """What to show of a message: nothing of what its author withdrew."""
    if said.deleted:
        return say(language, "deleted")
    if said.text and one_line(said.text):
        return said.text
    return say(language, "no_text")


def speaker(said: Said, customer: Author | None, language: str) -> str:
    """Whose words: the author, else the customer; of our own side, the colleague or `our team`."""
    if said.direction is Direction.OUTBOUND:
        ours = said.author and one_line((said.author.name or "") + (said.author.handle or ""))
        return person(said.author, language) if ours else say(language, "us")
    return person(said.author or customer, language)


def message_count(count: int, language: str) -> str:
    return say(language, "count.one") if count == 1 else say(language, "count", count=count)


def sentiment(card: Card, language: str) -> str:
    word = name(language, "sentiment", card.sentiment)
    sign = SENTIMENT_SIGN.get(card.sentiment, "")
    return f"{sign} {word} {card.score:+.2f}".strip()
