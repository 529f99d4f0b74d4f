"""A day on X with everything that its facts name: it comes back as it was, within the windows that X allows."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from aggregator.sandbox.base import Line, Person, Truth
from aggregator.sandbox.x import XStandin
from connectors.x.deletions import MOST as SWEPT
from storage.schema import message
from tests.connectors.loopback import Clock
from tests.soak.stage import DAWN, STOPS, Hole, Inbox, Soaked, hold, seeds, soak

WORD = "露沫充电宝"
LONG = "快递显示已签收，可我根本没收到！" * 12
STATUSES = (400, 401, 403, 404, 429, 500, 502, 503, 504)
KINDS = ("status", "html", "html_ok", "truncated", "cut", "cut_after", "cut_body", "odd")
ODD: tuple[Any, ...] = (
    {"errors": [{"title": "Service Unavailable", "detail": "try later", "type": "about:blank"}]},
    {"data": []},
    {},
    [],
    "稍后再试",
    None,
)
FLOOD = 850  # mentions while we could not read: more than the 800 that X keeps
OPTIONS = {"search": [WORD], "deletions": "daily"}


class XDay:
    """`did` counts what happened, so that a test can tell that it did."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.clock = Clock(DAWN)
        self.skew = timedelta(minutes=self.chance.choice((-4, 0, 4)))  # of X's clock against ours
        self.standin = XStandin(self.now, salt=seed % 1000, wall=DAWN.timestamp)
        self.standin.gate.skew_s = None  # signatures carry this machine's time
        self.told: dict[str, Truth] = {}
        self.fleeting: set[str] = set()
        self.holes: list[Hole] = []
        self.did: Counter[str] = Counter()
        self.unpaid: list[tuple[datetime, datetime]] = []
        self.people = [
            Person(n, f"顾客{n}", f"customer_{n}", n * 7, n % 9 == 0) for n in range(150)
        ]
        self.posts: dict[str, Any] = {}  # of the stand-in, by label, where a line cannot say it
        self.minute = 0
        self.still_until = 0  # nothing public happens before that minute
        self.then: list[tuple[int, Callable[[Inbox], None]]] = []
        self.standin.nameless = {self.standin.user(one).id for one in self.people[:4]}
        self._before()
        self._plan()

    def now(self) -> datetime:
        return self.clock() + self.skew

    # --- the plan: what happens once ----------------------------------------------------------------

    def _before(self) -> None:
        """What was there before the account was ever read: a post of ours, and a few days of history."""
        for n in range(60):
            at = self.now() - timedelta(hours=40 - n / 2)
            who = self.chance.choice(self.people)
            kind = "direct_message" if n % 3 else "mention"
            self._say(Line(0, "x", kind, f"old-{n}", who, f"以前的第 {n} 条"), at)
        at = self.now() - timedelta(hours=5)
        self._say(Line(0, "x", "own_post", "own", None, "Lumo Air 今天开售。"), at)

    def _plan(self) -> None:
        hour = 60
        self.then = [
            (self.chance.randrange(2 * hour, 5 * hour), self._flood_without_search),
            (self.chance.randrange(9 * hour, 12 * hour), self._flood),
            (self.chance.randrange(14 * hour, 16 * hour), self._no_credits),
            (self.chance.randrange(17 * hour, 18 * hour), self._no_direct_messages),
            (self.chance.randrange(19 * hour, 20 * hour), self._capped_for_the_month),
            (self.chance.randrange(1290, 1310), self._capped_for_the_day),
        ]

    def _flood_without_search(self, inbox: Inbox) -> None:
        self._flood(inbox, searched=False)

    def _flood(self, inbox: Inbox, *, searched: bool = True) -> None:
        """Nobody pays, and meanwhile come more mentions than X keeps."""
        self.did["flood"] += 1
        self._calm_weather()
        self._unpaid(20)
        self.still_until = self.minute + 150
        for n in range(FLOOD):
            at = self.now() - timedelta(seconds=FLOOD - n) / 20
            self._public(f"flood-{self.minute}-{n}", f"又崩了 {n}", at)
        if not searched:
            self._hole(inbox)
            self.standin.fault("status", path="/2/tweets/search", status=403, times=10_000)
            self.then.append((self.minute + 149, lambda _: self.standin.faults.clear()))

    def _hole(self, inbox: Inbox) -> None:
        """What X does not list any more, and we have not read."""
        with inbox.db.read() as conn:
            have = set(conn.execute(select(message.c.native_id)).scalars())
        mentions = [
            (int(truth.native_id), label)
            for label, truth in self.told.items()
            if truth.kind == "mention"
            and truth.direction == "inbound"
            and not truth.deleted
            and "@lumo" in (truth.text or "@lumo")
        ]
        beyond = [label for _, label in sorted(mentions, reverse=True)[800:]]
        missing = [one for one in beyond if self.told[one].native_id not in have]
        times = [self.told[one].sent_at for one in missing]
        self.holes.append(Hole("mentions", min(times), max(times), missing))
        ids = {self.told[one].native_id for one in missing}
        # What we answered is in no conversation, and so are the answers.
        self.fleeting |= {one for one, truth in self.told.items() if truth.reply_to in ids}

    def _no_credits(self, _: Inbox) -> None:
        self.did["credits"] += 1
        self._unpaid(self.chance.randrange(5, 40))

    def _capped_for_the_month(self, _: Inbox) -> None:
        self.did["capped"] += 1
        self._unpaid(30, trouble="usage_capped")

    def _capped_for_the_day(self, _: Inbox) -> None:
        """Until midnight UTC, as X says."""
        self.standin.period = "Daily"
        midnight = (self.now() + timedelta(days=1)).replace(hour=0, minute=0, second=0)
        self._unpaid(int((midnight - self.now()).total_seconds() // 60) % 1440, "usage_capped")

    def _no_direct_messages(self, _: Inbox) -> None:
        """Somebody takes the permission away, and gives it back."""
        self.did["denied"] += 1
        self.standin.access = "read-write"
        self.then.append((self.minute + 25, self._direct_messages_again))

    def _direct_messages_again(self, _: Inbox) -> None:
        self.standin.access = "read-write-directmessages"

    def _unpaid(self, minutes: int, trouble: str = "credits") -> None:
        self.standin.trouble = trouble
        self.unpaid.append((self.clock(), self.clock() + timedelta(minutes=minutes)))
        self.then.append((self.minute + minutes, self._paid))

    def _paid(self, _: Inbox) -> None:
        self.standin.trouble = None

    # --- a minute -----------------------------------------------------------------------------------

    def step(self, inbox: Inbox) -> None:
        self.minute += 1
        due = [one for one in self.then if one[0] <= self.minute]
        self.then = [one for one in self.then if one[0] > self.minute]
        for _, happens in due:
            happens(inbox)
        still = self.minute < self.still_until
        if not still:
            self._weather()
        for _ in range(self.chance.choice((0, 0, 0, 0, 0, 1, 1, 1))):
            self._somebody_writes(inbox, public=not still)
        if self.chance.random() < 0.0015:
            self._burst_of_messages()

    def calm(self) -> None:
        self._calm_weather()
        self.standin.trouble = None
        self.standin.access = "read-write-directmessages"

    def _weather(self) -> None:
        x, chance = self.standin, self.chance
        if chance.random() < 0.1:
            x.vocabulary = chance.choice(("tweet", "post"))
            x.trailing_token = chance.random() < 0.3
            x.empty_first = chance.random() < 0.3
            x.repeated_last = chance.random() < 0.3
            x.lag = timedelta(seconds=chance.choice((0, 0, 20, 60)))
            x.dm_lag = timedelta(minutes=chance.choice((0, 0, 1, 6)))
            x.token_age = timedelta(minutes=1) if chance.random() < 0.2 else None
            x.since_max_age = timedelta(minutes=60) if chance.random() < 0.1 else None
            x.windows.resets = chance.choice(("ok", "ok", "missing", "past"))
        if chance.random() < 0.03:
            x.forget_tokens()
        if chance.random() < 0.06 and not x.faults:
            kind = chance.choice(KINDS)
            self.did[kind] += 1
            if kind == "odd":
                body = json.dumps(chance.choice(ODD)).encode()
                x.fault("status", status=200, body=body, path="/2/users")
            else:
                status = chance.choice(STATUSES)
                # Who wrote is asked for once; where that is one call too many, the message has no name.
                path = "/2/users/" if status == 429 else "/2/"
                x.fault(kind, status=status, body=b"<h1>oops</h1>", path=path)

    def _calm_weather(self) -> None:
        x = self.standin
        x.faults.clear()
        x.trailing_token = x.empty_first = x.repeated_last = False
        x.lag = x.dm_lag = timedelta(0)
        x.token_age = x.since_max_age = None
        x.windows.resets = "ok"

    def _somebody_writes(self, inbox: Inbox, *, public: bool) -> None:
        chance, label = self.chance, f"x-{len(self.told)}"
        at = self.now() - timedelta(seconds=chance.uniform(0, 45))  # in no order of ids
        what = chance.choices(
            (
                "direct",
                "mention",
                "long",
                "thread",
                "named",
                "quote",
                "repost",
                "edit",
                "delete",
                "join",
            ),
            (10, 8, 2, 3, 3, 1, 1, 3, 2, 1),
        )[0]
        if what == "direct" or not public:
            self._direct(label, at)
            return
        if what == "join":
            who = self.standin.user(chance.choice(self.people))
            self.standin.join(who, f"{1_600_000_000_000_000_000 + self.minute}", at)
        elif what in ("edit", "delete"):
            self._change(what, inbox)
        elif what == "thread":
            self._thread(label, at)
        else:
            texts = {
                "long": LONG,
                "named": f"{WORD}好用吗",
                "mention": f"第 {label} 条 <急> & 退款",
            }
            self._public(label, texts.get(what, f"看看这个 {label}"), at, what=what)
            if chance.random() < 0.3:
                self._answer(label)
        self.did[what] += 1

    def _direct(self, label: str, at: datetime) -> None:
        attachment = self.chance.choice((None, None, None, "image", "link"))
        who = self.chance.choice(self.people)
        text = f"私信 {label} 在吗 &amp;"
        self._say(Line(0, "x", "direct_message", label, who, text, attachment=attachment), at)
        if self.chance.random() < 0.3:
            answer = Line(0, "x", "direct_message", f"{label}-a", None, "您好，马上查", to=label)
            self._say(answer, self.now())

    def _public(self, label: str, text: str, at: datetime, what: str = "mention") -> None:
        x = self.standin
        author = x.user(self.chance.choice(self.people))
        own = x.newest(int(self.told["own"].native_id))
        if what == "named":
            post = x.post(author, text, at)
        elif what == "repost":
            post = x.post(author, "", at, reposts=own)
        elif what == "quote":
            post = x.post(author, f"@lumo {text}", at, quotes=own)
        else:
            post = x.post(author, f"@lumo {text}", at)
        self._is_true(x.script.truth(label, post))

    def _answer(self, label: str) -> None:
        text = self.chance.choice(("收到，马上处理", "So sorry! Please DM us.", LONG))
        self._say(Line(0, "x", "mention", f"{label}-a", None, text, to=label), self.now())

    def _thread(self, label: str, at: datetime) -> None:
        """A customer answers our answer, and we answer again."""
        answers = [
            one
            for one, truth in self.told.items()
            if truth.direction == "outbound" and truth.kind == "mention" and truth.exported
        ]
        if answers:
            to = self.chance.choice(answers[-20:])
            who = self.chance.choice(self.people)
            self._say(Line(0, "x", "mention", label, who, "还是没收到 @lumo", to=to), at)
            self._say(Line(0, "x", "mention", f"{label}-a", None, "再查", to=label), self.now())

    def _change(self, what: str, inbox: Inbox) -> None:
        """An edit within the hour, or a withdrawal, of what nobody has answered.

        None shortly before a hole: what falls in is a message, not a version of one.
        """
        holes = [at for at, happens in self.then if happens == self._flood_without_search]
        if any(at - 60 <= self.minute for at in holes):
            return
        answered = {truth.reply_to for truth in self.told.values()}
        since = self.now() - timedelta(minutes=50)
        able = [
            label
            for label, truth in list(self.told.items())[-80:]
            if label.startswith("x-")
            and truth.kind == "mention"
            and truth.sent_at > since
            and truth.direction == "inbound"
            and truth.native_id not in answered
            and not truth.deleted
            and truth.reply_to is None
            and truth.text is not None
            and "-a" not in label
        ]
        if not able:
            return
        label = self.chance.choice(able)
        if what == "edit":
            text = f"@lumo 更正 {self.minute}"
            if self.told[label].text and WORD in (self.told[label].text or ""):
                text = f"{WORD} 更正 {self.minute}"
            self._say(Line(0, "x", "mention", "-", None, text, to=label, action="edit"), self.now())
            return
        with inbox.db.read() as conn:
            this = message.c.native_id == self.told[label].native_id
            row = conn.execute(select(message.c.text).where(this)).one_or_none()
        if row is None:
            self.fleeting.add(label)
        elif row.text != self.told[label].text:
            return  # which version anybody saw would be a matter of luck
        self._say(Line(0, "x", "mention", "-", None, None, to=label, action="delete"), self.now())

    def _burst_of_messages(self) -> None:
        """More direct messages than a window's calls can bring at once."""
        self.did["burst"] += 1
        for n in range(120):
            self._direct(f"burst-{self.minute}-{n}", self.now() - timedelta(seconds=120 - n) / 4)

    def _say(self, line: Line, at: datetime) -> None:
        self._is_true(self.standin.play(line, at, self.told))

    def _is_true(self, truth: Truth) -> None:
        id_ = truth.author["native_id"] or ""
        if int(id_) in self.standin.nameless:
            self.did["nameless"] += 1
            url = (
                f"https://x.com/i/web/status/{truth.url.rpartition('/')[2]}" if truth.url else None
            )
            nobody = {"native_id": id_, "name": None, "handle": None}
            truth = replace(truth, author=nobody, url=url if truth.root else truth.url)
        self.told[truth.label] = truth

    # --- what of it can be seen ---------------------------------------------------------------------

    def visible(self, soaked: Soaked) -> Callable[[Truth], Truth]:
        """X tells of a withdrawal only who asks for that post, and we ask for the newest hundred, once a day."""
        public = [
            int(row["native_id"])
            for row in soaked.messages
            if row["kind"] == "mention" and row["direction"] == "inbound"
        ]
        asked = set(sorted(public)[-SWEPT:])
        self.did["withdrawn"] = sum(
            1 for one in self.told.values() if one.deleted and int(one.native_id) in asked
        )

        def seen(truth: Truth) -> Truth:
            return replace(truth, deleted=truth.deleted and int(truth.native_id) in asked)

        return seen


PARTS = {
    *KINDS,
    *("flood", "credits", "capped", "denied", "burst", "withdrawn", "nameless"),
    *("mention", "long", "thread", "named", "quote", "repost", "edit", "delete", "join"),
}


@pytest.mark.parametrize("seed", seeds(3))
def test_a_day_on_x_comes_back_as_it_was(db_url: str, seed: int) -> None:
    day = XDay(seed)
    soaked = soak(day, db_url, connector="x", seed=seed, options=OPTIONS, every_s=600)
    hold(soaked, visible=day.visible(soaked))
    # X counts the calls that get to it, in windows of 15 minutes; none was one too many, whatever it told of them.
    assert day.standin.windows.over == 0
    for begin, end in day.unpaid:
        asked = [one for one in soaked.calls if begin < one[0] < end]
        assert len(asked) <= 4, f"nobody pays, and X was asked {len(asked)} times"
    if "SEEDS" not in os.environ:  # of many days, some have less in them
        assert set(day.did) >= PARTS
        assert set(soaked.stops) == set(STOPS)
        assert set(soaked.failures) >= {"unavailable", "rate_limited", "unauthorized"}
        assert len(soaked.gaps) == 1
