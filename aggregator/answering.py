"""`inboxd reply`: what would go out, a person's word that it may, and what became of it."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Collection
from typing import Any

from aggregator.app import connector_for, open_database
from aggregator.destinations.escape import one_line
from aggregator.errors import Rejected, SettingsError, Unauthorized, Unavailable
from aggregator.leases import Leases
from aggregator.model import Backfill
from aggregator.now import utc_now
from aggregator.replying import Draft, Replier
from aggregator.settings import Settings
from aggregator.sla.zone import zone_named
from aggregator.staging import on_stage
from aggregator.triage.loader import load
from storage.replies import ReplyState


def answer(
    settings: Settings,
    message_id: int,
    text: str,
    *,
    by: str,
    again: bool,
    say: Callable[[str], None],
    agreed: Callable[[], bool],
) -> bool:
    """Show the answer, send it once `agreed`; False where it was not sent for certain.

    Raises SettingsError for what is wrong before anything was sent. In the sandbox it goes to the stand-ins of
    the `inboxd run` that is up.
    """
    now = utc_now
    if settings.sandbox:
        settings, now = on_stage(settings)
    rules = load(settings.rules)
    db = open_database(settings, now)
    leases = Leases(db, f"reply:{os.getpid()}:{db.new_id()}")
    made: dict[str, Any] = {}

    def connectors(name: str) -> tuple[Any, Backfill]:
        account = settings.accounts.get(name)
        if account is None:
            raise Rejected(f"the settings name no account {name!r} any more")
        if name not in made:
            made[name] = connector_for(account, db, now)
        return made[name], account.backfill

    def told(_: Collection[str]) -> None:
        """The daemon's senders look for themselves."""

    replier = Replier(
        connectors=connectors, db=db, leases=leases, rules=lambda: rules, now=now, told=told
    )
    try:
        draft = replier.draft(message_id, text)
        for line in lines(draft, settings.timezone):
            say(line)
        if not agreed():
            say("nothing was sent")
            return False
        outcome = replier.reply(message_id, text, by or getpass.getuser(), again=again)
    except (Rejected, Unauthorized, Unavailable) as error:
        raise SettingsError(f"message {message_id}: {one_line(str(error))}") from error
    finally:
        leases.release_all()
        db.close()
    reason = f": {one_line(outcome.reason)}" if outcome.reason else ""
    say(f"{outcome.state}{reason}")
    return outcome.state is ReplyState.SENT


def lines(draft: Draft, timezone: str) -> list[str]:
    """What a person should have read before it goes out."""
    author = draft.to.author
    who = (author.name or author.handle or author.native_id) if author else None
    shown = [
        f"as:      {draft.account}, {'in public' if draft.public else 'directly to them'}",
        f"to:      {one_line(who or 'unknown')}: {one_line(draft.to.text or '')[:200]}",
        f"text:    {draft.text}",
        f"length:  {draft.length} of {draft.longest}",
    ]
    window = draft.window
    if window is not None:
        parts = []
        if window.closes_at is not None:
            closes = window.closes_at.astimezone(zone_named(timezone))
            parts.append(f"closes {closes:%Y-%m-%d %H:%M}")
        if window.left is not None:
            parts.append(f"{window.left} left")
        shown.append(f"window:  {', '.join(parts)}")
    return shown
