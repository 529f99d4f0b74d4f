"""The worst that one message may hold, against rules that make the most of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from statistics import median

from aggregator.triage.loader import load_texts
from aggregator.triage.ruleset import Subject
from bench.posts import Corpus

_LENGTH = 5_000
_RULES = """schema: 1
lists:
  shared: [退款, 退钱, 慢, 差, 还没, 爆炸, 好用]
rules:
  - {id: x-near, when: {all: [{any: [退款]}, {any: [还没]}, {any: [终点]}], within: 400}, then: {labels: [a]}}
  - {id: x-mask, when: {any: [爆炸], mask: [颜值爆炸, 爆炸头]}, then: {labels: [b]}}
  - {id: x-block, when: {any: [好用, 喜欢, 慢], negation: block}, then: {labels: [c]}}
  - {id: x-flip, when: {any: [好用, great], negation: flip}, then: {sentiment: 2}}
  - {id: x-count, when: {count: {of: [慢, 贵, 差, 吵, 脏], min: 5}}, then: {labels: [d]}}
  - {id: x-veto, when: {any: [退款], not: [终点], part: all}, then: {labels: [e]}}
  - {id: x-exact, when: {exact: [退款, NO, Ab]}, then: {labels: [f]}}
  - {id: x-regex, when: {regex: ['(a+)+b', '(\\w+\\s?)+！$', '退.{0,20}款.{0,20}终', '(没|不)+还']}, then: {labels: [g]}}
"""
_SHARED = """  - {{id: x-all-{0}, when: {{any: ["@shared"]}}, then: {{labels: [h{0}]}}}}
"""

_KINDS = {
    "keywords of rules": "退款慢还没",
    "all words of a within": "退款还没",
    "masks": "颜值爆炸头",
    "negators": "不没别无",
    "negated words": "不好用",
    "English negators": "not no never ",
    "English negated words": "not great, ",
    "intensifiers and words": "很好用",
    "emoticons": "[怒]",
    "unknown brackets": "[ab]",
    "WeChat codes": "/::@",
    "spaces": " ",
    "spaced characters": "退 款 ",
    "family emoji": "👨\u200d👩\u200d👧",
    "joiners": "\u200d",
    "uneven characters": "㎏ﬁ①ß",
    "zero widths": "退\u200b款\u200b",
    "Traditional": "錢還沒到",
    "one letter": "a",
    "a regex's food": "aaaab ",
    "reposts": "//@a:退款",
    "slashes": "//",
    "exclamations": "！?",
    "clause ends": "不，好用。",
    "digits": "1",
    "half pairs": "\ud83d",
}


def worst(made: Corpus, rules: str, lexicon: Mapping[str, str]) -> tuple[float, str]:
    """Milliseconds of the dearest message of 5,000 characters with as many quoted, and what it was."""
    shared = "".join(_SHARED.format(number) for number in range(20))
    ruleset = load_texts({"rules.yaml": rules, "worst.yaml": _RULES + shared, **lexicon})
    kinds = {**_KINDS, "words of the posts": "".join(made.words)}
    took = {}
    for name, unit in kinds.items():
        text = (unit * _LENGTH)[:_LENGTH]
        subject = Subject(text, quoted=text)
        times = []
        for _ in range(5):
            started = time.perf_counter()
            ruleset.judge(subject)
            times.append(time.perf_counter() - started)
        took[name] = median(times) * 1e3
    name = max(took, key=lambda one: took[one])
    return took[name], name
