"""The card in Slack: what it says, that nothing from outside acts, and that any input stays inside every limit."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from slack_sdk.models.blocks import Block

from aggregator.destinations.escape import units
from aggregator.destinations.example import NOW, story
from aggregator.destinations.render_slack import shown_in_slack, simpler
from aggregator.model import (
    Attachment,
    Author,
    Kind,
    Notice,
    NoticeKind,
    Outcome,
    Priority,
    Receipt,
    Said,
)
from tests.destinations.rooms import card, carded, digest, every_kind, message, ops, with_text

PAGES = re.compile(r"<!(?:channel|here|everyone|subteam)|<[@#]")
LIMITS = {"header": 150, "section": 3000, "context": 2000}


def texts(blocks: Any) -> list[dict[str, Any]]:
    found = []
    for block in blocks:
        found += [block["text"]] if "text" in block else block["elements"]
    return found


def read(notice: Notice) -> str:
    """All text of the blocks, date tokens as their fallback."""
    shown = shown_in_slack(notice)
    joined = "\n".join(text["text"] for text in texts(shown.blocks))
    return re.sub(r"<!date\^-?\d+\^[^|]+\|([^>]+)>", r"\1", joined)


def legal(notice: Notice) -> None:
    """Our own table of limits, and the SDK's as an independent judge."""
    for shape in simpler(shown_in_slack(notice)):
        assert shape.text.strip() and units(shape.text) <= 4000
        assert len(shape.blocks) <= 50
        total = 0
        for block in shape.blocks:
            Block.parse(dict(block)).validate_json()
            assert len(block.get("elements", ())) <= 10
            for text in texts([block]):
                total += units(text["text"])
                assert 0 < units(text["text"]) <= LIMITS[block["type"]]
                assert text["type"] == "plain_text" or text["verbatim"] is True
                assert not re.search(r"&(?!(?:amp|lt|gt);)", text["text"])
        assert total <= 12_000
        json.dumps(shape.blocks).encode("utf-8")
        shape.text.encode("utf-8")


HOSTILE = st.one_of(
    st.text(max_size=300),
    st.text(st.sampled_from("&<>*_`~|!@#^👩\u200d😡退\n\ud83d\u202e\x1b"), max_size=6000),
    st.sampled_from(
        ["", " ", "\n" * 5000, "&" * 9000, "退" * 20_000, "👨‍👩‍👧‍👦" * 3000, "a\u0301" * 9000]
    ),
)
TIMES = st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))


@st.composite
def authors(draw: Any) -> Author:
    return Author(
        draw(st.one_of(st.none(), HOSTILE)),
        draw(st.one_of(st.none(), HOSTILE)),
        draw(st.one_of(st.none(), HOSTILE)),
        draw(st.one_of(st.none(), st.integers(0, 10**12))),
        draw(st.one_of(st.none(), st.booleans())),
    )


@st.composite
def saids(draw: Any, id: int) -> Said:
    kinds = draw(st.lists(HOSTILE, max_size=20))
    return Said(
        id=id,
        direction=draw(st.sampled_from(["inbound", "outbound"])),
        kind=draw(st.sampled_from(Kind)),
        author=draw(st.one_of(st.none(), authors())),
        text=draw(st.one_of(st.none(), HOSTILE)),
        at=draw(TIMES),
        url=draw(st.one_of(st.none(), HOSTILE, HOSTILE.map(lambda text: "https://a.cn/" + text))),
        attachments=tuple(Attachment(kind) for kind in kinds),
        deleted=draw(st.booleans()),
    )


