"""The verbs of `inboxd`. Exit status: 0 fine, 1 a problem was found and printed, 2 wrong usage."""

from __future__ import annotations

import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from aggregator.arguments import lines_of, shipped, since_time
from aggregator.errors import SettingsError

app = typer.Typer(
    name="inboxd",
    help="One stream of what customers write to a brand: judged, told, timed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
rules_app = typer.Typer(no_args_is_help=True, help="Check and try the rule files.")
deliveries_app = typer.Typer(
    no_args_is_help=True, help="The outbox: what was told, and what was not."
)
db_app = typer.Typer(no_args_is_help=True, help="The database: upgrade, backup, check.")
app.add_typer(rules_app, name="rules")
app.add_typer(deliveries_app, name="deliveries")
app.add_typer(db_app, name="db")


class Role(StrEnum):
    INGEST = "ingest"
    DELIVER = "deliver"
    WEB = "web"


class What(StrEnum):
    MESSAGES = "messages"
    CONVERSATIONS = "conversations"
    CLOCKS = "clocks"
    DELIVERIES = "deliveries"


class Format(StrEnum):
    JSONL = "jsonl"
    CSV = "csv"


class ReportFormat(StrEnum):
    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def main() -> None:
    """Run a verb; a problem is printed as `file:line: what is wrong, and the remedy`, never a traceback."""
    try:
        app()
    except SettingsError as error:
        for problem in error.problems:
            typer.echo(problem, err=True)
        sys.exit(1)
    except BrokenPipeError:  # `inboxd export … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)


def _version(asked: bool) -> None:
    if asked:
        from aggregator import __version__

        typer.echo(f"inboxd {__version__}")
        raise typer.Exit


@app.callback()
def common(
    context: typer.Context,
    settings: Annotated[
        Path | None,
        typer.Option(help="The settings file; else $INBOXD_SETTINGS, else ./settings.yaml."),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", callback=_version)
    ] = False,
) -> None:
    context.obj = settings


# --- the daemon ---------------------------------------------------------------------------------


@app.command()
def run(
    context: typer.Context,
    role: Annotated[
        list[Role] | None, typer.Option(help="Only these roles; all where none is named.")
    ] = None,
) -> None:
    """Run the daemon until Ctrl-C or SIGTERM."""
    import gc

    gc.disable()  # what is imported stays: looking through it again and again is a tenth of the start
    from aggregator.running import run_daemon

    roles = [one.value for one in role] if role else None
    settings = _settings(context)
    gc.freeze()
    gc.enable()
    run_daemon(settings, roles)


@app.command()
def check(
    context: typer.Context,
    online: Annotated[bool, typer.Option(help="Also ask each account and destination.")] = False,
) -> None:
    """Settings and rules; with --online also who we are at each account and destination."""
    from aggregator.checking import check_online, check_rules

    settings = _settings(context)
    typer.echo(f"settings: ok ({len(settings.accounts)} accounts, sandbox: {settings.sandbox})")
    fine = check_rules(settings)
    if online:
        fine = check_online(settings) and fine
    if not fine:
        raise typer.Exit(1)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Where to; made if it is missing.", metavar="DIR")],
) -> None:
    """Copy the shipped settings.yaml and rules/ to DIR. Nothing that exists is overwritten."""
    import shutil

    source = shipped()
    taken = [name for name in ("settings.yaml", "rules") if (folder / name).exists()]
    if taken:
        raise SettingsError(f"{folder}: {' and '.join(taken)} exist already; name an empty folder")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(source / "settings.yaml", folder / "settings.yaml")
    shutil.copytree(source / "rules", folder / "rules")
    typer.echo(
        f"copied settings.yaml and rules/ to {folder}; next: edit {folder / 'settings.yaml'}"
    )


