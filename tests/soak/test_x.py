"""A day on X."""

from __future__ import annotations

import random

import pytest

from aggregator.sandbox.base import Line, Person, Truth
from aggregator.sandbox.x import XStandin
from tests.connectors.loopback import Clock
from tests.soak.stage import DAWN, Hole, Inbox, hold, seeds, soak


class XDay:
    def __init__(self, seed: int) -> None:
        self.clock = Clock(DAWN)
        self.chance = random.Random(seed)
        self.standin = XStandin(self.clock, salt=seed % 1000, wall=DAWN.timestamp)
        self.standin.gate.skew_s = None
        self.told: dict[str, Truth] = {}
        self.fleeting: set[str] = set()
        self.holes: list[Hole] = []
        self.people = [Person(n, f"顾客{n}", f"customer_{n}") for n in range(1, 30)]

    def step(self, inbox: Inbox) -> None:
        for _ in range(self.chance.choice((0, 0, 0, 1, 1, 3))):
            label = f"x-{len(self.told)}"
            kind = self.chance.choice(("mention", "direct_message"))
            who = self.chance.choice(self.people)
            self.say(Line(0, "x", kind, label, who, f"第 {label} 条 <急> & 退款"))
            if self.chance.random() < 0.3:
                self.say(Line(0, "x", kind, f"{label}a", None, "收到，马上处理", to=label))

    def say(self, line: Line) -> None:
        self.told[line.label] = self.standin.play(line, self.clock(), self.told)

    def calm(self) -> None:
        self.standin.faults.clear()


@pytest.mark.parametrize("seed", seeds(3))
def test_a_day_on_x_comes_back_as_it_was(db_url: str, seed: int) -> None:
    soaked = soak(XDay(seed), db_url, connector="x", seed=seed)
    hold(soaked)
    print(len(soaked.messages), soaked.stops, soaked.failures, len(soaked.calls))
