"""`correct`: a person says what a verdict should have been. The verdict stays; what people say stands beside it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

from typer import echo

from aggregator.errors import SettingsError
from aggregator.model import Correction, Priority
from aggregator.rejudging import correction_text
from aggregator.settings import Settings
from aggregator.sla.zone import zone_named
from aggregator.triage.loader import load
from storage.corrections import correct, correctable
from storage.engine import Database

LONGEST = 200  # characters of a name, and of a label
LONGEST_WHY = 2_000
_LABEL = re.compile(r"([+-])(\S(?:.*\S)?)")


def labels(given: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """`+refund -spam` as those added and those removed. Raises ValueError with the remedy."""
    added: dict[str, None] = {}
    removed: dict[str, None] = {}
    for one in given:
        found = _LABEL.fullmatch(one)
        if found is None or len(one) > LONGEST:
            raise ValueError(
                f"{one!r}: write +refund for a label that is missing, -spam for one too many"
            )
        (added if found[1] == "+" else removed)[found[2]] = None
    if both := sorted(added.keys() & removed.keys()):
        raise ValueError(f"{both[0]} is added and removed; say one of both")
    return tuple(added), tuple(removed)


def correct_message(
    settings: Settings,
    db: Database,
    message_id: int,
    now: datetime,
    *,
    by: str,
    why: str | None,
    priority: Priority | None,
    sentiment: str | None,
    added: tuple[str, ...],
    removed: tuple[str, ...],
) -> None:
    """Store it and say so. Raises SettingsError where there is no such verdict."""
    with db.read() as connection:
        problem = correctable(connection, message_id)
    if problem is not None:
        raise SettingsError(problem)
    given = Correction(
        id=db.new_id(),
        message_id=message_id,
        at=now,
        by=by,
        why=why or None,
        priority=priority,
        sentiment=sentiment,
        added=added,
        removed=removed,
    )
    db.write(lambda connection: correct(connection, given))
    echo(f"message {message_id}: {correction_text(given, zone_named(settings.timezone))}")
    for label in unknown(settings, added):
        echo(f"note: no rule gives the label {label}; it is stored all the same")


def unknown(settings: Settings, added: Iterable[str]) -> list[str]:
    """Labels that no rule gives: a slip, or what the rules are to learn."""
    wanted = list(added)
    if not wanted:
        return []
    try:
        rules = load(settings.rules, tests=False)
    except SettingsError:  # not the matter here; `rules lint` tells it
        return []
    known = {label for rule in rules.rules.values() for label in rule.effect.labels}
    return [one for one in wanted if one not in known]
