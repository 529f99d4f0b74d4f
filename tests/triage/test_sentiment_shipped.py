"""What the shipped lexicon makes of sentences of ours, a mechanism at a time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from aggregator.triage.loader import load
from aggregator.triage.ruleset import Ruleset, Subject
from aggregator.triage.sentiment import Mood

SHIPPED = Path(__file__).parents[2] / "rules"
POSITIVE, NEUTRAL, NEGATIVE = "positive", "neutral", "negative"


@pytest.fixture(scope="module")
def shipped() -> Ruleset:
    return load(SHIPPED)


def mood(rules: Ruleset, text: str) -> Mood:
    """The lexicon's alone: what rules add is theirs."""
    return rules.fired(Subject(text))[2]


@pytest.mark.parametrize(
    ("text", "label"),
    [
        # praise and blame
        ("老板人超好，分量很足，下次还来", POSITIVE),
        ("房间又小又潮，隔音差得离谱", NEGATIVE),
        ("耳机音质很好，续航也给力", POSITIVE),
        ("等了一个半小时才送到，汤都洒了", NEGATIVE),
        ("今天好累，只想哭", NEGATIVE),
        ("生日快乐！愿你平安喜乐", POSITIVE),
        ("踩雷了，大家避雷吧", NEGATIVE),
        ("The crew was friendly and we landed early, thank you so much", POSITIVE),
        ("Two hours on hold and then they hung up on me", NEGATIVE),
        ("battery died after a week, complete waste of money", NEGATIVE),
        # negation
        ("一点都不好用", NEGATIVE),
        ("并不满意", NEGATIVE),
        ("毫无诚意", NEGATIVE),
        ("质量不差", POSITIVE),
        ("没有任何问题，用着很顺手", POSITIVE),
        ("从来没有让我失望", POSITIVE),
        ("I would never recommend this place", NEGATIVE),
        ("The app isn't very good", NEGATIVE),
        ("not bad at all", POSITIVE),
        ("Never had such a great meal", POSITIVE),
        # contrast
        ("味道不错，但是送得实在太慢了，等了两个小时", NEGATIVE),
        ("虽然有点贵，但是真的很好用", POSITIVE),
        ("Nice design but the screen is terrible", NEGATIVE),
        ("A bit expensive, however the service was excellent", POSITIVE),
        # masks
        ("不好意思，请问几点开门", NEUTRAL),
        ("好久没来这边了", NEUTRAL),
        ("跟昨天差不多", NEUTRAL),
        ("麻烦帮我查一下订单", NEUTRAL),
        ("快递放在门口了", NEUTRAL),
        ("香港和美国的门店都有", NEUTRAL),
        ("Kind regards, the tech support team", NEUTRAL),
        # irony
        ("真是够了，服务可真好[微笑]", NEGATIVE),
        ("thanks for nothing", NEGATIVE),
        ("great, another delay", NEGATIVE),
        ("good job breaking my suitcase", NEGATIVE),
        # wishes and requests
        ("please fix this", NEGATIVE),
        ("it would be great if you answered", NEGATIVE),
        # signs
        ("[赞][赞]", POSITIVE),
        ("[泪][泪]", NEGATIVE),
        ("/:strong/:rose", POSITIVE),
        ("😍😍", POSITIVE),
        ("😡", NEGATIVE),
        ("[允悲]", NEUTRAL),
        ("🤔", NEUTRAL),
        # nothing said
        ("今天路过门店", NEUTRAL),
        ("Order 10442 was placed on Monday", NEUTRAL),
    ],
)
def test_a_sentence_has_the_mood_that_people_hear(shipped: Ruleset, text: str, label: str) -> None:
    got = mood(shipped, text)
    sign = POSITIVE if got.total >= 0.6 else NEGATIVE if got.total <= -0.45 else NEUTRAL
    assert sign == label, got


@pytest.mark.parametrize(
    ("more", "less"),
    [
        ("这家店很好", "这家店很好吗？"),
        ("质量好", "希望质量好"),
        ("质量好", "如果质量好"),
        ("优惠真不错", "【限时秒杀】优惠真不错，点击领券"),
        ("good value", "【sale】 good value https://example.com"),
        ("good phone", "is it a good phone?"),
        ("你们真厉害", "你们真厉害[doge]"),
        ("what a lovely day", "what a lovely day 🙄"),
        ("非常好用", "好用"),
        ("好用", "比较好用"),
        ("really helpful", "somewhat helpful"),
    ],
)
def test_praise_is_worth_less_where_it_is_asked_wished_sold_or_mocked(
    shipped: Ruleset, more: str, less: str
) -> None:
    assert mood(shipped, more).total > mood(shipped, less).total


def test_every_term_that_made_the_score_is_told_with_its_share(shipped: Ruleset) -> None:
    got = mood(shipped, "味道不错，但是太慢了[怒]")
    assert {text for text, _ in got.terms} >= {"味道不错", "[怒]"}
    assert got.total == pytest.approx(sum(value for _, value in got.terms), abs=0.05)


def test_the_cost_stays_in_step_with_the_length(shipped: Ruleset) -> None:
    short, long = (Subject("如果不好但是很慢，" * number) for number in (70, 500))
    times: dict[Subject, list[float]] = {short: [], long: []}
    for _ in range(7):
        for one, rows in times.items():
            started = time.process_time()
            shipped.fired(one)
            rows.append(time.process_time() - started)
    assert min(times[long]) < 20 * min(times[short])  # 7 in step, 50 by the square
