"""The worst that one message may hold, against rules that make the most of it."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Iterator, Mapping, Sequence

from aggregator.triage.loader import load_texts
from aggregator.triage.ruleset import Ruleset, Subject
from aggregator.triage.scan import NEST
from bench.posts import Corpus

_LENGTH = 5_000
_SHARED = ["退款", "退钱", "慢", "差", "还没", "爆炸", "好用", "喜欢", "great", "[怒]", "不"]
# One of each kind; every rule file below has hundreds of them.
_CONDITIONS: dict[str, dict[str, object]] = {
    "any": {"any": ["@shared"]},
    "quoted": {"any": ["@shared"], "part": "quoted", "not": ["终点"]},
    "within": {
        "all": [{"any": ["退款", "慢", "great"]}, {"any": ["还没", "差"]}, {"any": ["终点"]}],
        "within": 400,
    },
    "near": {"all": [{"any": ["@shared"]}, {"any": ["@shared"]}], "within": 20},
    "mask": {"any": ["@shared"], "mask": ["颜值爆炸", "爆炸头", "很好用", "退款政策"]},
    "block": {"any": ["@shared"], "negation": "block"},
    "flip": {"any": ["@shared"], "negation": "flip"},
    "count": {"count": {"of": ["@shared"], "min": 5}},
    "veto": {"any": ["@shared"], "not": ["终点"], "part": "all"},
    "gloom": {"any": ["@shared"], "sentiment": {"lt": 0}},
}
_ORIGINAL: dict[str, dict[str, object]] = {
    "exact": {"exact": ["退款", "NO", "Ab", "不", "a", "1"]},
    "regex": {"regex": ["(a+)+b", r"(\w+\s?)+！$", "退.{0,20}款.{0,20}终", "(没|不)+还", "[a不]"]},
}

_TEXTS = {
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
    "empty reposts": "//@a:",
    "slashes": "//",
    "exclamations": "！?",
    "clause ends": "不，好用。",
    "buts": "慢但是差",
    "ifs": "如果慢",
    "one long nest": "星",
    "two long nests": "星月",
    "digits": "1",
    "half pairs": "\ud83d",
}


def worst(made: Corpus, rules: str, lexicon: Mapping[str, str]) -> tuple[float, str]:
    """Milliseconds of one core for the dearest message of 5,000 characters with as many quoted, and what it was."""
    return max(costs(made, rules, lexicon))


def costs(made: Corpus, rules: str, lexicon: Mapping[str, str]) -> Iterator[tuple[float, str]]:
    """Of the dearest texts under every rule set."""
    texts = {**_TEXTS, "words of the posts": "".join(made.words)}
    for name, more in _rule_files().items():
        ruleset = load_texts({"rules.yaml": rules, "worst.yaml": more, **lexicon})
        settle()
        whole = {text: (unit * _LENGTH)[:_LENGTH] for text, unit in texts.items()}
        first = {text: _cost(ruleset, one, 5) for text, one in whole.items()}
        # What seemed dear may have been a busy moment of the machine.
        for text in sorted(first, key=lambda one: -first[one])[:5]:
            yield _cost(ruleset, whole[text], 40), f"{text}, {name}"


def _rule_files() -> dict[str, str]:
    """By name: hundreds of rules of one kind, some of each, and keywords that end in one another."""
    nest = ["星", *("月" * (at % 2) + "星月" * (at // 2) for at in range(2, NEST))]
    files = {
        f"{name} in 300 rules": [when for _ in range(300)] for name, when in _CONDITIONS.items()
    }
    files["all kinds"] = [
        when for when in (*_CONDITIONS.values(), *_ORIGINAL.values()) for _ in range(8)
    ]
    files["nested keywords"] = [{"any": nest}, {"exact": nest}]
    return {name: _file(conditions) for name, conditions in files.items()}


def _file(conditions: Sequence[Mapping[str, object]]) -> str:
    rows = [
        {"id": f"worst-{number}", "when": when, "then": {"labels": [f"l{number}"]}}
        for number, when in enumerate(conditions)
    ]
    return json.dumps({"schema": "1", "lists": {"shared": _SHARED}, "rules": rows})


def settle() -> None:
    """What is there by now is looked at by no collection any more, as in the daemon after it read its rules."""
    gc.collect()
    gc.freeze()


def _cost(ruleset: Ruleset, text: str, times: int) -> float:
    subject, took = Subject(text, quoted=text), []
    for _ in range(times):
        started = time.thread_time()
        ruleset.judge(subject)
        took.append(time.thread_time() - started)
    return min(took[1:]) * 1e3
