"""The file that holds what a site learnt, looked at while the daemon runs; its last good version stays."""

from __future__ import annotations

from pathlib import Path

from aggregator.errors import SettingsError
from aggregator.triage.learned import Learned, parse

LARGEST = 32 * 1024 * 1024


class ModelFile:
    """`current`: the model in use, None before there is one. Neither the constructor nor `look` ever raises.

    `problem`: why the newest version of the file is not in use.
    """

    def __init__(self, path: Path, *, live: bool) -> None:
        self._path, self._live = path, live
        self._seen: tuple[int, int, int] | None = None
        self.current: Learned | None = None
        self.problem: str | None = None
        self.look()

    def look(self) -> None:
        try:
            found = self._path.stat()
            seen = (found.st_mtime_ns, found.st_size, found.st_ino)
            if seen == self._seen:
                return
            self.problem = None
            self.current = read(self._path, live=self._live)
            self._seen = seen
        except FileNotFoundError:
            if self._seen is None:
                return  # nothing was learnt yet
            self.problem = f"{self._path}: it is gone; what was learnt stays in use until a restart"
        except OSError as error:
            self.problem = f"{self._path}: cannot be read ({error.strerror})"
        except SettingsError as error:
            self.problem, self._seen = error.problems[0], seen


def read(path: Path, *, live: bool) -> Learned:
    """Raises OSError, or SettingsError where the file is no model."""
    if path.stat().st_size > LARGEST:
        raise SettingsError(f"{path}:1: larger than {LARGEST} bytes; train again, or remove it")
    return Learned(parse(path.read_bytes(), str(path)), live)
