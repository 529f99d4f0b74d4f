"""`inboxd auth`: a person opens a page, agrees, and brings back where it led; the token is kept sealed."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime

from aggregator.app import keep_for
from aggregator.errors import Rejected, SettingsError, Unauthorized, Unavailable
from aggregator.leases import Leases
from aggregator.settings import Settings
from connectors.beginning import KEY as BEGUN
from connectors.registry import connector_class
from storage.engine import Database
from storage.keep import AccountKeep
from storage.sealed import KEYLESS, SECRET, Seal


def authorize(
    settings: Settings,
    db: Database,
    name: str,
    *,
    now: Callable[[], datetime],
    say: Callable[[str], None],
    ask: Callable[[], str],
    answer: str | None = None,
) -> None:
    """Walk the operator to a token of the account `name`. `ask` gives what the operator brings back.

    1. Is there a walk, and a key to seal the token with? 2. Show the page. 3. Take the answer. 4. Exchange it.
    With an `answer` only the last step is left: it belongs to the page that was shown within the hour, by
    whichever process. Raises SettingsError with what is wrong and the remedy.
    """
    account = settings.accounts.get(name)
    if account is None:
        known = ", ".join(settings.accounts) or "none"
        raise SettingsError(f"no account {name!r} in the settings; there are: {known}")
    kind = connector_class(account.connector)
    begin = getattr(kind, "authorization", None)
    if begin is None:
        raise SettingsError(
            f"{name}: a token for {account.connector} is not to be had from a terminal; "
            "the README says where its credentials come from"
        )
    if not Seal.of(os.environ):
        raise SettingsError(f"{name}: the token would not be kept without a key; {KEYLESS}")
    leases = Leases(db, f"auth:{os.getpid()}:{db.new_id()}")
    try:
        if leases.hold(f"auth:{name}") is None:
            raise SettingsError(f"{name}: somebody else is authorising it just now; wait a moment")
        keep = keep_for(name, db)
        walk = begin(account.options, keep=keep, now=now)
        if answer is None:
            keep.forget(BEGUN)  # another one, readable or not
            page, _state = walk.begin()
            say(f"1. Open this page in a browser and agree as the account:\n\n   {page}\n")
            say("2. Paste the address that the browser is led to, or the code in it.")
            answer = ask()
        if not (answer := answer.strip()):
            raise SettingsError(
                f"{name}: nothing was pasted; no token was changed. The page is good for an hour: "
                f"inboxd auth {name} --answer 'ADDRESS'"
            )
        _make_room(keep)
        walk.finish(answer)
    except (Rejected, Unauthorized, Unavailable) as error:
        raise SettingsError(f"{name}: {error}; nothing is stored") from error
    finally:
        leases.release_all()
    say(f"{name}: the token is kept, sealed; a running daemon uses it from its next poll on")


def _make_room(keep: AccountKeep) -> None:
    """A token that no key opens any more is in the way of a new one."""
    try:
        keep.get(SECRET)
    except Unauthorized:
        keep.forget(SECRET)
