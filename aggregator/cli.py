"""The verbs of `inboxd`. Exit status: 0 fine, 1 a problem was found and printed, 2 wrong usage."""

from __future__ import annotations

import io
import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from aggregator import cli_conversation, cli_report, cli_rules, cli_silence, cli_store
from aggregator.arguments import LintFormat, lines_of, settings_of, shipped
from aggregator.errors import SettingsError, Unavailable

app = typer.Typer(
    name="inboxd",
    help="One stream of what customers write to a brand: judged, told, timed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
rules_app = typer.Typer(no_args_is_help=True, help="Check and try the rule files.")


rules_app.add_typer(cli_rules.app)
app.add_typer(rules_app, name="rules")
app.add_typer(cli_report.app)
app.add_typer(cli_store.app)
app.add_typer(cli_conversation.app, name="conversation")
app.add_typer(cli_silence.app, name="silence")
app.add_typer(cli_rules.verbs)


class Role(StrEnum):
    INGEST = "ingest"
    DELIVER = "deliver"
    WEB = "web"


def main() -> None:
    """Run a verb; a problem is printed as `file:line: what is wrong, and the remedy`, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Customers write Chinese and emoji, whatever the locale; a lone surrogate is shown, not fatal.
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        app()
        sys.stdout.flush()
    except SettingsError as error:
        _complain(*error.problems)
    except Unavailable as error:
        _complain(f"{error.reason}; try again in a moment")
    except BrokenPipeError:  # `inboxd export … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _complain(f"{where}{error.strerror or error}")
    except KeyboardInterrupt:
        sys.exit(130)


def _complain(*problems: str) -> NoReturn:
    for problem in problems:
        typer.echo(problem, err=True)
    sys.exit(1)


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

    # numpy's threads would be there before the signals are set up, and die of a SIGTERM.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.disable()  # what is imported stays: looking through it again and again is a tenth of the start
    from aggregator.running import run_daemon

    roles = [one.value for one in role] if role else None
    settings = settings_of(context)
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

    settings = settings_of(context)
    named = f"{len(settings.accounts)} accounts, {len(settings.destinations)} destinations"
    typer.echo(f"settings: ok ({'sandbox' if settings.sandbox else named})")
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

    if not poll_once(settings_of(context), account, dry_run=dry_run):
        raise typer.Exit(1)


@app.command()
def auth(
    context: typer.Context,
    account: Annotated[str, typer.Argument(metavar="ACCOUNT")],
    answer: Annotated[
        str | None,
        typer.Option(help="What the page led to, if it was shown before; else it is asked for."),
    ] = None,
) -> None:
    """Get a token for an account: shows the page to agree on, takes the answer, keeps the token sealed."""
    from aggregator.arguments import opened
    from aggregator.authorizing import authorize
    from aggregator.now import utc_now

    with opened(context) as (settings, db):
        authorize(
            settings,
            db,
            account,
            now=utc_now,
            say=typer.echo,
            ask=sys.stdin.readline,
            answer=answer,
        )


@app.command()
def reply(
    context: typer.Context,
    message_id: Annotated[int, typer.Argument(metavar="MESSAGE_ID", min=1, max=2**63 - 1)],
    text: Annotated[str, typer.Argument(metavar="TEXT")],
    by: Annotated[str, typer.Option(help="Who answers; kept with the answer.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before it is sent.")] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Also where the same words may have arrived before.")
    ] = False,
) -> None:
    """Answer a customer on the platform: shows exactly what goes out and where, asks, sends it once."""
    from aggregator.answering import answer

    def agreed() -> bool:
        return yes or typer.confirm("Send it?", default=False)

    if not answer(
        settings_of(context), message_id, text, by=by, again=again, say=typer.echo, agreed=agreed
    ):
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
    from aggregator.marking import look_json
    from aggregator.modelling import with_learned
    from aggregator.triage.compare import BATCH
    from aggregator.triage.loader import load
    from aggregator.triage.nearly import look
    from aggregator.triage.ruleset import Subject

    if (text is None) == (file is None):
        raise typer.BadParameter("give a TEXT, or --file F")
    settings = settings_of(context)
    rules = with_learned(settings, load(settings.rules))
    if file is not None:
        lines = lines_of(file)
        for at in range(0, len(lines), BATCH):
            some = lines[at : at + BATCH]
            verdicts = rules.evaluate_many([Subject(text=line) for line in some])
            for line, judged in zip(some, verdicts, strict=True):
                typer.echo(json.dumps({"text": line, **verdict_json(judged)}, ensure_ascii=False))
        return
    assert text is not None
    verdict = rules.judge(Subject(text=text))
    if as_json:
        closer = {**look_json(look(rules, Subject(text))), "rules_version": rules.version}
        row = {"text": text, **verdict_json(verdict), **closer}
        typer.echo(json.dumps(row, ensure_ascii=False))
    else:
        verdict_text(text, verdict, rules, settings.language)


@rules_app.command()
def lint(
    context: typer.Context,
    folder: Annotated[Path | None, typer.Argument(help="Else the settings' rules folder.")] = None,
    form: Annotated[
        LintFormat,
        typer.Option("--format", help="For people, for programs, or as annotations of GitHub."),
    ] = LintFormat.TEXT,
) -> None:
    """Check the rule files: every problem with file, line, column and a remedy."""
    from aggregator.linting import lint_rules, recent_messages

    if folder is not None:
        fine = lint_rules(folder, form=form)
    else:
        settings = settings_of(context)
        fine = lint_rules(
            settings.rules,
            tuple(settings.destinations) or None,
            messages=recent_messages(settings),
            form=form,
        )
    if not fine:
        raise typer.Exit(1)


@rules_app.command("schema")
def print_schema() -> None:
    """Print the JSON Schema of the rule files, as rules/schema.json has it for editors."""
    from aggregator.triage.editors import json_schema

    typer.echo(json_schema(), nl=False)


@rules_app.command("test")
def test_rules(
    context: typer.Context,
    folder: Annotated[Path | None, typer.Argument(help="Else the settings' rules folder.")] = None,
) -> None:
    """Run the examples that stand in the rule files."""
    from aggregator.linting import run_rule_tests

    if not run_rule_tests(folder or settings_of(context).rules):
        raise typer.Exit(1)


@rules_app.command()
def approve(
    context: typer.Context,
    version: Annotated[
        str | None, typer.Argument(help="Only if these are what waits.", metavar="VERSION")
    ] = None,
) -> None:
    """Let changed rules in that wait because they would change much (rules_guard in the settings)."""
    from aggregator.arguments import opened
    from aggregator.ruling import approve_held

    with opened(context) as (_, db):
        typer.echo(approve_held(db, version))
