"""The same posts by what others use, where it is installed: whole engines need more than this."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any

import yaml

from aggregator.triage.ruleset import Subject
from aggregator.triage.text import language

_FEW = 50  # posts that the slow ones get
_Find = Callable[[str], object]


def peers(subjects: Sequence[Subject], rules: str) -> Iterator[tuple[str, str, float]]:
    """Each one's name, the figure of ours beside which it stands, and its microseconds a post."""
    by_rule = [[*_words(one["when"])] for one in yaml.safe_load(rules)["rules"]]
    texts = [one.text or "" for one in subjects]
    for name, ours, few, lang, make in (
        ("re, a pattern a rule, only found", "plain", True, None, _patterns),
        ("RE2 set, only found", "plain", True, None, _re2),
        ("flashtext, only found", "plain", False, None, _flashtext),
        ("VADER, English posts", "feeling", True, "en", _vader),
        ("SnowNLP, posts in Chinese", "feeling", True, "zh", _snownlp),
    ):
        try:
            find = make(by_rule)
        except ImportError as error:
            print(f"{name}: {error.name} is not installed, left out", file=sys.stderr)
            continue
        of = [one for one in texts if language(one) == lang] if lang else texts
        some = of[:: len(of) // _FEW] if few else of
        for text in some[:2]:
            find(text)
        started = time.thread_time()
        for text in some:
            find(text)
        yield name, ours, (time.thread_time() - started) / len(some) * 1e6


def _words(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, list | dict):
        for one in node.values() if isinstance(node, dict) else node:
            yield from _words(one)


def _patterns(by_rule: Sequence[Sequence[str]]) -> _Find:
    made = [re.compile("|".join(map(re.escape, words)), re.I) for words in by_rule]
    return lambda text: [one for one in made if one.search(text)]


def _re2(by_rule: Sequence[Sequence[str]]) -> _Find:
    re2: Any = import_module("re2")
    options = re2.Options()
    options.case_sensitive = False
    options.max_mem = 1 << 30
    made = re2.Set.SearchSet(options)
    for words in by_rule:
        made.Add("|".join(map(re.escape, words)))
    made.Compile()
    find: _Find = made.Match
    return find


def _flashtext(by_rule: Sequence[Sequence[str]]) -> _Find:
    processor = import_module("flashtext").KeywordProcessor()
    for words in by_rule:
        for word in words:
            processor.add_keyword(word)
    find: _Find = processor.extract_keywords
    return find


def _vader(_: Sequence[Sequence[str]]) -> _Find:
    module = import_module("vaderSentiment.vaderSentiment")
    find: _Find = module.SentimentIntensityAnalyzer().polarity_scores
    return find


def _snownlp(_: Sequence[Sequence[str]]) -> _Find:
    snow = import_module("snownlp").SnowNLP
    return lambda text: snow(text).sentiments if text.strip() else 0.5
