"""Which rules a stored verdict names: its reasons are words, and these are the ones that programs read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum

SHADOW = "shadow, no effect: "
DROPPED = "dropped by the final rule "


class Role(StrEnum):
    """What a rule that fired had to say in the end."""

    COUNTED = "counted"
    DROPPED = "dropped"
    SHADOW = "shadow"


def named(reasons: Iterable[str]) -> Iterator[tuple[str, Role]]:
    """Every rule that fired, in the order of the reasons."""
    for reason in reasons:
        shadow = reason.startswith(SHADOW)
        rule, colon, rest = (reason[len(SHADOW) :] if shadow else reason).partition(": ")
        if not colon or " " in rule:  # "no rule matched", "sentiment -0.32 negative: …"
            continue
        if shadow:
            yield rule, Role.SHADOW
        elif rest.startswith(DROPPED) and "→" not in rest:
            yield rule, Role.DROPPED
        else:
            yield rule, Role.COUNTED
