"""A connector and a destination that keep their contracts and do as they are told; the parts around them, real."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from aggregator.destinations.base import Options as DestinationOptions
from aggregator.dispatcher import Sender
from aggregator.errors import Unavailable
from aggregator.leases import Leases
from aggregator.metrics import Metrics
from aggregator.model import (
    Accepted,
    Author,
    Backfill,
    Direction,
    Identity,
    Kind,
    Message,
    Notice,
    Page,
    Push,
    Receipt,
)
from aggregator.ops import Ops
from aggregator.poller import Poller
from aggregator.triage.loader import load_texts
from aggregator.triage.ruleset import Ruleset
from connectors.base import Options as ConnectorOptions
from storage import history
from storage.engine import Database
from tests.conftest import NOW

RULE_FILES = {
    "rules.yaml": """
schema: 1
rules:
  - id: fire
    title: 起火
    when: {any: [起火]}
    then: {urgency: 3, importance: 3, labels: [safety]}
    tests: [{hit: 起火了}, {miss: 好用}]
""",
    "routes.yaml": "schema: 1\nroutes:\n  - {id: all, to: [social], targets: quick}\n",
    "targets.yaml": """
schema: 1
targets:
  quick:
    calendar: 24x7
    first_response: {P1: 10m, P2: 10m, P3: 10m, P4: 10m}
""",
}
RULES = load_texts(RULE_FILES)


def plain_rules(folder: Path) -> Path:
    """RULES as files."""
    where = folder / "rules"
    where.mkdir(exist_ok=True)
    for name, text in RULE_FILES.items():
        (where / name).write_text(text, "utf-8")
    return where


class Clock:
    """Stands still until it is told otherwise; for `now` and, in seconds, for the monotonic clock."""

    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return (self.at - NOW).total_seconds()

    def on(self, **more: float) -> None:
        self.at += timedelta(**more)


def said(number: int, text: str = "你好，还没发货", **more: Any) -> Message:
    given: dict[str, Any] = {
        "native_id": f"m{number}",
        "platform": "fake",
        "kind": Kind.DIRECT_MESSAGE,
        "direction": Direction.INBOUND,
        "author": Author(f"c{number}", f"客户{number}"),
        "text": text,
        "sent_at": NOW + timedelta(seconds=1),
        "person": f"c{number}",
        "raw": b"{}",
        **more,
    }
    return Message(**given)


Step = Page | Exception | Callable[[], Page]


class FakeConnector:
    """Each stream goes through its steps, then says that there is nothing new."""

    options: ClassVar[type[ConnectorOptions]] = ConnectorOptions

    def __init__(self, **steps: Sequence[Step]) -> None:
        self.streams: tuple[str, ...] = tuple(steps)
        self.steps = {stream: deque(given) for stream, given in steps.items()}
        self.asked: list[tuple[str, str | None]] = []

    def check(self) -> Identity:
        return Identity("me", None, dict.fromkeys(self.streams, "ok"))

    def poll(self, stream: str, cursor: str | None) -> Page:
        self.asked.append((stream, cursor))
        if not self.steps[stream]:
            return Page((), cursor)
        step = self.steps[stream].popleft()
        if isinstance(step, Exception):
            raise step
        return step() if callable(step) else step


class PushedConnector(FakeConnector):
    """Also reads callbacks; a body is the text of a message. `poison` is one that a defect stumbles over."""

    poison = b"\x00poison"

    def __init__(self, **steps: Sequence[Step]) -> None:
        super().__init__(**steps)
        self.pushed = ("callback",)
        self.streams = (*self.streams, "callback")
        self.reads = 0

    def verify(self, request: Push) -> Accepted:
        return Accepted(b"success", stream="callback", store=(request.body,))

    def read(self, raw: Sequence[bytes]) -> Page:
        self.reads += 1
        if self.poison in raw:
            raise KeyError("MsgId of 张三")
        wake = ("messages",) if b"come" in raw else ()
        return Page(
            tuple(
                said(0, one.decode(), native_id=f"p-{one.decode()}", person=one.decode())
                for one in raw
                if one != b"come"
            ),
            None,
            wake=wake,
        )


class FakeDestination:
    """Remembers what it took; goes through its troubles first. Can be asked what arrived."""

    options: ClassVar[type[DestinationOptions]] = DestinationOptions

    def __init__(self, *troubles: Exception | Callable[[Notice], None] | None) -> None:
        self.troubles = deque(troubles)
        self.took: list[Notice] = []
        self.calls = 0
        self.looked_for: list[str] = []

    def check(self) -> str:
        return "fake"

    def send(self, notice: Notice) -> Receipt:
        self.calls += 1
        trouble = self.troubles.popleft() if self.troubles else None
        if isinstance(trouble, Exception):
            raise trouble
        if trouble is not None:
            trouble(notice)
        self.took.append(notice)
        return Receipt(f"r{len(self.took)}")

    def find(self, notice: Notice) -> Receipt | None:
        self.looked_for.append(notice.key)
        for number, one in enumerate(self.took, 1):
            if one.key == notice.key:
                return Receipt(f"r{number}")
        return None

    def said(self) -> list[str]:
        """The notices that arrived, by their words or their customer's last ones."""
        return [
            one.text or (one.message or one.card.latest).text or "?"
            if one.card
            else one.text or "?"
            for one in self.took
        ]


