"""`inboxd silence …`: what nobody is to hear of for a while."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from aggregator.arguments import opened
from aggregator.errors import SettingsError
from aggregator.now import utc_now

if TYPE_CHECKING:
    from aggregator.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    help="Hold notices back for a while; what is still open then comes in one digest.",
)

By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who does it; you, if left out.")]


@app.command()
def add(
    context: typer.Context,
    what: Annotated[
        list[str] | None,
        typer.Argument(metavar="MATCHER…", help="platform=weibo label=refund,spam: all must fit."),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="2h, 3d, or a time such as 2026-03-05T08:00:00Z.")
    ] = None,
    interval: Annotated[
        str | None,
        typer.Option("--interval", metavar="NAME", help="Only in this interval, again and again."),
    ] = None,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Kept and shown.")] = "",
    by: By = "",
) -> None:
    """Hold back what fits every MATCHER, P1 too, from now on; by --until, --interval or both."""
    from aggregator.app import platform_of
    from aggregator.model import Silence
    from aggregator.silencing import interval_named, matchers, until_time
    from aggregator.sla.waits import whole_ms
    from aggregator.triage.loader import load
    from storage.silences import add_silence

    if not until and not interval:
        raise typer.BadParameter("give --until, --interval or both: no silence is for ever")
    with opened(context) as (plain, db):
        settings, now = _stage(plain)
        rules = load(settings.rules)
        at = whole_ms(now())
        accounts = {one.name: platform_of(one) for one in settings.accounts.values()}
        one = Silence(
            id=db.new_id(),
            created_at=at,
            by=by or getpass.getuser(),
            why=why or "no reason given",
            matchers=matchers(what or (), rules, accounts),
            starts_at=at,
            until=until_time(until, at),
            interval=interval_named(interval, rules),
        )
        db.write(lambda conn: add_silence(conn, one))
    typer.echo(f"silence {one.id} holds: {one.in_words()}")


@app.command("list")
def list_silences(
    context: typer.Context,
    all_: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One object a line; UTC.")] = False,
) -> None:
    """The silences in force; with --all every one there ever was, with who ended it."""
    from aggregator.silencing import print_silences, silence_json
    from aggregator.sla.zone import zone_named
    from aggregator.triage.loader import load
    from storage.silences import silences

    with opened(context) as (plain, db):
        settings, now = _stage(plain)
        at, rules = now(), load(settings.rules)
        with db.read() as conn:
            found = silences(conn, None if all_ else at)
    rows = [silence_json(one, at, rules) for one in found]
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row, ensure_ascii=False))
    else:
        print_silences(rows, zone_named(settings.timezone))


@app.command()
def expire(
    context: typer.Context,
    id: Annotated[int, typer.Argument(metavar="ID", min=1, max=2**63 - 1)],
    by: By = "",
) -> None:
    """End a silence now; what it held and is still open is told in one digest within seconds."""
    from storage.silences import expire_silence

    with opened(context) as (plain, db):
        _, now = _stage(plain)
        who = by or getpass.getuser()
        ended = db.write(lambda conn: expire_silence(conn, id, by=who, now=now()))
    if not ended:
        raise SettingsError(f"no silence {id} is in force; inboxd silence list shows them")
    typer.echo(f"silence {id} is over")


def _stage(settings: Settings) -> tuple[Settings, Callable[[], datetime]]:
    """The running sandbox's accounts and clock, where it is one."""
    from aggregator.staging import on_stage

    return on_stage(settings) if settings.sandbox else (settings, utc_now)
