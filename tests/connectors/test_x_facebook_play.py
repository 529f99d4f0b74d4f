"""The script's hour, played into the stand-ins of X and Facebook, comes back as it was, whatever they do."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aggregator.errors import Unavailable
from aggregator.model import Message
from aggregator.sandbox.base import Truth
from aggregator.sandbox.facebook import FacebookStandin
from aggregator.sandbox.script import busy_hour
from aggregator.sandbox.x import XStandin
from connectors.facebook import Facebook
from connectors.x import X

NOTHING: Callable[[Any], None] = lambda standin: None  # noqa: E731


def _post_words(standin: Any) -> None:
    standin.vocabulary = "post"


def _late(standin: Any) -> None:
    standin.lag = timedelta(seconds=45)


def _forgetful(standin: Any) -> None:
    standin.trailing_token = True


def _bare_ids(standin: Any) -> None:
    standin.bare_comment_ids = True


def _odd_pages(standin: Any) -> None:
    standin.graph.short_pages = standin.graph.empty_pages = True


def _heavy(standin: Any) -> None:
    standin.graph.heavy_above = 20


class NoKeep:
    def get(self, key: str) -> str | None:
        return None

    def swap(self, key: str, old: str | None, new: str | None) -> bool:
        return True


@pytest.mark.parametrize(
    ("platform", "turned"),
    [
        *(("x", knob) for knob in (NOTHING, _post_words, _late, _forgetful)),
        *(("facebook", knob) for knob in (NOTHING, _bare_ids, _odd_pages, _heavy)),
    ],
)
def test_the_hour_comes_back_as_it_was(platform: str, turned: Callable[[Any], None]) -> None:
    chance = random.Random(11)
    clock = [datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=90)]
    standin: Any
    if platform == "x":
        standin = XStandin(lambda: clock[0], rate_factor=100)
    else:
        standin = FacebookStandin(lambda: clock[0], conversations_per_second=1e9)
    turned(standin)
    standin.start()
    connector: Any = (X if platform == "x" else Facebook)(
        (X if platform == "x" else Facebook).options.model_validate(standin.options()),  # type: ignore[arg-type]
        keep=NoKeep(),
        now=lambda: clock[0],
    )
    found: dict[str, Message] = {}
    cursors: dict[str, str | None] = {}

    def poll(*, trouble: bool) -> None:
        for stream in [one for one in connector.streams if one != "webhook"]:
            for _ in range(60):
                if trouble and chance.random() < 0.1:
                    kinds = ("html", "html_ok", "truncated", "cut", "cut_after", "status")
                    standin.fault(chance.choice(kinds), status=chance.choice((429, 500)))
                try:
                    page = connector.poll(stream, cursors.get(stream))
                except Unavailable:
                    break
                cursors[stream] = page.cursor
                found.update((message.key, message) for message in page.messages)
                if not page.more:
                    break

    told: dict[str, Truth] = {}
    try:
        poll(trouble=False)
        for line in busy_hour():
            if line.platform == platform:
                clock[0] += timedelta(seconds=90)
                told[line.label] = standin.play(line, clock[0], told)
                poll(trouble=True)
        standin.faults.clear()
        for _ in range(5):
            clock[0] += timedelta(minutes=2)
            poll(trouble=False)
    finally:
        standin.stop()
    latest = {f"{truth.kind}:{truth.native_id}": truth for truth in told.values()}
    wanted = {key: as_told(truth) for key, truth in latest.items() if truth.exported}
    ours = {key: as_read(message) for key, message in found.items() if key in wanted}
    assert ours == wanted
    extra = [message for key, message in found.items() if key not in wanted]
    assert all(message.direction == "outbound" for message in extra)  # posts that carry others'


def as_told(truth: Truth) -> tuple[Any, ...]:
    author = tuple(truth.author[name] for name in ("native_id", "name", "handle"))
    return (
        *(truth.direction, truth.text, truth.url, truth.sent_at, truth.reply_to, truth.root),
        *(author, sorted(truth.attachments)),
    )


def as_read(message: Message) -> tuple[Any, ...]:
    author = message.author
    assert author is not None
    return (
        *(str(message.direction), message.text, message.url, message.sent_at),
        *(message.reply_to, message.root, (author.native_id, author.name, author.handle)),
        sorted(attachment.kind for attachment in message.attachments),
    )
