"""What the words of a command line stand for: settings, the store, times, files of lines, the shipped files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from aggregator.errors import SettingsError
from aggregator.now import utc_now

if TYPE_CHECKING:
    from aggregator.settings import Settings
    from storage.engine import Database


class LintFormat(StrEnum):
    """For people, for programs, as annotations of GitHub."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"


_AGO = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)([mhdw])", re.ASCII)
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def settings_of(context: typer.Context) -> Settings:
    """The settings that the command line, the environment or the folder name; logging is set up by them."""
    from aggregator import logs
    from aggregator.settings import find, load

    settings = load(find(context.obj, os.environ), os.environ)
    logs.configure(os.environ).redact(settings.secrets())
    return settings


@contextmanager
def opened(context: typer.Context) -> Iterator[tuple[Settings, Database]]:
    """The settings and their store, closed in the end; a store that cannot be read is told in words."""
    from aggregator.app import open_database
    from storage.connect import spoken

    settings = settings_of(context)
    db = open_database(settings, utc_now)
    try:
        with spoken(db.url):
            yield settings, db
    finally:
        db.close()


def shipped() -> Path:
    """Where the shipped settings.yaml and rules/ are: in the wheel, or at the root of a checkout."""
    here = Path(__file__).parent
    return here / "shipped" if (here / "shipped").is_dir() else here.parent


def since_time(value: str | None) -> datetime | None:
    """`7d`, `12h` or an RFC 3339 time as an aware time in UTC; None for None. Raises BadParameter."""
    if value is None:
        return None
    text = value.strip()
    try:
        if ago := _AGO.fullmatch(text):
            return utc_now() - timedelta(**{_UNITS[ago[2]]: float(ago[1])})
        then = datetime.fromisoformat(text)
        if then.tzinfo is None:
            day = then.date().isoformat()
            raise typer.BadParameter(
                f"--since {text}: add a time and a zone, as in {day}T00:00:00Z"
            )
        return then.astimezone(UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"--since takes 90m, 12h, 7d, 4w or a time such as 2026-03-01T00:00:00Z, not {value!r}"
        ) from None


def lines_of(path: Path) -> list[str]:
    """The lines of a UTF-8 file, blank ones too, so that what comes out keeps its place. Raises SettingsError."""
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise SettingsError(f"{path}:1: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise SettingsError(f"{path}:{line}: not UTF-8; save the file as UTF-8") from None
    return [line.rstrip("\r") for line in text.removesuffix("\n").split("\n")] if text else []
