"""What the words of a command line stand for: times, files of lines, the shipped files."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import typer

from aggregator.errors import SettingsError
from aggregator.now import utc_now


def shipped() -> Path:
    """Where the shipped settings.yaml and rules/ are: in the wheel, or at the root of a checkout."""
    here = Path(__file__).parent
    return here / "shipped" if (here / "shipped").is_dir() else here.parent


def since_time(value: str | None) -> datetime | None:
    """`7d`, `12h` or an RFC 3339 time as an aware time; None for None. Raises BadParameter."""
    if value is None:
        return None
    units = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
    try:
        if value[-1:] in units:
            return utc_now() - timedelta(**{units[value[-1]]: float(value[:-1])})
        then = datetime.fromisoformat(value)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"--since takes 7d, 12h or an RFC 3339 time, not {value!r}"
        ) from None
    if then.tzinfo is None:
        raise typer.BadParameter(f"--since {value}: add a zone, as in {value}Z")
    return then


def lines_of(path: Path) -> list[str]:
    """The lines of a UTF-8 file. Raises SettingsError."""
    try:
        return path.read_text("utf-8-sig").splitlines()
    except OSError as error:
        raise SettingsError(f"{path}:1: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}:1: not UTF-8; save the file as UTF-8") from None
