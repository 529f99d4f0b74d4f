"""`check` and `poll`: what an operator asks before relying on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from typer import echo

from aggregator.app import connector_for, destination_for, open_database
from aggregator.destinations.escape import one_line
from aggregator.errors import Rejected, SettingsError, Unauthorized, Unavailable
from aggregator.intake import AccountFacts, decide
from aggregator.model import Decision
from aggregator.now import utc_now
from aggregator.settings import Settings
from aggregator.triage.loader import load
from connectors.base import Receives
from storage.engine import Database
from storage.polls import known, streams

OUTCOMES = (Unavailable, Unauthorized, Rejected)


def check_rules(settings: Settings) -> bool:
    names = tuple(settings.destinations) or None
    rules = load(settings.rules, destinations=names)  # raises SettingsError, all problems at once
    echo(f"rules: ok (version {rules.version})")
    for warning in rules.targets.warnings(utc_now()):
        echo(f"rules: {warning}")
    return True


def check_online(settings: Settings) -> bool:
    """Ask each account and destination who we are there."""
    fine = True
    with _on_stage(settings) as staged:
        db = open_database(staged, utc_now)
        try:
            for account in staged.accounts.values():
                fine = (
                    _asked(
                        f"account {account.name}",
                        lambda a=account: _identity(connector_for(a, db, utc_now)),
                    )
                    and fine
                )
            for destination in staged.destinations.values():
                fine = (
                    _asked(
                        f"destination {destination.name}",
                        lambda d=destination: destination_for(d, utc_now).check(),
                    )
                    and fine
                )
        finally:
            db.close()
    return fine


def _asked(name: str, ask: Any) -> bool:
    try:
        said = ask()
    except OUTCOMES as error:
        echo(f"{name}: {one_line(str(error))}")
        return False
    echo(f"{name}: ok, {one_line(said)}")
    return True


def _identity(connector: Any) -> str:
    identity = connector.check()
    streams = ", ".join(f"{name} {state}" for name, state in identity.streams.items())
    parts = [f"{identity.name or '?'} ({identity.native_id})", streams]
    if identity.token_expires_at is not None:
        parts.append(f"token: {(identity.token_expires_at - utc_now()).days} days left")
    if identity.note:
        parts.append(identity.note)
    return "; ".join(part for part in parts if part)


def poll_once(settings: Settings, name: str, *, dry_run: bool) -> bool:
    """One poll of each stream of the account now; what it found is printed, and stored unless `dry_run`."""
    from aggregator.app import Daemon

    with _on_stage(settings) as staged:
        if name not in staged.accounts:
            known = ", ".join(staged.accounts) or "none"
            raise SettingsError(f"no account {name!r} in the settings; there are: {known}")
        if dry_run:
            return _dry(staged, name)
        daemon = Daemon(staged, roles=("ingest",))
        try:
            if daemon.leases.hold(f"account:{name}") is None:
                raise SettingsError(
                    f"a daemon holds {name}; stop it, or use --dry-run to look without storing"
                )

            def found(stream: str, decision: Decision | None) -> None:
                _found(stream, decision, daemon.db, name)

            return daemon.pollers[name].poll_now(found)
        finally:
            daemon.stop(2.0)


def _dry(settings: Settings, name: str) -> bool:
    account = settings.accounts[name]
    rules = load(settings.rules)
    db = open_database(settings, utc_now)
    fine = True
    try:
        connector = connector_for(account, db, utc_now)
        pushed = connector.pushed if isinstance(connector, Receives) else ()
        for stream in connector.streams:
            if stream in pushed:
                continue
            try:
                with db.read() as conn:
                    row = streams(conn, name).get(stream)
                page = connector.poll(stream, row.cursor if row else None)
                with db.read() as conn:
                    before = known(conn, name, page.messages)
            except OUTCOMES as error:
                echo(f"{stream}: {one_line(str(error))}")
                fine = False
                continue
            decision = decide(
                page,
                before,
                account=AccountFacts(name, account.backfill),
                rules=rules,
                now=utc_now(),
                new_id=db.new_id,
            )
            _found(stream, decision, db, name)
    finally:
        db.close()
    return fine


def _found(stream: str, decision: Decision | None, db: Database, account: str) -> None:
    if decision is None:
        with db.read() as conn:
            row = streams(conn, account).get(stream)
        echo(f"{stream}: not read: {one_line((row and row.last_error) or 'the log says why')}")
        return
    echo(
        f"{stream}: {len(decision.messages)} new, {len(decision.versions)} changed, "
        f"{decision.repeated} seen before, {decision.skipped} skipped"
    )
    for stored in decision.messages:
        message, verdict = stored.message, stored.verdict
        who = message.author.name or message.author.handle if message.author else None
        priority = verdict.priority.value if verdict else "  "
        echo(
            f"  {priority} {message.direction.value:8} {one_line(who or '?')}: "
            f"{one_line(message.text or '')[:100]}"
        )


@contextmanager
def _on_stage(settings: Settings) -> Iterator[Settings]:
    if not settings.sandbox:
        yield settings
        return
    from aggregator.demo import staged

    with staged(settings) as (with_stage, _):
        yield with_stage
