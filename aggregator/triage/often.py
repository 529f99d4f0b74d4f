"""Rules that hit so many messages that they say little of any."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from aggregator.triage.finding import Finding
from aggregator.triage.keywords import Notes
from aggregator.triage.ruleset import Ruleset, Subject

SHARE = 0.05
ENOUGH = 200  # of fewer messages a share says nothing


def too_often(ruleset: Ruleset, notes: Notes, subjects: Sequence[Subject]) -> list[Finding]:
    """A warning for every rule with words that hits more than SHARE of these messages."""
    if len(subjects) < ENOUGH:
        return []
    hits = Counter(one.rule.id for _, fired, _ in ruleset.fired_of(subjects) for one in fired)
    found = Notes()
    for rule_id, count in sorted(hits.items()):
        share = count / len(subjects)
        if share > SHARE and ruleset.rules[rule_id].condition.words.groups:
            parsed, loc = notes.rules[rule_id]
            said = (
                f"the rule {rule_id} hits {share:.0%} of the last {len(subjects)} messages; "
                "narrow it, if they are not all meant"
            )
            found.warn(parsed, loc, "too-often", said)
    return found.rows
