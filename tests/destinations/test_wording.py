"""Every word stands in both languages, and no word is missing for what the model can say."""

import re
import string

import pytest

from aggregator.destinations.render import State
from aggregator.destinations.wording import WORDS, name, say
from aggregator.model import ClockKind, Kind, Outcome, Priority

HAN = re.compile("[\u3400-\u9fff]")
SAME = {"platform.x", "platform.facebook", "platform.instagram", "and", "list", "quote"}


def fields(text: str) -> set[str]:
    return {field for _, field, _, _ in string.Formatter().parse(text) if field}


@pytest.mark.parametrize("key", WORDS)
def test_a_word_stands_in_chinese_and_in_english(key: str) -> None:
    words = WORDS[key]
    assert words.zh.strip() or key == "and"
    assert words.en.strip() or key == "and"
    assert fields(words.zh) == fields(words.en)
    assert not HAN.search(words.en), "Chinese in the English"
    template = re.sub(r"\{\w+\}", "", words.zh)
    if key not in SAME and not key.endswith(".by"):
        assert HAN.search(template), "no Chinese in the Chinese"


@pytest.mark.parametrize("language", ["zh", "en"])
def test_whatever_the_model_says_has_a_word(language: str) -> None:
    for kind in Kind:
        assert name(language, "kind", kind) == say(language, f"kind.{kind}")
    for priority in Priority:
        assert say(language, f"priority.{priority}")
    for clock in ClockKind:
        assert say(language, f"reply.{clock}")
    for state in State:
        assert state.value in WORDS
    for outcome in (Outcome.MET, Outcome.BREACHED):
        assert say(language, f"answered.{outcome}")
    for sentiment in ("positive", "neutral", "negative"):
        assert say(language, f"sentiment.{sentiment}")
    kinds = [
        "image",
        "video",
        "voice",
        "file",
        "location",
        "link",
        "sticker",
        "card",
        "rating",
        "unknown",
    ]
    for attachment in kinds:
        assert say(language, f"attachment.{attachment}")


def test_a_platform_that_we_have_no_word_for_keeps_its_name() -> None:
    assert name("zh", "platform", "小红书") == "小红书"


def test_a_customers_braces_fill_in_nothing() -> None:
    assert say("zh", "quote", who="{text}", text="{who}{0}") == "{text}：{who}{0}"
