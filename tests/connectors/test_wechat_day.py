"""A day of an official account in which everything goes wrong: pushes, records and comments against the stand-in."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from aggregator.errors import RateLimited, Rejected, Unavailable
from aggregator.model import Direction
from aggregator.sandbox.base import Line, Person
from tests.connectors.test_wechat_sandbox import world

CALLS = ("/customservice/msgrecord/getmsglist", "/cgi-bin/comment/list")


@pytest.mark.parametrize("seed", [3, 4])
def test_a_day_of_trouble_loses_nothing_and_doubles_nothing(seed: int) -> None:
    """24 hours, a poll every five minutes, over a midnight in Beijing."""
    chance = random.Random(seed)
    with world("wechat") as (there, daemon, now):
        there.sends_recorded = True
        there.daily_limit = 5_000
        told: dict[str, Any] = {}
        answers: Counter[str] = Counter()
        comments: set[str] = set()
        number = there.publish(now())
        for tick in range(288):
            now.on(minutes=5)
            asked = [one for one in told.values() if one.direction == "inbound"]
            for each in range(chance.choice((0, 0, 1, 2))):
                label = f"{tick}-{each}"
                if asked and chance.random() < 0.4:
                    to = chance.choice(asked).label
                    line = Line(0, "wechat", "direct_message", label, None, "好的", to=to)
                else:
                    person = Person(chance.randrange(7), "客", "c")
                    line = Line(0, "wechat", "direct_message", label, person, f"第 {label} 问")
                told[label] = there.play(line, now(), told)
            if chance.random() < 0.2:
                id = there.comments.write((number, 0), f"o{tick}", now(), f"留言 {tick}")
                comments.add(f"{number}/0/{id}")
            if chance.random() < 0.2:
                kind = chance.choice(("cut", "cut_after", "html", "html_ok", "truncated"))
                there.fault(kind, path=chance.choice((*CALLS, "/cgi-bin/")))
            if chance.random() < 0.05:
                there.tokens.revoke()
            if chance.random() < 0.1:
                there.refuse(chance.choice(CALLS), chance.choice((-1, 45011)))
            there.caller.settle()
            tick_once(daemon)
            seen = [one for one in daemon.found.values() if one.direction is Direction.INBOUND]
            seen = [one for one in seen if one.person and one.root is None]
            if seen and chance.random() < 0.1:
                answer(daemon, chance.choice(seen), f"k{tick}", answers)
        for _ in range(6):
            now.on(minutes=20)
            tick_once(daemon)
        assert there.errors == []
        api = Counter(one["text"]["content"] for one in there.sent)
    direct = {one.native_id for one in daemon.found.values() if one.root is None}
    by_hand = {one.native_id for one in told.values()}
    assert by_hand <= direct
    # What else there is came from the records: answers of ours whose outcome nobody could tell.
    extra = [one for one in daemon.found.values() if one.root is None]
    extra = [one for one in extra if one.native_id not in by_hand]
    assert all(one.text is not None and one.text.startswith("答复 k") for one in extra)
    stored = Counter(one.text for one in extra) + answers
    assert stored == api
    assert max(api.values(), default=1) == 1  # at most once, whatever was cut
    assert comments == {one.native_id for one in daemon.found.values() if one.root}


def tick_once(daemon: Any) -> None:
    mine = [body for _, body in daemon.stored]
    daemon.stored = []
    daemon.take(daemon.account.read(mine).messages)
    for stream in ("records", "comments"):
        for _ in range(60):
            try:
                page = daemon.account.poll(stream, daemon.cursors.get(stream))
            except Unavailable:
                break
            assert page.gaps == ()
            daemon.take(page.messages)
            daemon.cursors[stream] = page.cursor
            if not page.more:
                break


def answer(daemon: Any, to: Any, key: str, answers: Counter[str]) -> None:
    """Answer as the daemon does: look before a second attempt, and never attempt a third."""
    text = f"答复 {key}"
    for _ in range(2):
        try:
            daemon.account.reply(to, text, key)
        except RateLimited:
            return
        except Unavailable:
            continue
        except Rejected:
            return
        answers[text] += 1
        return
