"""The terminal: one line a notice, and text from outside steers nothing."""

from __future__ import annotations

import io
import unicodedata

import pytest
import rich.console
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.destinations.base import Options
from aggregator.destinations.console import Console, line, write
from aggregator.destinations.example import story
from aggregator.errors import Unavailable
from aggregator.model import Receipt
from tests.destinations.rooms import card, carded, digest, every_kind, message, ops, with_text


def printed(*notices: object) -> str:
    out = io.StringIO()
    console = Console(Options(), file=out)
    for notice in notices:
        console.send(notice)  # type: ignore[arg-type]
    return out.getvalue()


def test_a_card_is_one_line_with_everything_on_it() -> None:
    text = printed(card("zh"))
    assert text.count("\n") == 1
    for words in (
        "14:20",
        "P1 紧急",
        "微博 · 提及",
        "林小满：你们的充电宝起火了",
        "⏳ 14:26 前首次回复 · 还剩 6 分钟",
        "💡 人身安全：起火",
    ):
        assert words in text, words


def test_every_kind_of_notice_is_one_line() -> None:
    notices = every_kind()
    assert printed(*notices).count("\n") == len(notices)


def test_an_edited_card_is_marked_as_one() -> None:
    assert "↻" in printed(card(earlier=Receipt("console:1")))
    assert "↻" not in printed(card())


def test_an_answer_is_told_in_its_line() -> None:
    assert "✅ answered · by Li at 14:24 · after 13 min · within target" in printed(story("en")[3])


def test_ops_and_digests_and_messages_are_told() -> None:
    given_card = card().card
    assert given_card is not None
    assert "🛠️ 令牌 3 天后过期" in printed(ops("令牌 3 天后过期"))
    assert "摘要 · 9 个会话" in printed(digest(given_card, count=9))
    assert "↳ 微博 · 提及  林小满：在吗？" in printed(message("在吗？"))


HOSTILE = st.text(
    st.one_of(st.characters(), st.sampled_from("\x1b[]\r\n\x07\x9b\u202e{}%")), max_size=200
)


@settings(deadline=None)
@given(HOSTILE, HOSTILE)
def test_no_control_character_of_a_customer_reaches_the_terminal(text: str, why: str) -> None:
    notice = carded(with_text(card(), text), why=(why,))
    for shown in (printed(notice), printed(ops(text))):
        assert shown.count("\n") == 1
        for char in shown[:-1]:
            assert unicodedata.category(char) not in ("Cc", "Cs")


def test_square_brackets_are_no_markup() -> None:
    assert "[bold red]退款[/] [怒]" in printed(with_text(card(), "[bold red]退款[/] [怒]"))


def test_colours_are_for_terminals_only() -> None:
    assert "\x1b[" not in printed(card())
    out = io.StringIO()
    write(card(), rich.console.Console(file=out, force_terminal=True, color_system="standard"))
    assert "\x1b[" in out.getvalue()
    assert "紧急" in line(card()).plain


def test_a_closed_output_is_unavailable_and_not_a_crash() -> None:
    out = io.StringIO()
    console = Console(Options(), file=out)
    out.close()
    with pytest.raises(Unavailable):
        console.send(card())


def test_check_says_where_it_prints() -> None:
    assert Console(Options()).check() == "standard output"