@st.composite
def notices(draw: Any) -> Notice:
    notice = card(draw(st.sampled_from(["zh", "en"])), now=draw(TIMES))
    assert notice.card is not None and notice.card.clock is not None
    clock = replace(
        notice.card.clock,
        due_at=draw(TIMES),
        stopped_at=draw(st.one_of(st.none(), TIMES)),
        outcome=draw(st.one_of(st.none(), st.sampled_from(Outcome))),
        wall_ms=draw(st.one_of(st.none(), st.integers(0, 10**14))),
        business_ms=draw(st.one_of(st.none(), st.integers(0, 10**14))),
    )
    conversation = replace(
        notice.card.conversation,
        account=draw(HOSTILE),
        platform=draw(HOSTILE),
        priority=draw(st.sampled_from(Priority)),
        labels=tuple(draw(st.lists(HOSTILE, max_size=30))),
    )
    notice = carded(
        notice,
        conversation=conversation,
        contact=draw(st.one_of(st.none(), authors())),
        first=draw(saids(1)),
        latest=draw(saids(draw(st.sampled_from([1, 2])))),
        count=draw(st.integers(0, 10**9)),
        sentiment=draw(st.sampled_from(["positive", "neutral", "negative", "<!here>"])),
        why=tuple(draw(st.lists(HOSTILE, max_size=12))),
        clock=draw(st.sampled_from([None, clock])),
        answered=draw(st.one_of(st.none(), saids(3))),
    )
    assert notice.card is not None
    kind = draw(st.sampled_from(NoticeKind))
    cards = (notice.card,) * draw(st.integers(0, 20)) if kind is NoticeKind.DIGEST else ()
    return replace(
        notice,
        kind=kind,
        mentions=(),
        message=draw(saids(4)),
        text=draw(st.one_of(st.none(), HOSTILE)),
        digest=cards,
        count=draw(st.integers(0, 10**6)),
    )


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(notices())
def test_any_notice_is_legal_and_pages_nobody(notice: Notice) -> None:
    legal(notice)
    shown = shown_in_slack(notice)
    assert not PAGES.search(json.dumps(shown.blocks, ensure_ascii=False) + shown.text)
    for text in texts(shown.blocks):
        outside = re.sub(
            r"<!date\^-?\d+\^[^<>|]+\|[-0-9: ]+>|<https?://[^<>|]+\|[^<>|]+>", "", text["text"]
        )
        assert "<" not in outside
        assert ">" not in re.sub(r"^> ", "", outside, flags=re.MULTILINE)


@pytest.mark.parametrize("notice", every_kind(), ids=lambda notice: notice.kind)
def test_the_plain_kinds_are_legal(notice: Notice) -> None:
    legal(notice)


def test_a_card_says_who_where_what_why_and_how_long_is_left() -> None:
    text = read(card("zh"))
    for words in (
        "🔴 P1 紧急 · 微博 · 提及",
        "*14:26 前首次回复* · 14:20 时还剩 6 分钟",
        "*林小满* · @linxiaoman · ✔ 已认证 · 12.3 万粉丝",
        "> 你们的充电宝起火了！！",
        "图片 ×2、视频",
        "最初（14:11）",
        "> 刚买的充电宝",
        "原因：人身安全：起火；催退款：退款、一直",
        "safety、refund",
        "负面 -0.82",
        "2 条消息",
        "weibo_acme",
        "<https://social.example/posts/2|查看原文 ↗>",
    ):
        assert words in text, words


def test_the_same_card_in_english_has_no_chinese_of_ours() -> None:
    shown = shown_in_slack(card("en"))
    whole = read(card("en")) + shown.text
    assert "🔴 P1 urgent · X · mention" in whole
    assert "*First reply by 14:26* · 6 min left at 14:20" in whole
    assert not re.search("[\u3400-\u9fff，。：；（）]", whole)


def test_times_are_slack_date_tokens_with_a_fallback_in_the_settings_zone() -> None:
    due = int((NOW + timedelta(minutes=6)).timestamp())
    assert f"<!date^{due}^{{time}}|14:26>" in json.dumps(shown_in_slack(card()).blocks)
    utc = json.dumps(shown_in_slack(card(timezone="UTC")).blocks)
    assert f"<!date^{due}^{{time}}|06:26>" in utc
    tomorrow = replace(card().card.clock, due_at=NOW + timedelta(days=1))  # type: ignore[union-attr, type-var]
    token = json.dumps(shown_in_slack(carded(card(), clock=tomorrow)).blocks)
    assert f"<!date^{due - 360 + 86400}^{{date_short_pretty}} {{time}}|03-05 14:20>" in token


def test_the_first_message_is_not_repeated_when_it_is_the_latest() -> None:
    given = card().card
    assert given is not None
    assert "最初" not in read(carded(card(), first=given.latest))


def test_an_answered_card_looks_answered() -> None:
    text = read(story("zh")[3])
    assert text.startswith("✅ 已回复 · P1 紧急 · 微博 · 提及")
    assert "*已回复* · 小李 14:24 · 用时 13 分钟 · 在目标内" in text