@app.command()
def poll(
    context: typer.Context,
    account: Annotated[str, typer.Argument(metavar="ACCOUNT")],
    dry_run: Annotated[bool, typer.Option(help="Store nothing, tell nobody.")] = False,
) -> None:
    """One poll now; prints what it found. Refused while a daemon holds the account, unless --dry-run."""
    from aggregator.checking import poll_once

    if not poll_once(_settings(context), account, dry_run=dry_run):
        raise typer.Exit(1)


# --- rules --------------------------------------------------------------------------------------


@app.command("try")
def try_(
    context: typer.Context,
    text: Annotated[str | None, typer.Argument(help="What a customer might write.")] = None,
    file: Annotated[
        Path | None, typer.Option(help="One text a line; one JSON object a line comes out.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The verdict as JSON.")] = False,
) -> None:
    """The verdict on a text, with the reasons."""
    from aggregator.explaining import verdict_json, verdict_text
    from aggregator.triage.loader import load
    from aggregator.triage.ruleset import Subject

    if (text is None) == (file is None):
        raise typer.BadParameter("give a TEXT, or --file F")
    rules = load(_settings(context).rules)
    if file is not None:
        for line in lines_of(file):
            judged = rules.judge(Subject(text=line))
            typer.echo(json.dumps({"text": line, **verdict_json(judged)}, ensure_ascii=False))
        return
    assert text is not None
    verdict = rules.judge(Subject(text=text))
    if as_json:
        typer.echo(json.dumps({"text": text, **verdict_json(verdict)}, ensure_ascii=False))
    else:
        verdict_text(text, verdict, rules)


@rules_app.command()
def lint(
    context: typer.Context,
    folder: Annotated[Path | None, typer.Argument(help="Else the settings' rules folder.")] = None,
) -> None:
    """Check the rule files: every problem with file, line, column and a remedy."""
    from aggregator.checking import lint_rules

    settings = None if folder else _settings(context)
    where = folder or settings.rules  # type: ignore[union-attr]
    names = tuple(settings.destinations) if settings and settings.destinations else None
    if not lint_rules(where, names):
        raise typer.Exit(1)


@rules_app.command("test")
def test_rules(
    context: typer.Context,
    folder: Annotated[Path | None, typer.Argument(help="Else the settings' rules folder.")] = None,
) -> None:
    """Run the examples that stand in the rule files."""
    from aggregator.checking import run_rule_tests

    if not run_rule_tests(folder or _settings(context).rules):
        raise typer.Exit(1)


# --- what happened ------------------------------------------------------------------------------


