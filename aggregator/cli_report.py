"""`inboxd report`: how long customers waited, who answered, how much came."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from aggregator.arguments import opened, since_time

app = typer.Typer()

Time = "7d, 12h, or a time such as 2026-03-01T00:00:00Z; days and weeks begin at midnight."


class Form(StrEnum):
    TABLE = "table"
    CSV = "csv"
    JSON = "json"


class Which(StrEnum):
    RESPONSE_TIMES = "response-times"
    VOLUME = "volume"
    TEAM = "team"
    TARGETS = "targets"


BY = {
    Which.RESPONSE_TIMES: "",
    Which.VOLUME: "platform",
    Which.TEAM: "person",
    Which.TARGETS: "target,priority",
}


@app.command()
def report(
    context: typer.Context,
    which: Annotated[Which, typer.Argument()],
    since: Annotated[str, typer.Option(help=Time)] = "30d",
    until: Annotated[str | None, typer.Option(help="Up to then; else up to now.")] = None,
    by: Annotated[
        str | None,
        typer.Option(help="Groups, such as platform,priority; each with figures of its own."),
    ] = None,
    form: Annotated[Form, typer.Option("--format")] = Form.TABLE,
    chart: Annotated[
        Path | None, typer.Option(help="Draw it into this file too; it ends in .svg or .png.")
    ] = None,
    exact: Annotated[
        bool,
        typer.Option("--exact", help="Read every clock: slow, percentiles to the millisecond."),
    ] = False,
) -> None:
    """How long customers waited and who answered: met, breached, percentiles; how much came (volume)."""
    from aggregator import report_table, reporting, reports
    from storage.rollup import zone

    volume = which is Which.VOLUME
    try:
        groups = reports.parse_by(BY[which] if by is None else by)
        if volume and (odd := sorted({*groups} & {"route", "person", "target"})):
            raise ValueError(f"messages are not counted by {', '.join(odd)}")
    except ValueError as error:
        raise typer.BadParameter(f"--by: {error}") from None
    if chart is not None and chart.suffix not in (".svg", ".png"):
        raise typer.BadParameter(f"--chart {chart}: name a file that ends in .svg or .png")
    begin, end = since_time(since), since_time(until)
    assert begin is not None
    with opened(context) as (settings, db), db.read() as conn:
        days = zone(conn)
        if since.strip()[-1] in "dw":
            begin = reporting.whole_days(begin, days)
        if end is not None and until is not None and until.strip()[-1] in "dw":
            end = reporting.whole_days(end, days)
        asked = reporting.Asked(begin, end, groups, volume=volume, exact=exact)
        answer = reporting.report(conn, asked)
        language = settings.language
    span = _span(begin, end, answer.zone, language)
    said = report_table.caption(span, volume=volume, exact=answer.exact, language=language)
    text = report_table.render(answer.lines, form.value, groups, language=language, caption=said)
    typer.echo(text, nl=False)
    if answer.note is not None:
        typer.echo(answer.note, err=True)
    if chart is not None:
        from aggregator import charts

        chart.write_bytes(charts.chart(answer.lines, groups, chart.suffix[1:], language))
        if not charts.legible():
            typer.echo(
                "no installed font writes Chinese, which is boxes in the picture; "
                "install one, such as fonts-noto-cjk",
                err=True,
            )


def _span(begin: datetime, end: datetime | None, zone: object, language: str) -> str:
    from zoneinfo import ZoneInfo

    assert isinstance(zone, ZoneInfo)
    form = "%Y-%m-%d %H:%M"
    start = begin.astimezone(zone).strftime(form)
    stop = None if end is None else end.astimezone(zone).strftime(form)
    if language == "zh":
        return f"{start} 起（{zone.key}）" if stop is None else f"{start} 至 {stop}（{zone.key}）"
    return f"since {start} ({zone.key})" if stop is None else f"{start} to {stop} ({zone.key})"
