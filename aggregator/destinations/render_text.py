"""A notice as plain text: for a ticket's subject and comments, and for one line in a terminal."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from aggregator.destinations.escape import fit, link, octets, one_line, shown
from aggregator.destinations.render import (
    STATE_SIGN,
    Standing,
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
    where,
    words_of,
)
from aggregator.destinations.wording import say
from aggregator.model import Card, Notice, NoticeKind, Said

MAX_SUBJECT: Final = 150
MAX_BODY_OCTETS: Final = 48_000  # Zendesk takes 64 KiB a comment
MAX_WORDS: Final = 10_000

_TEMPLATE = re.compile(r"(?<=\{)(?=[{%])")


def subject(notice: Notice) -> str:
    """One line that says what it is about, at most 150 units."""
    language = notice.language
    if notice.card is None or notice.kind in (NoticeKind.OPS, NoticeKind.DIGEST):
        return fit(inert(one_line(headline(notice))), MAX_SUBJECT) or say(language, "ops")
    card = notice.card
    name = person(card.latest.author or card.contact, language)
    words = one_line(words_of(notice.message or card.latest, language))
    quote = say(language, "quote", who=name, text=words)
    return fit(inert(f"{where(card, language)} · {quote}"), MAX_SUBJECT)


def headline(notice: Notice) -> str:
    """What stands for a notice that is about no single conversation."""
    if notice.kind is NoticeKind.DIGEST:
        count = max(notice.count, len(notice.digest))
        counted = say(notice.language, "conversations", count=count)
        return f"{say(notice.language, 'digest')} · {counted}"
    return notice.text or say(notice.language, "ops")


def full(notice: Notice) -> str:
    """All of a notice, lines and all, for a comment in a ticket."""
    if notice.kind is NoticeKind.MESSAGE and notice.message is not None:
        text = _message(notice, notice.message)
    elif notice.kind is NoticeKind.CARD and notice.card is not None:
        text = _card(notice, notice.card)
    else:
        text = _spoken(notice)
    return fit(inert(text), MAX_BODY_OCTETS, measure=octets)


def inert(text: str) -> str:
    """The text with `{{` and `{%` broken up: a ticket system may read them as its own placeholders."""
    return _TEMPLATE.sub("\u200b", text)


def due_in_words(notice: Notice, card: Card, *, stays: bool = True) -> Standing:
    def show(at: datetime) -> str:
        return local_time(at, notice.timezone, notice.now)

    return standing(card, notice, show, stays=stays)


def _card(notice: Notice, card: Card) -> str:
    language = notice.language
    customer = card.latest.author or card.contact
    stand = due_in_words(notice, card)
    head = [
        f"{priority(card.conversation.priority, language)} · {where(card, language)}",
        " · ".join([person(customer, language), *credentials(customer, language)]),
    ]
    heading = say(language, "latest", time=local_time(card.latest.at, notice.timezone, notice.now))
    parts = ["\n".join(head), f"{heading}\n{_words(card.latest, language)}"]
    if card.first.id != card.latest.id:
        heading = say(
            language, "first", time=local_time(card.first.at, notice.timezone, notice.now)
        )
        parts.append(f"{heading}\n{_words(card.first, language)}")
    why = [one_line(reason) for reason in card.why] or [say(language, "no_rule")]
    foot = [
        f"{STATE_SIGN[stand.state]} {' · '.join([stand.word, *stand.rest])}",
        say(language, "why", reasons=say(language, "and").join(why)),
    ]

    def show(at: datetime) -> str:
        return local_time(at, notice.timezone, notice.now)

    window = reply_window(card, notice, show)
    if window is not None:
        foot.insert(1, f"🪟 {window}")
    labels = say(language, "list").join(one_line(label) for label in card.conversation.labels)
    if labels:
        foot.append(say(language, "labels", labels=labels))
    foot.append(f"{sentiment(card, language)} · {message_count(card.count, language)}")
    foot.append(say(language, "account", account=one_line(card.conversation.account)))
    address = _address(card.latest) or _address(card.first)
    if address:
        foot.append(say(language, "address", url=address))
    parts.append("\n".join(foot))
    return "\n\n".join(parts)


def _message(notice: Notice, said: Said) -> str:
    language = notice.language
    who = speaker(said, notice.card.contact if notice.card else None, language)
    lines = [f"{who} · {local_time(said.at, notice.timezone, notice.now)}", _words(said, language)]
    address = _address(said)
    if address:
        lines.append(say(language, "address", url=address))
    return "\n".join(lines)


def _spoken(notice: Notice) -> str:
    lines = [shown(notice.text)] if notice.text else []
    for card in sorted(notice.digest, key=lambda card: card.conversation.priority):
        lines.append(digest_line(card, notice.language))
    left = notice.count - len(notice.digest)
    if left > 0:
        lines.append(say(notice.language, "more", count=left))
    return "\n".join(lines) or headline(notice)


def digest_line(card: Card, language: str) -> str:
    name = person(card.latest.author or card.contact, language)
    words = fit(one_line(words_of(card.latest, language)), 200)
    quote = say(language, "quote", who=name, text=words)
    return f"{card.conversation.priority} · {where(card, language)} · {quote}"


def _words(said: Said, language: str) -> str:
    words = fit(shown(words_of(said, language)), MAX_WORDS)
    attached = attachments(said, language)
    return f"{words}\n📎 {attached}" if attached else words


def _address(said: Said) -> str | None:
    """The link as an address to read: nothing is escaped here, since nothing is markup."""
    return said.url if link(said.url) and said.url == one_line(said.url or "") else None
