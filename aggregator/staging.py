"""Lets a second terminal into a running sandbox: its accounts and its clock, as `inboxd run` left word of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from aggregator.app import open_database
from aggregator.errors import SettingsError
from aggregator.now import utc_now
from aggregator.sandbox.play import PlayClock
from aggregator.settings import Settings, with_sandbox
from storage.engine import Database
from storage.stage import set_stage, stage

NOBODY = (
    "the sandbox is not running: its platforms live inside `inboxd run`; "
    "start it (make run), and type this in a second terminal"
)


def leave_word(db: Database, accounts: Mapping[str, Any], clock: PlayClock) -> None:
    """Where the stand-ins are and what time it is there. To be repeated when the clock changes its pace."""
    told = json.dumps({"accounts": accounts, "clock": clock.told()})
    db.write(lambda conn: set_stage(conn, told))


def take_down(db: Database) -> None:
    db.write(lambda conn: set_stage(conn, None))


def on_stage(settings: Settings) -> tuple[Settings, Callable[[], datetime]]:
    """The settings with the running sandbox's accounts, and its clock. Raises SettingsError where none runs."""
    db = open_database(settings, utc_now)
    try:
        with db.read() as conn:
            told = stage(conn)
    finally:
        db.close()
    if told is None:
        raise SettingsError(NOBODY)
    row = json.loads(told)
    return with_sandbox(settings, row["accounts"], {}), PlayClock.of(row["clock"], utc_now).now
