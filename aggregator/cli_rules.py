"""The verbs of `inboxd rules` that look at what the rules did to stored messages, and what people say of that."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from aggregator.arguments import settings_of, since_time

app = typer.Typer()

Since = typer.Option(help="7d, 12h, or a time such as 2026-03-01T00:00:00Z.")


class TableFormat(StrEnum):
    TABLE = "table"
    JSON = "json"


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