@app.command()
def status(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Accounts and destinations: health, lag, backlog, last success."""
    from aggregator.explaining import print_status
    from aggregator.now import utc_now
    from storage.history import status_rows

    with _database(context) as db, db.read() as conn:
        rows = status_rows(conn)
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=2))
    else:
        print_status(rows, utc_now())


@app.command()
def explain(
    context: typer.Context,
    message_id: Annotated[int, typer.Argument(metavar="MESSAGE_ID")],
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """The whole decision on a message: matches, verdict, routes, deliveries, and why nobody was told."""
    from aggregator.explaining import print_decision
    from storage.history import message_decision

    with _database(context) as db, db.read() as conn:
        decision = message_decision(conn, message_id)
    if decision is None:
        raise SettingsError(f"no message {message_id}; `inboxd export messages` lists the ids")
    if as_json:
        typer.echo(json.dumps(decision, ensure_ascii=False, indent=2))
    else:
        print_decision(decision)


@app.command()
def report(
    context: typer.Context,
    which: Annotated[str, typer.Argument(metavar="response-times")],
    since: Annotated[str | None, typer.Option(help="7d, 12h, or an RFC 3339 time.")] = "30d",
    by: Annotated[
        str, typer.Option(help="Groups: platform,account,priority,kind,label,route.")
    ] = "",
    form: Annotated[ReportFormat, typer.Option("--format")] = ReportFormat.TABLE,
) -> None:
    """How long customers waited: met, breached, percentiles, unanswered."""
    from aggregator import reports
    from storage.clocks import clock_rows

    if which != "response-times":
        raise typer.BadParameter("response-times is the report there is")
    groups = tuple(part.strip() for part in by.split(",") if part.strip())
    unknown = set(groups) - set(reports.GROUPS)
    if unknown:
        raise typer.BadParameter(
            f"--by takes {', '.join(reports.GROUPS)}; not {', '.join(unknown)}"
        )
    with _database(context) as db, db.read() as conn:
        rows = reports.response_times(clock_rows(conn, since=since_time(since)), groups)
    typer.echo(reports.render(rows, form.value, groups), nl=False)


@app.command()
def export(
    context: typer.Context,
    what: Annotated[What, typer.Argument()],
    since: Annotated[str | None, typer.Option(help="7d, 12h, or an RFC 3339 time.")] = None,
    form: Annotated[Format, typer.Option("--format")] = Format.JSONL,
) -> None:
    """Stream the store out."""
    from aggregator.explaining import csv_writer
    from storage import history

    stream = getattr(history, what.value)
    with _database(context) as db, db.read() as conn:
        rows = stream(conn, since=since_time(since))
        if form is Format.CSV:
            csv_writer(rows, sys.stdout)
            return
        for row in rows:
            sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")


@deliveries_app.command("list")
def list_deliveries(
    context: typer.Context,
    state: Annotated[str | None, typer.Option(help="pending, held, sent, skipped or dead.")] = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """What is in the outbox, newest last."""
    from aggregator.explaining import print_deliveries
    from storage.history import deliveries

    states = ("pending", "held", "sent", "skipped", "dead")
    if state is not None and state not in states:
        raise typer.BadParameter(f"--state takes one of {', '.join(states)}")
    with _database(context) as db, db.read() as conn:
        rows = [row for row in deliveries(conn) if state in (None, row["state"])]
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row, ensure_ascii=False))
    else:
        print_deliveries(rows)


@deliveries_app.command("retry")
def retry_deliveries(
    context: typer.Context,
    ids: Annotated[list[int] | None, typer.Argument(metavar="ID…")] = None,
    dead: Annotated[bool, typer.Option("--dead", help="Every dead one.")] = False,
) -> None:
    """Put dead deliveries back into the queue."""
    from aggregator.now import utc_now
    from storage.outbox import retry

    if bool(ids) == dead:
        raise typer.BadParameter("give IDs, or --dead")
    with _database(context) as db:
        count = db.write(lambda conn: retry(conn, ids=ids or None, now=utc_now()))
    typer.echo(f"{count} put back into the queue")
    if ids and count < len(set(ids)):
        raise typer.Exit(1)


@db_app.command()
def upgrade(context: typer.Context) -> None:
    """Bring the database to this version; `run` does it too."""
    with _database(context) as db:
        typer.echo(f"the database is at revision {db.revision}")


@db_app.command()
def backup(context: typer.Context, path: Annotated[Path, typer.Argument()]) -> None:
    """A consistent copy, while the daemon runs (SQLite; for PostgreSQL use pg_dump)."""
    from storage.backup import backup as copy

    with _database(context) as db:
        copy(db, path)
    typer.echo(f"written and checked: {path}")


@db_app.command("check")
def check_database(context: typer.Context) -> None:
    """Integrity of the file and of what refers to what."""
    from storage.backup import check as look

    with _database(context) as db:
        problems = look(db)
    for problem in problems:
        typer.echo(problem)
    if problems:
        raise typer.Exit(1)
    typer.echo("the database is sound")


# --- helpers ------------------------------------------------------------------------------------


def _settings(context: typer.Context) -> Any:
    from aggregator import logs
    from aggregator.settings import find, load

    settings = load(find(context.obj, os.environ), os.environ)
    logs.configure(os.environ).redact(settings.secrets())
    return settings


def _database(context: typer.Context) -> Any:
    from contextlib import closing

    from aggregator.app import open_database
    from aggregator.now import utc_now

    return closing(open_database(_settings(context), utc_now))