def test_an_overdue_card_looks_overdue() -> None:
    text = read(card("en", now=NOW + timedelta(minutes=14)))
    assert text.startswith("🚨 Overdue · P1 urgent")
    assert "8 min over at 14:34" in text


def test_mentions_come_from_the_notice_only_and_page() -> None:
    shown = shown_in_slack(with_text(card(), "快来人 <!channel> @here <!subteam^S012>"))
    whole = json.dumps(shown.blocks, ensure_ascii=False)
    assert whole.count("<!subteam^S012>") == 1
    assert "<!channel>" not in whole
    assert "&lt;!channel&gt; @here &lt;!subteam^S012&gt;" in whole


def test_a_mention_that_is_none_is_shown_as_text() -> None:
    whole = json.dumps(shown_in_slack(card(mentions=("<https://evil|x>", "@值班"))).blocks)
    assert "<https://evil" not in whole and "&lt;https://evil" in whole


def test_a_simpler_shape_still_pages() -> None:
    for shape in simpler(shown_in_slack(card())):
        assert "<!subteam^S012>" in json.dumps(shape.blocks) + shape.text


def test_every_line_of_a_quote_is_quoted() -> None:
    text = read(with_text(card(), "第一行\n第二行\n\n> 第四行"))
    assert "> 第一行\n> 第二行\n> \n> \u200b&gt; 第四行" in text


def test_a_long_text_is_cut_with_an_ellipsis_and_a_flood_of_lines_too() -> None:
    assert "退…" in read(with_text(card(), "退" * 5000))
    assert read(with_text(card(), "退\n款" * 500)).count("> ") < 60


def test_a_withdrawn_message_shows_nothing_of_what_it_said() -> None:
    given = card().card
    assert given is not None
    text = read(carded(card(), latest=replace(given.latest, deleted=True)))
    assert "起火了" not in text
    assert "> _（作者已撤回）_" in text


def test_a_message_without_words_says_so() -> None:
    assert "> _（没有文字）_" in read(with_text(card(), None))


def test_a_thread_message_says_who_when_where_and_what() -> None:
    text = read(message("在吗？\n快回复！"))
    assert "*林小满* · 14:19 · 微博 · 提及" in text
    assert "> 在吗？\n> 快回复！" in text


def test_the_fallback_is_one_line_that_says_it_all() -> None:
    text = shown_in_slack(card()).text
    assert text.startswith("🔴 P1 紧急 · 微博 · 提及 · 林小满：你们的充电宝起火了")
    assert text.endswith("14:26 前首次回复") and "\n" not in text


def test_many_reasons_and_labels_are_counted_rather_than_shown() -> None:
    given = card().card
    assert given is not None
    conversation = replace(given.conversation, labels=tuple(f"标签{n}" for n in range(14)))
    text = read(carded(card(), why=tuple(f"规则{n}" for n in range(9)), conversation=conversation))
    assert "规则4" in text and "规则5" not in text and "另有 4 项" in text
    assert "标签9" in text and "标签10" not in text


def test_no_rule_matched_is_said() -> None:
    assert "没有规则命中" in read(carded(card(), why=()))


def test_a_digest_is_ranked_and_counted() -> None:
    given = card().card
    assert given is not None
    low = replace(given, conversation=replace(given.conversation, priority=Priority.P4))
    text = read(digest(low, given, count=30))
    assert "摘要 · 30 个会话" in text
    assert text.index("🔴 P1") < text.index("⚪ P4")
    assert "另有 28 项" in text


def test_an_ops_notice_is_shown_whole_and_inert() -> None:
    text = read(ops("rules/20.yaml:3:5: 未知键 <any>\n*改*后再试"))
    assert "🛠️ rules/20.yaml:3:5: 未知键 &lt;any&gt;" in text
    assert "*\u200b改*\u200b后再试" in text


def test_a_very_long_ops_notice_stays_legal() -> None:
    legal(ops("\n".join(f"第 {n} 行 " + "长" * 300 for n in range(200))))
    legal(ops("长" * 100_000))
    legal(ops(""))
    legal(card(text=None, card=None, kind=NoticeKind.DIGEST))


def test_an_earlier_receipt_does_not_change_what_a_card_says() -> None:
    assert shown_in_slack(card()) == shown_in_slack(card(earlier=Receipt("C1:1.0")))
