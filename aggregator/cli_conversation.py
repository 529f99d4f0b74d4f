"""`inboxd conversation …`: what a person does with a conversation, by command."""

from __future__ import annotations

import getpass
from enum import StrEnum
from typing import Annotated

import typer

from aggregator.arguments import opened
from aggregator.errors import Rejected, SettingsError

app = typer.Typer(
    no_args_is_help=True, help="Claim, resolve, close … a conversation; its card shows it at once."
)


class Level(StrEnum):
    P1 = "P1"
    P2 = "P2"
    P3 = "P3"
    P4 = "P4"


Id = Annotated[int, typer.Argument(metavar="ID", min=1, max=2**63 - 1)]
By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who does it; you, if left out.")]
Why = Annotated[str | None, typer.Option("--why", metavar="TEXT", help="Kept with the act.")]


@app.command()
def claim(context: typer.Context, id: Id, by: By = "", why: Why = None) -> None:
    """Take it on. Without an answer the claim ends after 45 minutes of the target's calendar."""
    _act(context, id, "CLAIM", by, why)


@app.command()
def release(context: typer.Context, id: Id, by: By = "", why: Why = None) -> None:
    """Give a claim back."""
    _act(context, id, "RELEASE", by, why)


@app.command()
def resolve(context: typer.Context, id: Id, by: By = "", why: Why = None) -> None:
    """The matter is done; a message within 72 hours opens it again."""
    _act(context, id, "RESOLVE", by, why)


@app.command()
def wait(context: typer.Context, id: Id, by: By = "", why: Why = None) -> None:
    """It is the customer's turn: the resolution clock pauses until they write."""
    _act(context, id, "WAIT", by, why)


@app.command("no-answer")
def no_answer(context: typer.Context, id: Id, by: By = "", why: Why = None) -> None:
    """No answer is needed, as to a "thanks": counted apart, neither met nor breached."""
    _act(context, id, "NO_ANSWER", by, why)


@app.command()
def close(context: typer.Context, id: Id, by: By = "", why: Why = None) -> None:
    """End it; what had no answer counts as unanswered. A later message begins a new one."""
    _act(context, id, "CLOSE", by, why)


@app.command()
def reopen(context: typer.Context, id: Id, by: By = "", why: Why = None) -> None:
    """Take back that it was resolved, closed or needed no answer: the customer waited all along."""
    _act(context, id, "REOPEN", by, why)


@app.command()
def priority(
    context: typer.Context,
    id: Id,
    level: Annotated[Level, typer.Argument()],
    by: By = "",
    why: Why = None,
) -> None:
    """Set its priority; a rule that matches later may still raise it."""
    _act(context, id, "PRIORITY", by, why, level)


def _act(
    context: typer.Context,
    id: int,
    what: str,
    by: str,
    why: str | None,
    level: Level | None = None,
) -> None:
    from aggregator.acting import Asked, What, act_on
    from aggregator.model import Backfill, Priority
    from aggregator.now import utc_now
    from aggregator.staging import on_stage
    from aggregator.triage.loader import load

    with opened(context) as (settings, db):
        rules = load(settings.rules)
        now = on_stage(settings)[1] if settings.sandbox else utc_now

        def backfill(account: str) -> Backfill:
            found = settings.accounts.get(account)
            return Backfill.SILENT if found is None else found.backfill

        asked = Asked(
            What[what],
            by or getpass.getuser(),
            "command",
            None if level is None else Priority(level.value),
            why,
        )
        try:
            now_is = act_on(
                id,
                asked,
                db=db,
                rules=lambda: rules,
                backfill=backfill,
                now=now,
                told=lambda _: None,  # the daemon's senders look for themselves
            )
        except Rejected as error:
            raise SettingsError(f"conversation {id}: {error}") from error
    claimed = f", claimed by {now_is.claimed_by}" if now_is.claimed_by else ""
    typer.echo(f"conversation {id}: {now_is.state}, {now_is.priority}{claimed}")