@dataclass
class House:
    """One process' parts over a real database; `clock` is all the time there is."""

    db: Database
    clock: Clock = field(default_factory=Clock)
    owner: str = "我"
    rules: Ruleset = RULES

    def __post_init__(self) -> None:
        self.leases = Leases(self.db, self.owner, monotonic=self.clock.monotonic)
        self.metrics = Metrics("test")
        self.told: list[set[str]] = []
        self.hurried = 0
        self.ops = Ops(db=self.db, present=True, now=self.clock, told=self._told)

    def end(self) -> None:
        """As a process ends: nothing is held any more, whatever became of the database."""
        with suppress(Unavailable):
            self.leases.release_all()
        self.leases._alive.leave()

    def _told(self, names: Any) -> None:
        self.told.append(set(names))

    def _hurry(self) -> None:
        self.hurried += 1

    def poller(self, connector: Any, *, account: str = "fake_acme", **more: Any) -> Poller:
        given: dict[str, Any] = {
            "platform": "fake",
            "every_s": 60.0,
            "backfill": Backfill.SILENT,
            **more,
        }
        return Poller(
            account=account,
            connector=connector,
            db=self.db,
            leases=self.leases,
            rules=lambda: self.rules,
            now=self.clock,
            told=self._told,
            hurry=self._hurry,
            ops=self.ops,
            metrics=self.metrics,
            **given,
        )

    def sender(self, destination: Any, *, name: str = "social", **more: Any) -> Sender:
        return Sender(
            name=name,
            destination=destination,
            language="zh",
            timezone="Asia/Shanghai",
            db=self.db,
            leases=self.leases,
            rules=lambda: self.rules,
            now=self.clock,
            ops=self.ops,
            metrics=self.metrics,
            monotonic=self.clock.monotonic,
            **{"per_minute": None, **more},
        )

    def rows(self, what: Callable[..., Any]) -> list[dict[str, Any]]:
        with self.db.read() as conn:
            return list(what(conn))

    def texts(self) -> list[str | None]:
        return [row["text"] for row in self.rows(history.messages)]

    def deliveries(self, destination: str = "social") -> list[dict[str, Any]]:
        return [one for one in self.rows(history.deliveries) if one["destination"] == destination]

    def ops_said(self) -> list[str]:
        from storage.outbox import list_deliveries

        with self.db.read() as conn:
            return [one.text or "" for one in list_deliveries(conn, destination="ops")]


def bring(house: House, *messages: Message) -> None:
    """Let these messages come in, so that there is something to tell."""
    fresh = tuple(replace(one, sent_at=house.clock()) for one in messages)
    connector = FakeConnector(messages=[Page((), "0"), Page(fresh, "1")])
    poller = house.poller(connector, account=f"fake_{len(house.told)}_{house.db.new_id()}")
    poller.tick()
    poller.wake("messages")
    poller.tick()
