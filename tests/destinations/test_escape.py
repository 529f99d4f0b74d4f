"""Text from outside: what is shown of it, and where it is cut."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.destinations.escape import (
    clusters,
    entities,
    fit,
    link,
    mrkdwn,
    octets,
    one_line,
    plain,
    shown,
    units,
)

ANY = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from("&<>*_~`|\u200d\ufe0f\u0301\u202e\x1b\n\r中退款👩🇨🇳🏽각"),
    ),
    max_size=200,
)


@given(ANY, st.integers(1, 60))
def test_what_is_cut_is_within_the_limit_and_holds_whole_entities(text: str, limit: int) -> None:
    cut = fit(text, limit, escape=entities)
    assert units(cut) <= limit
    assert not re.search(r"&(?!(?:amp|lt|gt);)", cut)
    assert "<" not in cut and ">" not in cut


@given(ANY, st.integers(3, 60))
def test_a_cut_by_octets_leaves_whole_characters(text: str, limit: int) -> None:
    assert octets(fit(text, limit, measure=octets)) <= limit


@given(ANY)
def test_the_clusters_put_together_are_the_text(text: str) -> None:
    assert "".join(clusters(text)) == text


@given(ANY)
def test_nothing_that_steers_a_terminal_or_hides_is_shown(text: str) -> None:
    for char in shown(text):
        assert char == "\n" or unicodedata.category(char) not in ("Cc", "Cs"), hex(ord(char))
        assert char not in "\u200b\u200e\u200f\u202a\u202b\u202d\u202e\u2066\u2069\ufeff"
    assert "\n" not in one_line(text)


@given(ANY, st.integers(10, 80))
def test_shown_text_pages_nobody_in_slack(text: str, limit: int) -> None:
    hostile = text + "<!channel> <@U012AB3CD> <!subteam^S1> <https://evil.example|官网>"
    for made in (mrkdwn(hostile, 4000), plain(hostile, 4000), mrkdwn(hostile, limit)):
        assert "<" not in made and ">" not in made


@pytest.mark.parametrize(
    "whole",
    [
        "👩‍👩‍👧‍👦",
        "🇨🇳",
        "👍🏽",
        "e\u0301",
        "❤️‍🔥",
        "1️⃣",
        "각",
        "\u1112\u1161\u11ab",
        "क्ष",
        "🏴󠁧󠁢󠁥󠁮󠁧󠁿",
        "กำ",
    ],
)
def test_a_cut_never_falls_inside_a_grapheme(whole: str) -> None:
    assert list(clusters(whole)) == [whole]
    text = "退" + whole * 3
    for limit in range(1, units(text) + 1):
        cut = fit(text, limit).removesuffix("…")
        assert cut in ("", "退", "退" + whole, "退" + whole * 2, "退" + whole * 3)


def test_flags_are_pairs_and_not_a_chain() -> None:
    assert list(clusters("🇨🇳🇺🇸🇬🇧")) == ["🇨🇳", "🇺🇸", "🇬🇧"]


def test_a_text_that_fits_is_not_cut() -> None:
    assert fit("退款已到账", 5) == "退款已到账"
    assert fit("退款已到账了", 5) == "退款已到…"
    assert fit("", 5) == ""


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ("\x1b[2J\x1b]0;标题\x07你好", "你好"),
        ("a\x00b\x9b31mc", "abc"),
        ("\x1b]没有结尾的标题，后面的话还在", "没有结尾的标题，后面的话还在"),
        ("退款\u202e到账没\u202c", "退款到账没"),
        ("退\u200b款\ufeff", "退款"),
        ("一行\r\n两行\u2028三行", "一行\n两行\n三行"),
        ("很\n\n\n\n\n远", "很\n\n远"),
        ("家庭👨‍👩‍👧在", "家庭👨‍👩‍👧在"),
        ("假\u200d连", "假连"),
        ("z" + "\u0351" * 500 + "algo", "z" + "\u0351" * 4 + "algo"),
        ("半个\ud83d字", "半个\ufffd字"),
        ("藏\U000e0041\U000e0042文", "藏文"),
    ],
)
def test_the_display_copy_is_what_a_reader_may_see(given: str, seen: str) -> None:
    assert shown(given) == seen


@pytest.mark.parametrize("text", ["*bold*", "_it_", "~no~", "`code`", "```块```", "说*重点*吧"])
def test_formatting_marks_are_shown_and_format_nothing(text: str) -> None:
    made = mrkdwn(text, 100)
    assert made.replace("\u200b", "") == text
    assert not re.search(r"[*_~`](?!\u200b)", re.sub(r"(?<=[A-Za-z0-9])_(?=[A-Za-z0-9])", "", made))


def test_an_underscore_inside_a_name_stays_alone() -> None:
    assert mrkdwn("order_no_123 在哪", 100) == "order_no_123 在哪"


def test_a_leading_quote_mark_is_no_quote() -> None:
    assert mrkdwn("> 我没说过\n>>> 也没有", 100) == "\u200b&gt; 我没说过\n\u200b&gt;&gt;&gt; 也没有"


@pytest.mark.parametrize(
    "bad",
    [
        None,
        "",
        "javascript:alert(1)",
        "weixin://dl/chat",
        "//evil.example",
        "https://user:pw@evil.example/",
        "https://weibo.com@evil.example/x",
        "https://",
        "https://a.example/" + "x" * 2001,
    ],
)
def test_an_address_that_is_none_or_deceives_is_no_link(bad: str | None) -> None:
    assert link(bad) is None


def test_an_address_cannot_end_its_own_link() -> None:
    made = link("https://weibo.com/a|点这里>?x=1&y=<!channel>")
    assert made == "https://weibo.com/a%7C点这里%3E?x=1&amp;y=%3C!channel%3E"


def test_a_megabyte_is_cut_at_once() -> None:
    assert units(mrkdwn("退款！" * 350_000, 2000)) <= 2000
