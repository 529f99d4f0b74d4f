"""The verbs of `inboxd` that look into the store, and those that mend it."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from aggregator.arguments import opened, since_time
from aggregator.errors import SettingsError

app = typer.Typer()
deliveries_app = typer.Typer(
    no_args_is_help=True, help="The outbox: what was told, and what was not."
)
db_app = typer.Typer(no_args_is_help=True, help="The database: upgrade, backup, check.")

Since = typer.Option(help="7d, 12h, or a time such as 2026-03-01T00:00:00Z.")


class What(StrEnum):
    MESSAGES = "messages"
    CONVERSATIONS = "conversations"
    CLOCKS = "clocks"
    DELIVERIES = "deliveries"
    GAPS = "gaps"


class Format(StrEnum):
    JSONL = "jsonl"
    CSV = "csv"


class State(StrEnum):
    PENDING = "pending"
    HELD = "held"
    SENT = "sent"
    SKIPPED = "skipped"
    DEAD = "dead"


@app.command()
def status(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON; times are UTC.")] = False,
) -> None:
    """Accounts and destinations: health, lag, quota left, token days left, backlog, last success."""
    from aggregator.app import platform_of
    from aggregator.now import utc_now
    from aggregator.sla.zone import zone_named
    from aggregator.status import print_status, rules_state, told_later, with_health
    from storage.history import status_rows
    from storage.holds import held_back
    from storage.rules import held, in_force
    from storage.silences import silences

    with opened(context) as (settings, db):
        now = utc_now()
        with db.read() as conn:
            rows = status_rows(conn, now)
            version, waiting = in_force(conn), held(conn)
            silent, back = silences(conn), held_back(conn)
        state = with_health(
            rows,
            accounts={
                one.name: (platform_of(one), one.paused) for one in settings.accounts.values()
            },
            destinations=tuple(settings.destinations),
            now=now,
            staged=settings.sandbox,
        )
        state["rules"] = rules_state(version, waiting)
        state |= told_later(silent, back, now)
    if as_json:
        typer.echo(json.dumps(state, ensure_ascii=False, indent=2))
    else:
        print_status(state, now, zone_named(settings.timezone))
        if settings.sandbox:
            typer.echo("sandbox: the times are the played hour's, not this clock's")


@app.command()
def explain(
    context: typer.Context,
    message_id: Annotated[int, typer.Argument(metavar="MESSAGE_ID", min=1, max=2**63 - 1)],
    as_json: Annotated[bool, typer.Option("--json", help="As JSON; times are UTC.")] = False,
) -> None:
    """The whole decision on a message: matches, verdict, routes, deliveries, and why nobody was told."""
    from aggregator.explaining import decision_json, print_decision
    from aggregator.rejudging import again, again_json, print_again
    from aggregator.sla.zone import zone_named
    from storage.history import message_decision

    with opened(context) as (settings, db), db.read() as conn:
        decision = message_decision(conn, message_id)
        judged = again(conn, settings, message_id)
    if decision is None:
        raise SettingsError(f"no message {message_id}; `inboxd export messages` lists the ids")
    if as_json:
        row = {**decision_json(decision), **(again_json(judged) if judged else {})}
        typer.echo(json.dumps(row, ensure_ascii=False, indent=2))
    else:
        print_decision(decision, zone_named(settings.timezone))
        if judged is not None:
            print_again(judged, zone_named(settings.timezone))


@app.command()
def export(
    context: typer.Context,
    what: Annotated[What, typer.Argument()],
    since: Annotated[str | None, Since] = None,
    form: Annotated[Format, typer.Option("--format")] = Format.JSONL,
) -> None:
    """Stream the store out."""
    from aggregator.exporting import write_csv, write_jsonl
    from aggregator.terminal import progress
    from storage import history

    begin = since_time(since)
    stream = getattr(history, what.value)
    with opened(context) as (_, db), db.read() as conn, progress(busy_stdout=True) as told:
        rows = stream(conn, since=begin)
        written = (
            write_csv(what.value, rows, sys.stdout)
            if form is Format.CSV
            else write_jsonl(rows, sys.stdout)
        )
        for count in written:
            if count % 500 == 0:
                told.say(f"{count} {what.value} written")


@deliveries_app.command("list")
def list_deliveries(
    context: typer.Context,
    state: Annotated[State | None, typer.Option(help="Only those in this state.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One object a line; UTC.")] = False,
) -> None:
    """What is in the outbox, newest last."""
    from aggregator.explaining import print_deliveries
    from aggregator.sla.zone import zone_named
    from storage.history import deliveries

    with opened(context) as (settings, db), db.read() as conn:
        rows = (row for row in deliveries(conn) if state is None or row["state"] == state.value)
        if as_json:
            for row in rows:
                sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")
        else:
            print_deliveries(rows, zone_named(settings.timezone))


@deliveries_app.command("retry")
def retry_deliveries(
    context: typer.Context,
    ids: Annotated[list[int] | None, typer.Argument(metavar="ID…", min=1, max=2**63 - 1)] = None,
    dead: Annotated[bool, typer.Option("--dead", help="Every dead one.")] = False,
) -> None:
    """Put dead deliveries back into the queue."""
    from aggregator.now import utc_now
    from storage.outbox import retry

    if bool(ids) == dead:
        raise typer.BadParameter("give IDs, or --dead")
    with opened(context) as (_, db):
        count = db.write(lambda conn: retry(conn, ids=ids or None, now=utc_now()))
    typer.echo(f"{count} put back into the queue")
    if ids and (missing := len(set(ids)) - count):
        raise SettingsError(
            f"{missing} of them left alone: only dead ones are retried; "
            "`inboxd deliveries list --state dead` lists them"
        )


@db_app.command()
def upgrade(context: typer.Context) -> None:
    """Bring the database to this version; `run` does it too."""
    with opened(context) as (_, db):
        typer.echo(f"the database is at revision {db.revision}")


@db_app.command()
def backup(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="The file to write; replaced by a good copy only.")],
) -> None:
    """A consistent copy, while the daemon runs (SQLite; for PostgreSQL use pg_dump)."""
    from aggregator.terminal import progress
    from storage.backup import backup as copy

    with opened(context) as (_, db), progress() as told:
        copy(db, path, told=lambda done, all: told.say(f"{100 * done // max(all, 1)} % copied"))
    typer.echo(f"written and checked: {path}")


@db_app.command("check")
def check_database(
    context: typer.Context,
    clocks: Annotated[
        bool, typer.Option("--clocks", help="Compute every clock anew from what is stored.")
    ] = False,
) -> None:
    """Integrity of the file and of what refers to what."""
    if clocks:
        _check_clocks(context)
        return
    from aggregator.terminal import progress
    from storage.backup import check as look
    from storage.rollup import differences

    with opened(context) as (_, db), progress() as told:
        told.say("looking at every row")
        problems = look(db)
        told.say("adding the reports up anew")
        with db.read() as conn:
            off = differences(conn)
    if off and not problems:
        raise SettingsError(
            *(f"database: {one}" for one in off),
            "database: the reports' figures are not what the clocks say; `inboxd db refill` adds them up anew",
        )
    if problems:
        raise SettingsError(
            *(f"database: {problem}" for problem in problems),
            "database: restore a backup, or keep a copy of the file before anything else is tried",
        )
    typer.echo("the database is sound")


@db_app.command()
def refill(context: typer.Context) -> None:
    """Add the figures of the reports up anew, from every clock and message."""
    from storage.rollup import refill as again

    with opened(context) as (settings, db):
        db.write(lambda conn: again(conn, settings.timezone))
    typer.echo("the reports' figures are added up anew")


def _check_clocks(context: typer.Context) -> None:
    from aggregator.model import Backfill
    from aggregator.now import utc_now
    from aggregator.rechecking import Recheck
    from aggregator.terminal import progress
    from storage.conversations import conversation_known, every_conversation
    from storage.rules import version_sources

    looked_at = differing = 0
    with opened(context) as (settings, db), db.read() as conn, progress() as told:

        def backfill(account: str) -> Backfill:
            found = settings.accounts.get(account)
            return Backfill.SILENT if found is None else found.backfill

        recheck = Recheck(
            sources=lambda version: version_sources(conn, version),
            backfill=backfill,
            now=utc_now(),
        )
        for known in every_conversation(conn):
            looked_at += len(known.clocks)
            if looked_at % 1000 == 0:
                told.say(f"{looked_at} clocks computed anew")
            if not any(recheck.differences(known)):
                continue
            # A page may have come in while it was read: only what differs twice does.
            again = conversation_known(conn, known.conversation.id)
            for line in recheck.differences(again) if again is not None else ():
                differing += 1
                typer.echo(line)
    if differing:
        raise SettingsError(f"{differing} of {looked_at} clocks are not what the store's facts say")
    typer.echo(f"{looked_at} clocks are what the store's facts say")


app.add_typer(deliveries_app, name="deliveries")
app.add_typer(db_app, name="db")
