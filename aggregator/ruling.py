"""The rules while the daemon runs: looked at, held back where they would change much, kept, and spoken of."""

from __future__ import annotations

import gc
from collections.abc import Callable, Collection
from datetime import datetime
from pathlib import Path

import structlog

from aggregator.errors import SettingsError, Unavailable
from aggregator.metrics import Metrics
from aggregator.ops import AGAIN, Ops
from aggregator.threads import subject
from aggregator.triage.compare import compare
from aggregator.triage.modelfile import ModelFile
from aggregator.triage.reload import Held, RuleBook
from aggregator.triage.ruleset import Ruleset
from storage.engine import Database
from storage.rules import approve, approved, hold, last_good, recent, release, save_version
from storage.rules import held as held_rules

GUARDED = 1_000  # recent messages that a change is tried on

log = structlog.get_logger()


class Ruling:
    """Call `look` every second or so, from one thread; `current` may be called from any."""

    def __init__(
        self,
        folder: Path,
        destinations: Collection[str],
        *,
        guard: float | None,
        db: Database,
        ops: Ops,
        metrics: Metrics,
        now: Callable[[], datetime],
        learned: ModelFile | None = None,
    ) -> None:
        """`guard`: the share of recent messages, from 0 to 1, that may change their level unasked."""
        self._db, self._ops, self._metrics, self._now = db, ops, metrics, now
        with db.read() as conn:
            good = last_good(conn)
        asked = Guard(db, guard) if guard is not None else None
        self._learned, self._unlearnt = learned, True
        self.book = RuleBook(folder, destinations, good, guard=asked)
        self._saved = ""
        self._held: Held | None = None
        self._told_at: datetime | None = None
        self._problems: tuple[str, ...] | None = None
        self._rules = self.book.current
        self._report()
        self._learn()

    def current(self) -> Ruleset:
        """The rules in force, with the model that the site has learnt if it is in use."""
        return self._rules

    def look(self) -> None:
        """Take what changed in the folder, and tell `ops` of what is wrong, hourly until it is mended."""
        self.book.look()
        if self._learned is not None:
            self._learned.look()
        self._report()
        self._learn()

    def _report(self) -> None:
        rules, problems = self.book.current, self.book.problems
        if rules.version != self._saved:
            # A ruleset is a hundred thousand objects that stay: a collection that looks through them in the
            # middle of a page would hold every thread up for tens of milliseconds.
            gc.freeze()
            self._db.write(
                lambda conn: save_version(conn, rules.version, rules.sources, self._now())
            )
            if self._saved:
                log.info("rules.loaded", version=rules.version)
            self._metrics.rules_in_force(rules.version)
            self._saved = rules.version
        if problems != self._problems:
            self._metrics.rule_problems(self.book.files, self.book.wrong)
            if not problems:
                self._metrics.rules_at.set(self._now().timestamp())
        if self.book.held != self._held or self._problems is None:
            self._note(self.book.held)
        self._tell(problems, changed=problems != self._problems)
        self._problems = problems

    def _learn(self) -> None:
        rules = self.book.current
        if self._learned is None:
            self._rules = rules
            return
        if self._rules.version != rules.version or self._rules.learned is not self._learned.current:
            self._rules = rules.having(self._learned.current)
        if self._learned.problem is not None:
            said = f"{self._learned.problem}; what was learnt before stays"
            self._ops.broken("learned", said, changed=not self._unlearnt)
        elif self._unlearnt:
            self._ops.mended("learned", "the learnt model is good again")
        self._unlearnt = self._learned.problem is not None

    def _tell(self, problems: tuple[str, ...], *, changed: bool) -> None:
        held = self.book.held
        if not changed and self._told_at is not None and self._now() - self._told_at < AGAIN:
            return
        self._told_at = self._now()
        if problems:
            text = "bad rules, the last good ones stay:\n" + "\n".join(problems)
            self._ops.broken("rules", text, changed=True, again=True)
        else:
            said = f"the rules are good again, version {self.book.current.version}"
            self._ops.mended("rules", said)
        if held is not None:
            self._ops.broken("rules.held", _told(held), changed=True, again=True)

    def _note(self, held: Held | None) -> None:
        """Where `status` and `rules approve` find it."""
        self._metrics.rules_held.set(0 if held is None else 1)
        if held is None:
            self._db.write(release)
            said = f"no rules wait for a person; version {self.book.current.version} is in force"
            self._ops.mended("rules.held", said)
        else:
            self._db.write(lambda conn: hold(conn, held.version, held.why, self._now()))
            self._ops.broken("rules.held", _told(held), changed=True)
        self._held = held


def approve_held(db: Database, version: str | None) -> str:
    """Approve the rules that wait, if they are `version` (None: whatever waits). Says so, or raises SettingsError."""
    with db.read() as conn:
        waiting = held_rules(conn)
    if waiting is None:
        raise SettingsError("no rules wait for a person; `inboxd status` says what is in force")
    if version not in (None, waiting.version):
        raise SettingsError(f"the rules that wait are {waiting.version}, not {version}; look again")
    db.write(lambda conn: approve(conn, waiting.version))
    return f"rules {waiting.version} are approved; a running daemon takes them within seconds"


def _told(held: Held) -> str:
    return (
        f"changed rules wait, the old ones stay: {held.why}; to let them in: "
        f"inboxd rules approve {held.version}; to see more: inboxd rules backtest"
    )


class Guard:
    """Why changed rules must wait for a person, or None; asks the store whether one has approved them."""

    def __init__(self, db: Database, share: float) -> None:
        self._db, self._share = db, share
        self._asked: tuple[str, str] | None = None
        self._why: str | None = None

    def __call__(self, old: Ruleset, new: Ruleset) -> str | None:
        if old.version == new.version:
            return None
        try:
            if self._asked != (old.version, new.version):
                self._why, self._asked = self._compared(old, new), (old.version, new.version)
            if self._why is None:
                return None
            with self._db.read() as conn:
                return None if approved(conn) == new.version else self._why
        except Unavailable as error:
            return f"they cannot be tried on recent messages ({error.reason})"

    def _compared(self, old: Ruleset, new: Ruleset) -> str | None:
        with self._db.read() as conn:
            rows = recent(conn, GUARDED)
        found = compare(old, new, (subject(one.message, one.account) for one in rows))
        if found.share <= self._share:
            return None
        allowed = f"{self._share:.2%}".replace(".00%", "%")
        return (
            f"{found.changed} of the last {found.total} messages would change their level "
            f"({found}), and rules_guard allows {allowed}"
        )
