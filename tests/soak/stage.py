"""A day on a platform, through the real path, on a clock of its own; then what must be true of it.

A platform's soak (tests/soak/test_<platform>.py) writes three things:

1. A `Day`: it owns the stand-in (made with the day's `Clock`), and a `random.Random(seed)`. `step` is called
   once a minute: it lets things happen (`told[label] = standin.play(line, clock(), told)`), turns the knobs and
   throws faults; `calm` ends every trouble, once, before the evening in which all that is late must come in. What
   the stand-in made unreadable for good goes into `holes`; what may or may not have been seen (withdrawn
   before a poll could meet it) into `fleeting`, by label.
2. `soaked = soak(day, url, connector="x", seed=seed, options={...})`: the connector asks the stand-in over
   loopback HTTP, and the poller, intake and storage are those of the daemon, over the database at `url`. Callbacks
   come in through the HTTP side. Every so often the process is stopped, or killed right before or right after
   a commit, and a new one goes on with the same database. `Ticker` is not there: the clock stands still
   while anything works, so nothing sleeps, and a day passes in seconds.
3. `hold(soaked, limits=(...), visible=...)`: the export equals the truth, nothing is lost, doubled or made up,
   gaps are where the holes are, no more calls than the platform takes. `visible(truth)` says what the
   platform ever shows of a line: the same truth with less in it.

`seeds(first)` is for parametrize: one seed in the usual run, SEEDS=20 of them where that is set (PostgreSQL too). A test takes
`db_url` (both databases) and asserts what is its own: that each hard part did happen, say.
"""

from __future__ import annotations

import os
import random
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from aggregator.app import connector_for
from aggregator.health import Health
from aggregator.leases import Leases
from aggregator.metrics import Metrics
from aggregator.model import Backfill
from aggregator.ops import Ops
from aggregator.options import AccountSettings
from aggregator.poller import Poller
from aggregator.sandbox.base import Truth
from aggregator.web.callbacks import Callbacks
from aggregator.web.server import Server, site
from connectors.base import Receives
from connectors.registry import connector_class
from storage import history
from storage.engine import Database
from tests.connectors.loopback import Clock
from tests.e2e.stage import expected, found, partition, rfc3339
from tests.fakes import RULES

