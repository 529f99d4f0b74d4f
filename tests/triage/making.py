"""Rulesets for tests, from YAML as an admin would write it."""

from __future__ import annotations

from textwrap import dedent

from aggregator.model import Author, Kind, Verdict
from aggregator.triage.loader import load_texts
from aggregator.triage.ruleset import Ruleset, Subject

LEXICON = """
schema: 1
terms:
  "2": [好用, 喜欢, great, love]
  "1": [不错, 没问题, not bad]
  "-1": [慢, 问题, slow]
  "-2": [差, 错, bad]
emoticons:
  "2": ["[赞]", "/:strong"]
  "0": ["[允悲]", "[doge]"]
  "-2": ["[泪]", "/::<"]
  "-3": ["[怒]", "/::@"]
intensifiers: {"1.5": [很, very]}
negators: [不, 没, 没有, 别, not, never, no, don't]
negator_masks: [特别, 不仅, 没想到, 不得不, not only]
masks: [差不多]
"""


def ruleset(rules: str = "", **files: str) -> Ruleset:
    """One rule file, the small lexicon above, and whatever else is given as `name=text`."""
    sources = {"sentiment/both.yaml": LEXICON}
    if rules:
        sources["10-rules.yaml"] = dedent(rules)
    sources.update({f"{name.replace('__', '/')}.yaml": dedent(one) for name, one in files.items()})
    return load_texts(sources)


def when(condition: str, then: str = "{urgency: 1}") -> Ruleset:
    """One rule with this condition, written inside braces."""
    return ruleset(f"""
        schema: 1
        rules:
          - id: the-rule
            when: {condition}
            then: {then}
        """)


def hits(rules: Ruleset, text: str | None, quoted: str | None = None, **facts: object) -> list[str]:
    """The original words behind the matches; [] where nothing fired."""
    subject = Subject(text, quoted=quoted, **facts)  # type: ignore[arg-type]
    verdict = rules.judge(subject)
    return [
        ((quoted if match.quoted else text) or "")[match.start : match.end]
        for match in verdict.matches
    ]


def judged(rules: Ruleset, text: str, **facts: object) -> Verdict:
    return rules.judge(Subject(text, **facts))  # type: ignore[arg-type]


MENTION = Kind.MENTION
CELEBRITY = Author(name="一位大V", followers=860_000, verified=True)
