"""A notice as Slack shows it: Block Kit blocks and the fallback text, inside every limit for any input."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from aggregator.destinations.escape import (
    fit,
    link,
    mrkdwn,
    one_line,
    plain,
    shown,
    units,
)
from aggregator.destinations.render import (
    MAX_LABELS,
    PRIORITY_SIGN,
    STATE_SIGN,
    State,
    attachments,
    credentials,
    local_time,
    message_count,
    person,
    priority,
    reply_window,
    sentiment,
    speaker,
    standing,
    state_of,
    where,
    words_of,
)
from aggregator.destinations.wording import say
from aggregator.model import Card, Notice, NoticeKind, Said

# Limits: docs.slack.dev, Block Kit reference. The total is not documented; near 13,200 characters of
# legal blocks were seen refused with msg_blocks_too_long (slackapi/bolt-js issue 2509).
MAX_BLOCKS: Final = 50
MAX_SECTION: Final = 3000
MAX_HEADER: Final = 150
MAX_TOTAL: Final = 12_000
MAX_FALLBACK: Final = 600
MAX_LATEST: Final = 2200
MAX_LINES: Final = 40
MAX_FIRST: Final = 700
MAX_WHY: Final = 5
MAX_MENTIONS: Final = 10
DIGEST_LINE: Final = 500

_MENTION = re.compile(r"<(?:!(?:here|channel|everyone)|!subteam\^[A-Z0-9]+|@[UW][A-Z0-9]+)>")

Block = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shown:
    """`blocks` are the message; `text` is its fallback, for notifications and readers of screens."""

    blocks: tuple[Block, ...]
    text: str
    paged: str = ""  # mentions, from rule files only


def shown_in_slack(notice: Notice) -> Shown:
    """Render any notice. Everything from outside is data: it formats nothing and pages nobody."""
    if notice.kind is NoticeKind.CARD and notice.card is not None:
        return _within(_card(notice, notice.card))
    if notice.kind is NoticeKind.MESSAGE and notice.message is not None:
        return _within(_message(notice, notice.message))
    if notice.kind is NoticeKind.DIGEST and notice.digest:
        return _within(_digest(notice))
    return _within(_spoken(notice))


def _within(message: Shown) -> Shown:
    """The undocumented total: blocks that no longer fit go, last first; the first ones say the most."""
    blocks = list(message.blocks)
    while len(blocks) > 1 and sum(_size(block) for block in blocks) > MAX_TOTAL:
        blocks.pop()
    return Shown(tuple(blocks[:MAX_BLOCKS]), message.text, message.paged)


def _size(block: Block) -> int:
    texts = [block["text"]] if "text" in block else block.get("elements", [])
    return sum(units(text["text"]) for text in texts)


# --- the card ---------------------------------------------------------------------------------------


def _card(notice: Notice, card: Card) -> Shown:
    """1. how urgent, and where; 2. how long is left; 3. who, and what they said; 4. why; 5. small print."""
    language = notice.language
    paged = _mentions(notice)
    blocks = [_header(_title(notice, card))]
    blocks.append(_section(" · ".join([_deadline(notice, card), *([paged] if paged else [])])))
    customer = card.latest.author or card.contact
    who = [f"*{mrkdwn(person(customer, language), 160)}*"]
    who += [mrkdwn(fact, 120) for fact in credentials(customer, language)]
    blocks.append(_section(f"{' · '.join(who)}\n{_quoted(card.latest, language, MAX_LATEST)}"))
    if card.first.id != card.latest.id:
        heading = say(
            language, "first", time=local_time(card.first.at, notice.timezone, notice.now)
        )
        blocks.append(_context([f"{heading}\n{_quoted(card.first, language, MAX_FIRST)}"]))
    blocks.append(_section(_why(card, language)))
    window = reply_window(card, notice, lambda at: date_token(at, notice))
    if window is not None:
        blocks.append(_context([f"🪟 {window}"]))
    blocks.append(_context(_small_print(card, language)))
    return Shown(tuple(blocks), _fallback(notice, card), paged)


def _title(notice: Notice, card: Card) -> str:
    language = notice.language
    state = state_of(card, notice.now)
    level = card.conversation.priority
    label = f"{priority(level, language)} · {where(card, language)}"
    if state in (State.WAITING, State.NO_TARGET):
        return f"{PRIORITY_SIGN[level]} {label}"
    return f"{STATE_SIGN[state]} {_upper_first(say(language, str(state)))} · {label}"


def _mentions(notice: Notice) -> str:
    """Who is paged: from rule files only, and only what is a mention; a word that is none is shown as text."""
    words = [
        word if _MENTION.fullmatch(word) else mrkdwn(one_line(word), 80)
        for word in notice.mentions[:MAX_MENTIONS]
    ]
    return " ".join(word for word in words if word)


def _quoted(said: Said, language: str, limit: int) -> str:
    """The words as a block quote, every line of it, then what was attached."""
    lines = mrkdwn(words_of(said, language), limit).split("\n")
    if len(lines) > MAX_LINES:
        lines = [*lines[:MAX_LINES], "…"]
    if said.deleted or not (said.text and shown(said.text)):
        lines = [f"_{' '.join(lines)}_"]
    attached = attachments(said, language)
    if attached:
        lines.append(f"📎 {mrkdwn(attached, 300)}")
    return "\n".join(f"> {line}" for line in lines)


def _deadline(notice: Notice, card: Card) -> str:
    stand = standing(
        card,
        notice,
        lambda at: date_token(at, notice),
        lambda outside: mrkdwn(one_line(outside), 200),
    )
    return " · ".join([f"{STATE_SIGN[stand.state]} *{_upper_first(stand.word)}*", *stand.rest])


def date_token(at: datetime, notice: Notice) -> str:
    """A time that Slack shows in each reader's own zone; the fallback is in the settings' zone."""
    fallback = local_time(at, notice.timezone, notice.now)
    same_day = len(fallback) == len("14:32")
    form = "{time}" if same_day else "{date_short_pretty} {time}"
    return f"<!date^{int(at.timestamp())}^{form}|{fallback}>"


def _why(card: Card, language: str) -> str:
    reasons = [mrkdwn(one_line(reason), 200) for reason in card.why[:MAX_WHY]]
    if len(card.why) > MAX_WHY:
        reasons.append(say(language, "more", count=len(card.why) - MAX_WHY))
    if not reasons:
        reasons = [say(language, "no_rule")]
    return "💡 " + say(language, "why", reasons=say(language, "and").join(reasons))


def _small_print(card: Card, language: str) -> list[str]:
    parts = []
    url = link(card.latest.url) or link(card.first.url)
    if url:
        parts.append(f"<{url}|{say(language, 'original')} ↗>")
    labels = card.conversation.labels
    if labels:
        words = [mrkdwn(one_line(label), 60) for label in labels[:MAX_LABELS]]
        if len(labels) > MAX_LABELS:
            words.append(say(language, "more", count=len(labels) - MAX_LABELS))
        parts.append("🏷️ " + say(language, "list").join(words))
    parts.append(mrkdwn(sentiment(card, language), 80))
    parts.append(message_count(card.count, language))
    parts.append(mrkdwn(one_line(card.conversation.account), 80))
    return parts


def _fallback(notice: Notice, card: Card) -> str:
    """One line for a notification; the quick words of the card, with plain times."""
    language = notice.language
    stand = standing(card, notice, lambda at: local_time(at, notice.timezone, notice.now))
    words = one_line(words_of(card.latest, language))
    name = person(card.latest.author or card.contact, language)
    quote = say(language, "quote", who=name, text=fit(words, 200))
    return plain(f"{_title(notice, card)} · {quote} · {stand.word}", MAX_FALLBACK)


# --- one message in the thread ----------------------------------------------------------------------


def _message(notice: Notice, said: Said) -> Shown:
    """Who, when, what. It says also where from: it may stand alone when its thread is gone."""
    language = notice.language
    customer = notice.card.contact if notice.card else None
    who = speaker(said, customer, language)
    facts = [f"*{mrkdwn(who, 160)}*", date_token(said.at, notice)]
    if notice.card is not None:
        facts.append(mrkdwn(where(notice.card, language), 100))
    words = one_line(words_of(said, language))
    quote = say(language, "quote", who=who, text=fit(words, 200))
    paged = _mentions(notice)
    blocks = [_section(paged)] if paged else []
    blocks.append(_section(f"{' · '.join(facts)}\n{_quoted(said, language, MAX_LATEST)}"))
    url = link(said.url)
    if url:
        blocks.append(_context([f"<{url}|{say(language, 'original')} ↗>"]))
    return Shown(tuple(blocks), plain(quote, MAX_FALLBACK), paged)


# --- digests, and the daemon on itself --------------------------------------------------------------


def _digest(notice: Notice) -> Shown:
    """One line a conversation, the most urgent first."""
    language = notice.language
    count = max(notice.count, len(notice.digest))
    title = f"🗂️ {say(language, 'digest')} · {say(language, 'conversations', count=count)}"
    # Of the same priority as they come: by deadline.
    ranked = sorted(notice.digest, key=lambda card: card.conversation.priority)
    lines = [_digest_line(card, language) for card in ranked]
    if count > len(lines):
        lines.append("_" + say(language, "more", count=count - len(lines)) + "_")
    blocks = [_header(title)]
    if notice.text and shown(notice.text):
        blocks.append(_section(mrkdwn(notice.text, 1000)))
    return Shown((*blocks, *_sections(lines)), plain(title, MAX_FALLBACK))


def _digest_line(card: Card, language: str) -> str:
    sign = PRIORITY_SIGN[card.conversation.priority]
    name = mrkdwn(person(card.latest.author or card.contact, language), 200)
    head = f"{sign} {card.conversation.priority} · {mrkdwn(where(card, language), 100)} · *{name}*"
    url = link(card.latest.url, 600)
    tail = f" <{url}|↗>" if url else ""
    words = mrkdwn(one_line(words_of(card.latest, language)), DIGEST_LINE - 200)
    return f"{head}  {words}{tail}"


def _spoken(notice: Notice) -> Shown:
    """What we say ourselves; it may quote a rule file, so it is data too."""
    sign = "🛠️ " if notice.kind is NoticeKind.OPS else ""
    text = notice.text or ""
    # Cut at line ends into sections; what is past the last one is past reading in a room.
    lines = [mrkdwn(line, MAX_SECTION - 10) for line in shown(sign + text).split("\n")]
    blocks = list(_sections(lines)) or [_section("…")]
    paged = _mentions(notice)
    if paged:
        blocks.insert(0, _section(paged))
    return Shown(tuple(blocks), plain(one_line(sign + text) or "…", MAX_FALLBACK), paged)


def _sections(lines: list[str]) -> tuple[Block, ...]:
    """Lines gathered into sections of legal size, each line whole."""
    blocks: list[Block] = []
    held: list[str] = []
    for line in lines:
        if held and sum(units(one) + 1 for one in held) + units(line) > MAX_SECTION:
            blocks.append(_section("\n".join(held)))
            held = []
        held.append(line)
    if any(held):
        blocks.append(_section("\n".join(held)))
    return tuple(blocks)


# --- blocks -----------------------------------------------------------------------------------------


def _header(text: str) -> Block:
    return {
        "type": "header",
        "text": {"type": "plain_text", "text": plain(text, MAX_HEADER), "emoji": True},
    }


def _section(text: str) -> Block:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text or "…", "verbatim": True}}


def _context(texts: list[str]) -> Block:
    return {
        "type": "context",
        "elements": [{"type": "mrkdwn", "text": text, "verbatim": True} for text in texts if text][
            :10
        ],
    }


def _upper_first(text: str) -> str:
    return text[:1].upper() + text[1:]


# --- simpler shapes, for a message that Slack refuses -----------------------------------------------


def simpler(message: Shown) -> tuple[Shown, ...]:
    """The message, then one plain section, then the text alone: tried in this order. All of them page."""
    text = f"{message.paged} {message.text}".strip()
    section = {"type": "section", "text": {"type": "plain_text", "text": message.text}}
    blocks = (section, _section(message.paged)) if message.paged else (section,)
    return (message, Shown(blocks, message.text, message.paged), Shown((), text, message.paged))
