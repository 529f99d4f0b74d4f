"""A day on X in which everything that can go wrong does: nothing lost, nothing made up, no call too many."""

from __future__ import annotations

import random

from aggregator.errors import RateLimited, Unavailable
from aggregator.sandbox.base import Person
from tests.connectors.x_place import Place, minutes, place

STREAMS = ("mentions", "direct_messages", "own_posts")
PEOPLE = [Person(n, f"顾客{n}", f"customer_{n}") for n in range(1, 9)]
FAULTS = ("html", "html_ok", "truncated", "cut", "cut_after", "cut_body", "status")
STEP_MINUTES = 6


def weather(x: Place, chance: random.Random) -> None:
    """Turn the knobs, and let one thing go wrong now and then."""
    standin = x.x
    standin.vocabulary = chance.choice(("tweet", "post"))
    standin.trailing_token = chance.random() < 0.2
    standin.lag = minutes(chance.choice((0, 0, 0.5, 1.5)))
    standin.dm_lag = minutes(chance.choice((0, 0, 0.5)))
    standin.token_age = minutes(1) if chance.random() < 0.1 else None
    standin.since_max_age = minutes(60) if chance.random() < 0.05 else None
    standin.windows.resets = chance.choice(("ok", "ok", "ok", "missing", "past"))
    standin.trouble = "credits" if chance.random() < 0.01 else None
    if chance.random() < 0.15:
        standin.fault(chance.choice(FAULTS), status=chance.choice((429, 500, 502)))


def test_a_day_comes_back_as_it_was() -> None:
    chance = random.Random(20_260_304)
    with place() as x:
        at: dict[str, str | None] = {stream: x.walk(stream, None)[1] for stream in STREAMS}
        waits = dict.fromkeys(STREAMS, x.clock())
        truth: dict[str, str] = {}
        found: dict[str, str | None] = {}

        def poll(stream: str) -> None:
            if x.clock() < waits[stream]:
                return
            for _ in range(40):
                try:
                    page = x.connect().poll(stream, at[stream])
                except RateLimited as error:
                    waits[stream] = x.clock() + minutes(error.retry_after_s / 60)
                    return
                except Unavailable:
                    return
                at[stream] = page.cursor
                assert page.gaps == ()
                for one in page.messages:
                    found[one.key] = one.text
                if not page.more:
                    return

        for step in range(24 * 60 // STEP_MINUTES):
            x.clock.on(minutes=STEP_MINUTES)
            weather(x, chance)
            for n in range(chance.choice((0, 0, 1, 1, 2, 12))):
                who = chance.choice(PEOPLE)
                if chance.random() < 0.4:
                    event = x.direct(f"私信 {step}.{n}", who=who)
                    assert event.words is not None
                    truth[f"direct_message:{event.id}"] = event.words.text
                    continue
                post = x.mention(f"提及 {step}.{n} <急> & 退款", who=who)
                if chance.random() < 0.3:
                    ours = x.x.post(x.x.brand, f"收到 {step}.{n}", x.clock(), reply_to=post)
                    truth[f"mention:{ours.id}"] = ours.words.text
                if chance.random() < 0.1:
                    post = x.x.edit(post, f"@lumo 更正 {step}.{n}", x.clock())
                truth[f"mention:{post.history[0]}"] = post.words.text
            for stream in STREAMS:
                poll(stream)
        x.x.faults.clear()
        x.x.trouble, x.x.since_max_age, x.x.token_age = None, None, None
        x.x.windows.resets = "ok"
        for _ in range(20):
            x.clock.on(minutes=STEP_MINUTES)
            for stream in STREAMS:
                poll(stream)
        assert {key: text for key, text in found.items() if key in truth} == truth
        assert set(found) == set(truth)
        # At the limit only where X had not told it, or told it wrongly.
        assert x.x.refused.count(429) <= 3