DAWN = datetime(
    2026, 3, 4, 2, 0, tzinfo=UTC
)  # 10:00 in Shanghai; the UTC day ends within the 24 hours
STEP = timedelta(minutes=1)
TICKS = 50  # in one minute, of those that ask to go on at once
STOPS = ("stop", "kill_before", "kill_after")


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `most` calls in `per_s` seconds to paths that match `path` wholly.

    `rolling`: in any such stretch; else in windows that open with the first call after the last one closed.
    """

    path: str
    most: int
    per_s: float
    method: str = "GET"
    rolling: bool = False


@dataclass(frozen=True, slots=True)
class Hole:
    """What the stand-in made unreadable of a stream, for good: a gap must be told there. `labels`: what fell in."""

    stream: str
    since: datetime
    until: datetime
    labels: Collection[str] = ()


class Day(Protocol):
    """A platform's random day. `standin` is a Standin that is not started yet."""

    clock: Clock
    standin: Any

    @property
    def told(self) -> Mapping[str, Truth]: ...

    @property
    def fleeting(self) -> Collection[str]: ...

    @property
    def holes(self) -> Sequence[Hole]: ...

    def step(self, inbox: Inbox) -> None:
        """A minute has passed. `inbox` is the running daemon, for days on which it answers."""
        ...

    def calm(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Soaked:
    """What the day was, and what the store says of it. `calls`: (when, method, path), as the stand-in counted."""

    day: Day
    messages: Sequence[Mapping[str, Any]]
    gaps: Sequence[Mapping[str, Any]]
    calls: Sequence[tuple[datetime, str, str]]
    stops: Mapping[str, int]
    failures: Mapping[str, float]  # of polls, by outcome


class Killed(BaseException):
    """The process ends here: nobody catches this."""


@dataclass
class Inbox:
    """One process of the daemon after another, over one database. `stops`: how often each end was met."""

    url: str
    account: AccountSettings
    now: Callable[[], datetime]
    metrics: Metrics = field(default_factory=lambda: Metrics("soak"))
    stops: Counter[str] = field(default_factory=Counter)
    kill: str | None = None  # the next commit is this process' last: kill_before, kill_after
    hurried: bool = False

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """A new process: nothing is left of the last one but what it stored."""
        self.db = Database.open(self.url, now=self.now)
        # Nobody renews here, and nobody else is there to take one: a lease never grows old.
        self.leases = Leases(self.db, f"soak-{sum(self.stops.values())}", monotonic=lambda: 0.0)
        ops = Ops(db=self.db, present=True, now=self.now, told=lambda _: None)
        account = self.account
        self.connector = connector_for(account, self.db, self.now)
        self.poller = Poller(
            account=account.name,
            connector=self.connector,
            platform=account.connector,
            every_s=account.every_s,
            backfill=account.backfill,
            db=self.db,
            leases=self.leases,
            rules=self._rules,
            now=self.now,
            told=self._told,
            hurry=self.hurry,
            ops=ops,
            metrics=self.metrics,
        )
        self.health = Health(
            {account.name: self.connector},
            db=self.db,
            leases=self.leases,
            ops=ops,
            now=self.now,
            metrics=self.metrics,
        )

    def end(self) -> None:
        self.leases.release_all()  # a kill does not; its lease would be waited for, in real seconds
        self.db.close()
        self.kill = None

    def again(self, how: str) -> None:
        """End as `how` says, and start anew."""
        if how != "stop":
            self.kill = how
            return
        self.stops[how] += 1
        self.end()
        self.start()

    def hurry(self) -> None:
        self.hurried = True

    def work(self) -> None:
        """What the scheduler has it do in a minute: callbacks, then what is due, until nothing asks to go on."""
        self.hurried = True
        for _ in range(TICKS):
            if not self.hurried:
                return
            self.hurried = False
            try:
                self.poller.drain()
                self.poller.tick()
            except Killed as killed:
                self.stops[str(killed)] += 1
                self.end()
                self.start()
                self.hurried = True
        raise AssertionError("it never comes to rest")

    def rows(self, what: Callable[..., Any]) -> list[Any]:
        with self.db.read() as conn:
            return list(what(conn))

    def _rules(self) -> Any:
        """Asked for before each decision, which is before its commit."""
        if self.kill == "kill_before":
            raise Killed(self.kill)
        return RULES

    def _told(self, _: Collection[str]) -> None:
        """Called right after each commit."""
        if self.kill == "kill_after":
            raise Killed(self.kill)


def soak(
    day: Day,
    url: str,
    *,
    connector: str,
    seed: int,
    options: Mapping[str, Any] | None = None,
    every_s: float = 300.0,  # each poll costs about 15 ms here: 900 of them are a dozen seconds
    backfill: Backfill = Backfill.SILENT,
    hours: float = 24.0,
    evening_h: float = 3.0,
    stops: float = 0.01,  # a minute's chance of a stop or a kill
) -> Soaked:
    """Play the day; the same seed gives the same day. Asserts nothing but that the stand-in made no mistake."""
    chance = random.Random(f"stops {seed}")
    random.seed(seed)  # the poller spreads its retries by it
    standin = day.standin
    standin.start()
    model = connector_class(connector).options
    account = AccountSettings(
        name=f"{connector}_demo",
        connector=connector,
        every_s=every_s,
        backfill=backfill,
        paused=False,
        options=model.model_validate({**standin.options(), **(options or {})}),
    )
    calls: list[tuple[datetime, str, str]] = []
    inbox = Inbox(url, account, day.clock)
    try:
        with _callbacks(inbox, standin):
            inbox.work()
            minutes, evening = round(hours * 60), round(evening_h * 60)
            for minute in range(minutes + evening):
                day.clock.at += STEP
                if minute < minutes:
                    day.step(inbox)
                    if chance.random() < stops:
                        inbox.again(chance.choice(STOPS))
                elif minute == minutes:
                    day.calm()
                if hasattr(standin, "settle"):
                    assert standin.settle()
                if minute % 60 == 0:
                    inbox.health.tick()
                inbox.work()
                with standin.lock:
                    new = standin.calls[len(calls) :]
                calls += [(day.clock.at, method, path) for method, path in new]
            assert standin.errors == []
            return Soaked(
                day=day,
                messages=inbox.rows(history.messages),
                gaps=inbox.rows(history.gaps),
                calls=calls,
                stops=dict(inbox.stops),
                failures=_failures(inbox.metrics),
            )
    finally:
        inbox.end()
        standin.stop()


def hold(
    soaked: Soaked,
    *,
    limits: Sequence[Limit] = (),
    visible: Callable[[Truth], Truth] = lambda truth: truth,
    slack: timedelta = timedelta(minutes=10),
    threads: bool = True,
) -> None:
    """Everything that must be true of a day. `slack`: how far a gap may reach beyond its hole, or end short of it.

    `threads`: also that messages share a conversation exactly where the truth says so.
    """
    day = soaked.day
    unreadable = {label for hole in day.holes for label in hole.labels}
    truth = {_key(one): (label, visible(one)) for label, one in day.told.items() if one.exported}
    rows: dict[tuple[str, str], Mapping[str, Any]] = {}
    double = []
    for row in soaked.messages:
        key = (row["kind"], row["native_id"])
        if key in rows:
            double.append(key)
        rows[key] = row
    assert not double, f"double: {double[:5]}"
    made_up = [rows[key] for key in rows.keys() - truth.keys()]
    assert not made_up, f"made up: {made_up[:3]}"
    lost = [
        truth[key]
        for key in truth.keys() - rows.keys()
        if truth[key][0] not in unreadable and truth[key][0] not in day.fleeting
    ]
    assert not lost, f"{len(lost)} of {len(truth)} lost: {lost[:3]}"
    had = [label for label, _ in (truth[key] for key in rows) if label in unreadable]
    assert not had, f"read after all, so the day is wrong: {had[:5]}"
    wrong = [(truth[key][0], odd) for key in rows if (odd := differences(truth[key][1], rows[key]))]
    assert not wrong, f"{len(wrong)} of {len(rows)} differ: {wrong[:5]}"
    if threads:
        stored = partition([(str(key), row["conversation_id"]) for key, row in rows.items()])
        meant = partition([(str(key), truth[key][1].conversation) for key in rows])
        assert stored == meant, f"threads differ: {sorted(map(sorted, stored ^ meant))[:4]}"
    _hold_gaps(soaked, slack)
    for limit in limits:
        most, at = busiest(soaked.calls, limit)
        assert most <= limit.most, f"{most} calls in {limit.per_s:.0f} s at {at}: {limit}"


def differences(truth: Truth, row: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What an export row says otherwise than the truth: (meant, stored) by key."""
    meant, stored = expected(truth), found(row)
    meant["edited_at"] = None if truth.edited_at is None else rfc3339(truth.edited_at)
    stored["edited_at"] = row["edited_at"]
    meant["deleted"], stored["deleted"] = truth.deleted, row["deleted_at"] is not None
    return {key: (meant[key], stored[key]) for key in meant if meant[key] != stored[key]}


def busiest(
    calls: Sequence[tuple[datetime, str, str]], limit: Limit
) -> tuple[int, datetime | None]:
    """The most calls in one window of the limit, and when that began."""
    pattern, length = re.compile(limit.path), timedelta(seconds=limit.per_s)
    times = [at for at, method, path in calls if method == limit.method and pattern.fullmatch(path)]
    most, began = 0, None
    start = 0
    for index, at in enumerate(times):
        if limit.rolling:
            while at - times[start] >= length:
                start += 1
        elif at - times[start] >= length:
            start = index
        if index - start + 1 > most:
            most, began = index - start + 1, times[start]
    return most, began


def seeds(first: int) -> list[int]:
    """`first`, and as many after it as SEEDS asks for."""
    return list(range(first, first + int(os.environ.get("SEEDS", "1"))))


def _hold_gaps(soaked: Soaked, slack: timedelta) -> None:
    """An unrecoverable gap over each hole, none elsewhere; what could still be had was had by the evening."""
    holes = list(soaked.day.holes)
    for gap in soaked.gaps:
        if gap["recoverable"]:
            assert gap.get("closed_at") is not None or "closed_at" not in gap, f"still open: {gap}"
            continue
        near = [one for one in holes if one.stream == gap["stream"] and _meet(gap, one, slack)]
        assert near, f"a gap where nothing is missing: {gap}; holes: {holes}"
    final = [gap for gap in soaked.gaps if not gap["recoverable"]]
    for hole in holes:
        over = [one for one in final if one["stream"] == hole.stream and _meet(one, hole, slack)]
        assert over, f"nothing told of {hole}; gaps: {final}"
        for label in hole.labels:
            at = soaked.day.told[label].sent_at
            assert any(_since(one) - slack <= at <= _until(one) + slack for one in over), (
                f"{label} of {at} is in no gap: {over}"
            )


def _meet(gap: Mapping[str, Any], hole: Hole, slack: timedelta) -> bool:
    return _since(gap) <= hole.until + slack and hole.since - slack <= _until(gap)


def _since(gap: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(gap["since"] or "2000-01-01T00:00:00Z")


def _until(gap: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(gap["until"] or gap["noted_at"])


def _key(truth: Truth) -> tuple[str, str]:
    return truth.kind, truth.native_id


def _failures(metrics: Metrics) -> dict[str, float]:
    told: dict[str, float] = {}
    for family in metrics.poll_failures.collect():
        for sample in family.samples:
            if sample.name.endswith("_total"):
                outcome = sample.labels["outcome"]
                told[outcome] = told.get(outcome, 0.0) + sample.value
    return told


@contextmanager
def _callbacks(inbox: Inbox, standin: Any) -> Iterator[None]:
    """The HTTP side, as another process has it: it stays up whatever becomes of the one that reads."""
    if not (isinstance(inbox.connector, Receives) and hasattr(standin, "attach")):
        yield
        return
    name = inbox.account.name
    db = Database.open(inbox.url, now=inbox.now)
    callbacks = Callbacks(
        connectors={name: connector_for(inbox.account, db, inbox.now)},
        db=db,
        now=inbox.now,
        wake=lambda _: inbox.hurry(),
        metrics=inbox.metrics,
    )
    app = site(callbacks=callbacks, ready=lambda: None, metrics=lambda: b"")
    server = Server(app, host="127.0.0.1", port=0)
    server.start()
    try:
        standin.attach(f"http://127.0.0.1:{server.port}/callbacks/{name}")
        yield
    finally:
        server.stop(1.0)
        db.close()
