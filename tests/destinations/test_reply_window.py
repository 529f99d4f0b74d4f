"""A card says until when, and how many times, the platform lets us answer."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from aggregator.destinations.example import NOW, example
from aggregator.destinations.render_slack import shown_in_slack
from aggregator.destinations.render_text import full
from aggregator.model import ConversationState, Notice


def notice(language: str, closes_at: datetime | None, left: int | None, **more: Any) -> Notice:
    given = example(language)
    assert given.card is not None
    about = replace(
        given.card.conversation, reply_window_closes_at=closes_at, reply_window_left=left, **more
    )
    return replace(given, card=replace(given.card, conversation=about))


@pytest.mark.parametrize(
    ("language", "hours", "left", "words"),
    [
        ("zh", 2, 3, "平台回复窗口：16:20 关闭（14:20 时还剩 2 小时）、可回复 3 条"),
        ("en", 2, 3, "reply window: closes at 16:20 (2 h left at 14:20), 3 left"),
        ("zh", None, 1, "平台回复窗口：可回复 1 条"),
        ("en", 2, 0, "reply window: closes at 16:20 (2 h left at 14:20), none left"),
        ("zh", -1, 3, "平台回复窗口：已关闭"),
        ("en", -1, None, "reply window: closed"),
    ],
)
def test_a_card_tells_the_window(
    language: str, hours: int | None, left: int | None, words: str
) -> None:
    closes_at = None if hours is None else NOW + timedelta(hours=hours)
    given = notice(language, closes_at, left)
    assert f"🪟 {words}\n" in full(given)
    blocks = str(shown_in_slack(given).blocks)
    assert words.partition("16:20")[0] in blocks
    assert blocks.count("🪟") == 1


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_card_says_nothing_of_a_window_where_there_is_none(language: str) -> None:
    assert "🪟" not in full(notice(language, None, None))
    done = notice(language, NOW, 1, state=ConversationState.RESOLVED)
    assert "🪟" not in full(done)
    assert "🪟" not in str(shown_in_slack(done).blocks)
