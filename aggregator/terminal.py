"""How the verbs print: tables that no pipe squeezes, times in the settings' zone, progress for a person only."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from zoneinfo import ZoneInfo

from rich import box
from rich.console import Console
from rich.table import Table

PIPE_WIDTH = 240  # nobody sees where a line in a file is broken
BLANK = "\r\x1b[K"


def console() -> Console:
    """Prints what it is given as it is: no markup, no guessed colours, no line broken in a pipe."""
    return Console(
        highlight=False,
        markup=False,
        emoji=False,
        width=None if sys.stdout.isatty() else PIPE_WIDTH,
    )


def table(*columns: str) -> Table:
    """Only the last column is ever broken into lines."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in columns[:-1]:
        made.add_column(name, no_wrap=True)
    made.add_column(columns[-1], overflow="fold")
    return made


def when(at: str | None, zone: ZoneInfo) -> str:
    """An exported time for a person: `2026-03-04 10:00:05` in `zone`."""
    if at is None:
        return "–"
    return f"{datetime.fromisoformat(at).astimezone(zone):%Y-%m-%d %H:%M:%S}"


class Progress:
    """One line on stderr, written over; nothing unless a person looks at it."""

    def __init__(self, shown: bool) -> None:
        self._shown = shown
        self._last = ""

    def say(self, words: str) -> None:
        if self._shown and words != self._last:
            sys.stderr.write(BLANK + words)
            sys.stderr.flush()
            self._last = words

    def over(self) -> None:
        if self._last:
            sys.stderr.write(BLANK)
            sys.stderr.flush()


@contextmanager
def progress(*, busy_stdout: bool = False) -> Iterator[Progress]:
    """`busy_stdout`: the work itself prints there, which on a terminal is progress enough."""
    one = Progress(sys.stderr.isatty() and not (busy_stdout and sys.stdout.isatty()))
    try:
        yield one
    finally:
        one.over()
