"""The verbs of `inboxd rules` that look at what the rules did to stored messages, and what people say of that."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from aggregator.arguments import settings_of, since_time

app = typer.Typer()  # under `rules`
verbs = typer.Typer()

Since = typer.Option(help="7d, 12h, or a time such as 2026-03-01T00:00:00Z.")


class TableFormat(StrEnum):
    TABLE = "table"
    JSON = "json"


class Level(StrEnum):
    P1 = "P1"
    P2 = "P2"
    P3 = "P3"
    P4 = "P4"


class Mood(StrEnum):
    POSITIVE = "positive"
    NEUTRAL = "neutral"
    NEGATIVE = "negative"


@app.command()
def backtest(
    context: typer.Context,
    since: Annotated[str, Since] = "7d",
    rules: Annotated[
        Path | None, typer.Option(help="The changed rules; else the settings' rules folder.")
    ] = None,
    form: Annotated[TableFormat, typer.Option("--format")] = TableFormat.TABLE,
) -> None:
    """What changed rules would have done to stored messages. Reads only, also while a daemon runs."""
    from aggregator.backtesting import backtest
    from aggregator.now import utc_now

    begin = since_time(since)
    assert begin is not None
    backtest(settings_of(context), rules, begin, utc_now(), form.value)


@verbs.command()
def correct(
    context: typer.Context,
    message_id: Annotated[int, typer.Argument(metavar="MESSAGE_ID", min=1, max=2**63 - 1)],
    by: Annotated[str, typer.Option(help="Who says so; kept with it.")],
    priority: Annotated[Level | None, typer.Option(help="What it should have been.")] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(help="+refund: is missing; -spam: is wrong. May be repeated."),
    ] = None,
    sentiment: Annotated[Mood | None, typer.Option(help="What it should have been.")] = None,
    why: Annotated[str, typer.Option(help="In a few words.")] = "",
) -> None:
    """Say what a verdict should have been. It stays as it was made; `rules train` learns from this."""
    from aggregator.arguments import opened
    from aggregator.correcting import LONGEST, LONGEST_WHY, correct_message, labels
    from aggregator.model import Priority
    from aggregator.now import utc_now

    if not by.strip() or len(by) > LONGEST or len(why) > LONGEST_WHY:
        raise typer.BadParameter(f"--by is a name, of {LONGEST} characters at most")
    try:
        added, removed = labels(label or ())
    except ValueError as error:
        raise typer.BadParameter(f"--label {error}") from None
    if not (priority or sentiment or added or removed):
        raise typer.BadParameter("say what was wrong: --priority, --label or --sentiment")
    with opened(context) as (settings, db):
        correct_message(
            settings,
            db,
            message_id,
            utc_now(),
            by=by.strip(),
            why=why.strip(),
            priority=Priority(priority.value) if priority else None,
            sentiment=sentiment.value if sentiment else None,
            added=added,
            removed=removed,
        )


@app.command()
def stats(
    context: typer.Context,
    since: Annotated[str, Since] = "30d",
    form: Annotated[TableFormat, typer.Option("--format")] = TableFormat.TABLE,
) -> None:
    """How often each rule fired by day, in shadow too; which never did, which too often. Reads only."""
    from aggregator.rule_stats import stats

    begin = since_time(since)
    assert begin is not None
    stats(settings_of(context), begin, form.value)


@app.command()
def train(context: typer.Context) -> None:
    """Learn a small model from what people corrected (scikit-learn); `learned` in the settings uses it."""
    from aggregator.learning import train
    from aggregator.now import utc_now

    train(settings_of(context), utc_now())
