"""The terminal: one line a notice. It needs no credential."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from typing import IO, ClassVar

import rich.console
from rich.text import Text

from aggregator.destinations.base import Options
from aggregator.destinations.escape import fit, link, one_line
from aggregator.destinations.render import (
    STATE_SIGN,
    State,
    attachments,
    local_time,
    person,
    priority,
    speaker,
    where,
    words_of,
)
from aggregator.destinations.render_text import digest_line, due_in_words, headline
from aggregator.destinations.wording import say
from aggregator.errors import Unavailable
from aggregator.model import Card, Notice, NoticeKind, Priority, Receipt

MAX_WORDS = 90
MAX_WHY = 2
PRIORITY_STYLE = {
    Priority.P1: "bold white on red",
    Priority.P2: "bold yellow",
    Priority.P3: "cyan",
    Priority.P4: "dim",
}
STATE_STYLE = {State.OVERDUE: "bold red", State.ANSWERED: "green", State.WAITING: "yellow"}


class Console:
    """Prints to standard output, or to `file`. What was printed before a crash may be printed again."""

    options: ClassVar[type[Options]] = Options

    def __init__(
        self,
        options: Options,
        *,
        now: Callable[[], datetime] | None = None,
        file: IO[str] | None = None,
    ) -> None:
        """`now` is taken as every destination's constructor takes it; a notice brings its own."""
        self._console = rich.console.Console(file=file or sys.stdout, highlight=False)

    def check(self) -> str:
        return "standard output"

    def send(self, notice: Notice) -> Receipt:
        failure = None
        try:
            write(notice, self._console)
        except (OSError, ValueError) as error:  # a closed pipe, a closed file
            failure = Unavailable(f"standard output: {type(error).__name__}")
        if failure is not None:
            raise failure
        return Receipt(f"console:{notice.key}")


def write(notice: Notice, console: rich.console.Console) -> None:
    """Print a notice as one line; a terminal wraps it, a pipe does not."""
    console.print(line(notice), soft_wrap=True)


def line(notice: Notice) -> Text:
    """The line: time, priority, where, who, what, why, how long is left. Text from outside steers nothing."""
    text = Text(local_time(notice.now, notice.timezone, notice.now) + "  ", style="dim", end="")
    text = Text.assemble(text)
    if notice.kind is NoticeKind.CARD and notice.card is not None:
        return _card(text, notice, notice.card)
    if notice.kind is NoticeKind.MESSAGE and notice.message is not None:
        return _message(text, notice)
    sign = "🗂️ " if notice.kind is NoticeKind.DIGEST else "🛠️ "
    text.append(sign + fit(one_line(headline(notice)), 2000), style="bold")
    for card in notice.digest[:3]:
        text.append(f"  |  {digest_line(card, notice.language)}", style="dim")
    return text


def _card(text: Text, notice: Notice, card: Card) -> Text:
    language = notice.language
    level = card.conversation.priority
    text.append(f" {priority(level, language)} ", style=PRIORITY_STYLE[level])
    text.append("  " if notice.earlier is None else " ↻ ")
    text.append(where(card, language), style="bold")
    name = person(card.latest.author or card.contact, language)
    text.append("  " + _quote(name, card, language))
    stand = due_in_words(notice, card, stays=False)
    due = " · ".join([stand.word, *stand.rest])
    text.append(f"  {STATE_SIGN[stand.state]} {due}", style=STATE_STYLE.get(stand.state, "default"))
    why = say(language, "and").join(fit(one_line(reason), 80) for reason in card.why[:MAX_WHY])
    if why:
        text.append(f"  💡 {why}", style="dim")
    return text


def _quote(name: str, card: Card, language: str) -> str:
    words = fit(one_line(words_of(card.latest, language)), MAX_WORDS)
    attached = attachments(card.latest, language)
    return say(language, "quote", who=name, text=f"{words} 📎 {attached}" if attached else words)


def _message(text: Text, notice: Notice) -> Text:
    assert notice.message is not None
    said, language = notice.message, notice.language
    text.append("  ↳ ", style="dim")
    if notice.card is not None:
        text.append(where(notice.card, language) + "  ", style="bold")
    name = speaker(said, notice.card.contact if notice.card else None, language)
    words = fit(one_line(words_of(said, language)), MAX_WORDS)
    text.append(say(language, "quote", who=name, text=words))
    address = link(said.url, 200)
    if address and notice.card is None:
        text.append(f"  {said.url}", style="dim")
    return text
