"""A random day on Weibo: what people say there, and everything that its facts say goes wrong."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import requests

from aggregator.sandbox.base import Answer, Line, Person, Request, Truth, answer
from aggregator.sandbox.weibo import MENTIONS, TO_ME, WeiboStandin
from storage import history
from tests.connectors.loopback import Clock
from tests.soak.stage import DAWN, Hole, Inbox

HOUR = 60
LISTS = (
    "/2/statuses/mentions",
    "/2/comments/to_me",
    "/2/comments/mentions",
    "/2/comments/by_me",
)
KINDS = ("status", "html", "html_ok", "truncated", "cut", "cut_after", "cut_body")
BRIEF = (10001, 10002, 10003, 10009, 10010, 10011, 20016, 20032, 77777)  # it goes on soon
LASTING = (10004, 10005, 10008, 10014, 10016, 10017, 10020, 10021, 10022, 21337, 20003, 20101)
AUTH = (10006, 10013, 21301, 21314, 21315, 21316, 21317, 21318, 21319, 21321, 21332, 21335)
TILL_MIDNIGHT = ((9 * HOUR, 10024), (11 * HOUR, 10023))
LONG = "快递显示已签收，可我根本没收到！" * 12
FLOOD, KEPT = 90, 40
WORDS = (
    "第 {} 条 <急> & 退款[怒]",
    "where is parcel {}? &amp; [微笑]",
    "//@路人甲: 同问 {} //@小红 ：是的",
)


class WeiboDay:
    """`did` counts what happened, so that a test can tell that it did."""

    def __init__(self, seed: int, tier: str) -> None:
        self.chance = random.Random(seed)
        self.clock = Clock(DAWN)
        self.standin = WeiboStandin(self.clock, salt=seed, retry_s=0.0)
        self.told: dict[str, Truth] = {}
        self.fleeting: set[str] = set()
        self.holes: list[Hole] = []
        self.did: Counter[str] = Counter()
        self.people = [Person(n, f"顾客{n}", f"c{n}", n * 7, n % 9 == 0) for n in range(60)]
        self.nobodies: set[int] = set()  # posts whose authors have left Weibo
        self.hidden: list[str] = []
        self.blinked: set[str] = set()
        self.refusals: list[tuple[str, int]] = []
        self.refused = ""
        self.minute = 0
        self.quiet_until = 0
        self.then: list[tuple[int, Callable[[Inbox], None]]] = []
        self._suffix = "/biz.json" if tier == "commercial" else ".json"
        self._say_true, self.standin.handle = self.standin.handle, self._say_oddly  # type: ignore[method-assign]
        self._shape = ("both", "text")
        self._before()
        self._plan()

    # --- the plan -----------------------------------------------------------------------------------

    def _before(self) -> None:
        self._say(
            Line(0, "weibo", "own_post", "own", None, "新品今天开售"), DAWN - timedelta(hours=50)
        )
        for n in range(40):
            at = DAWN - timedelta(hours=48 - n)
            kind = self.chance.choice(("mention", "comment"))
            self._public(f"old-{n}", kind, f"@{self.standin.brand} 以前的第 {n} 条", at)

    def _plan(self) -> None:
        minutes = self.chance.randrange
        self.then = [
            (minutes(2 * HOUR, 4 * HOUR), self._expired),
            (minutes(6 * HOUR, 8 * HOUR), self._forgetful),
            (minutes(9 * HOUR, 10 * HOUR), self._all_hidden),
            (minutes(15 * HOUR, 20 * HOUR), self._expired),
        ]
        for code in (*BRIEF, *LASTING, *AUTH):
            self.then.append((minutes(30, 700), self._refuse(code)))
        for at, code in TILL_MIDNIGHT:  # which is at 14 hours
            self.then.append((at, self._refuse(code)))
        self.then.append((13 * HOUR, self._no_more_limits))

    def step(self, inbox: Inbox) -> None:
        self.minute += 1
        due = [happens for at, happens in self.then if at == self.minute]
        for happens in due:
            happens(inbox)
        self._weather()
        if self.minute >= self.quiet_until:
            for _ in range(self.chance.choice((0,) * 10 + (1, 1, 2))):
                self._something()
            if self.chance.random() < 0.03:
                self._withdraw(inbox)
        if self.chance.random() < 0.03:
            self._forged()

    def calm(self) -> None:
        self.standin.faults.clear()
        self.refusals.clear()
        for label in self.hidden:
            self._show(label)
        self.hidden.clear()
        self._shape = ("both", "text")

    # --- what people say ----------------------------------------------------------------------------

    def _something(self) -> None:
        label = f"{self.minute}-{len(self.told)}"
        words = self.chance.choice(WORDS).format(label)
        what = self.chance.random()
        if what < 0.2:
            self._direct(label, words)
            return
        kind = "mention" if what < 0.6 else "comment"
        if kind == "mention" and self.chance.random() < 0.15:
            words = f"@{self.standin.brand} {label} {LONG}"
            self.did["long"] += 1
            if self.chance.random() < 0.3:
                self.standin.fault(
                    "html", path="/2/statuses/show", times=self.chance.choice((1, 2))
                )
        if self.chance.random() < 0.1:
            # Later than that a page of 50 comments may not reach, and the next day's look back brings it.
            longest = (3000, 7000) if kind == "mention" else ()
            self.standin.late[label] = self.chance.choice((60, 600, 1100, *longest))
            self.did["late"] += 1
        truth = self._public(label, kind, f"{words} @{self.standin.brand}", self.clock())
        if kind == "mention" and self.chance.random() < 0.05:
            self.nobodies.add(int(truth.native_id))
            nobody = {"native_id": None, "name": None, "handle": None}
            self.told[label] = replace(truth, author=nobody, url=None)
            self.did["nobody"] += 1
        elif label not in self.standin.late and self.chance.random() < 0.3:
            self._say(Line(0, "weibo", "comment", f"{label}a", None, f"您好 {label}", to=label))
            self.did["answered"] += 1

    def _public(self, label: str, kind: str, words: str, at: datetime) -> Truth:
        who = self.chance.choice(self.people)
        under = "own" if kind == "comment" and self.chance.random() < 0.7 else None
        attached = None
        if kind == "mention":
            attached = self.chance.choice((None,) * 6 + ("image", "video", "location", "link"))
            posts = [one for one in list(self.told)[-60:] if self._repostable(one)]
            if posts and self.chance.random() < 0.2:
                under = self.chance.choice(posts)
        self._say(Line(0, "weibo", kind, label, who, words, under=under, attachment=attached), at)
        return self.told[label]

    def _repostable(self, label: str) -> bool:
        truth = self.told[label]
        return truth.kind == "mention" and len(truth.text or "") < 140

    def _direct(self, label: str, words: str) -> None:
        fans = self.standin.fans
        fans.format = self.chance.choice(("json", "json", "xml"))
        fans.dates = self.chance.choice(("text", "number"))
        if self.chance.random() < 0.2:
            fans.doubles = 1
            self.did["doubled"] += 1
        words = words.replace("&amp; ", "")  # whether pushes are escaped is written nowhere
        medium = self.chance.choice((None, None, None, "image", "voice", "location"))
        text = None if medium else words
        who = self.chance.choice(self.people)
        self._say(Line(0, "weibo", "direct_message", label, who, text, attachment=medium))
        if self.chance.random() < 0.3:  # another one, in the same second
            self._say(Line(0, "weibo", "direct_message", f"{label}b", who, f"{label} 在吗"))

    def _say(self, line: Line, at: datetime | None = None) -> None:
        self.told[line.label] = self.standin.play(line, at or self.clock(), self.told)

    # --- what goes wrong ----------------------------------------------------------------------------

    def _weather(self) -> None:
        self._shape = (
            self.chance.choice(("both", "number", "text")),
            self.chance.choice(("text", "text", "epoch", "epoch text", "milliseconds", "iso")),
        )
        self.standin.fans.tells_mentions = self.chance.random() < 0.5
        if self.chance.random() < 0.015:
            kind = self.chance.choice(KINDS)
            self.standin.fault(
                kind, path=self.chance.choice(("/2/", "/oauth2/", *LISTS)), status=502
            )
            self.did[kind] += 1
        if self.chance.random() < 0.03:
            self.standin.staff_reads()
        if self.chance.random() < 0.02:
            stream = self.chance.choice((MENTIONS, TO_ME))
            self.standin.ghost(stream, self.clock())
            self.did["ghost"] += 1

    def _refuse(self, code: int) -> Callable[[Inbox], None]:
        def refuse(_: Inbox) -> None:
            lasts = code in (10022, 10024)
            self.refusals.append((self.chance.choice(LISTS) if lasts else "/2/", code))

        return refuse

    def _no_more_limits(self, _: Inbox) -> None:
        self.refusals = [one for one in self.refusals if one[1] not in (10023, 10024)]

    def _refused(self, path: str) -> Answer | None:
        for one in self.refusals:
            # Two in a row on one list would be a list that nobody reads.
            if path.startswith(one[0]) and path.startswith(LISTS) and path != self.refused:
                self.refused = path
                self.refusals.remove(one)
                self.did[f"{one[1]}"] += 1
                told: int | str = self.chance.choice((one[1], str(one[1])))
                body = {"error": "some_words", "error_code": told, "request": path}
                return answer(body, self.chance.choice((200, 400, 401, 403, 500)))
        return None

    def _expired(self, _: Inbox) -> None:
        """The token ends, and an hour later somebody has seen to it."""
        self.standin.gate.expires_at = self.clock()
        self.did["expired"] += 1

        def mended(_: Inbox) -> None:
            self.standin.gate.expires_at = self.clock() + timedelta(days=30)

        self.then.append((self.minute + HOUR, mended))

    def _forgetful(self, inbox: Inbox) -> None:
        """While nobody can read, more mentions come than the list remembers."""
        self.quiet_until = self.minute + 2 * HOUR
        self.did["flood"] += 1
        self._expired(inbox)
        for n in range(FLOOD):
            self._public(f"flood-{n}", "mention", f"@{self.standin.brand} 又崩了 {n}", self.clock())
            self.clock.on(seconds=5)
        have = {row["native_id"] for row in inbox.rows(history.messages)}
        mentions = [
            (int(one.native_id), label)
            for label, one in self.told.items()
            if one.kind == "mention" and one.direction == "inbound"
        ]
        gone = [
            label
            for _, label in sorted(mentions)[:-KEPT]
            if self.told[label].native_id not in have and not self.told[label].deleted
        ]
        # A late one may lie deeper than the gap, which begins with the newest that was read.
        self.fleeting |= {one for one in gone if one in self.standin.late}
        gone = [one for one in gone if one not in self.fleeting]
        lost = {self.told[one].native_id for one in gone}
        # What we answered there is ours, and stands in no conversation that we know.
        self.fleeting |= self._answers(lost)
        self.standin.lose(MENTIONS, KEPT)
        times = [self.told[one].sent_at for one in gone]
        self.holes.append(Hole("mentions", min(times), max(times), gone))

    def _answers(self, to: set[str]) -> set[str]:
        return {label for label, one in self.told.items() if one.reply_to in to}

    def _all_hidden(self, _: Inbox) -> None:
        """Pages in a row of which nothing is shown; what lies below them is."""
        self.did["hidden_pages"] += 1
        for n in range(3):
            self._public(f"below-{n}", "comment", f"@{self.standin.brand} 在下面 {n}", self.clock())
        for _ in range(120):
            self.clock.on(seconds=1)
            self.standin.ghost(TO_ME, self.clock())
            self.standin.ghost("cmt_mentions", self.clock())

    def _withdraw(self, inbox: Inbox) -> None:
        """An author deletes something, or the platform hides it for a while."""
        labels = [
            label
            for label, one in self.told.items()
            if one.exported
            and one.direction == "inbound"
            and one.kind != "direct_message"
            and not one.deleted
            and label not in self.standin.late
            and label not in self.hidden
            and self.clock() - one.sent_at < timedelta(hours=6)
        ]
        lost = {label for hole in self.holes for label in hole.labels}
        labels = [one for one in labels if one not in lost]
        if not labels or any(self._is_near(event) for event in (self._forgetful,)):
            return
        label = self.chance.choice(labels)
        truth = self.told[label]
        if not any(row["native_id"] == truth.native_id for row in inbox.rows(history.messages)):
            self.fleeting |= {label, *self._answers({truth.native_id})}
        if self.chance.random() < 0.3:
            self.standin.hide(truth.native_id)
            self.hidden.append(label)
            self.blinked.add(truth.native_id)
            self.did["hidden"] += 1
            self.then.append((self.minute + 3 * HOUR, lambda _: self._show(label)))
            return
        line = Line(0, "weibo", truth.kind, f"x{label}", None, None, to=label, action="delete")
        self.told[label] = self.standin.play(line, self.clock(), self.told)
        self.did["deleted"] += 1

    def _is_near(self, event: Callable[[Inbox], None]) -> bool:
        return any(one == event and 0 <= at - self.minute < 2 * HOUR for at, one in self.then)

    def _show(self, label: str) -> None:
        self.standin.hide(self.told[label].native_id, hidden=False)

    def _forged(self) -> None:
        """Somebody who does not know the secret posts to the callback URL."""
        url = self.standin.caller.url
        assert url is not None
        query = {"signature": "0" * 40, "timestamp": "1772589600", "nonce": "5"}
        told = {"type": "text", "sender_id": 7, "text": "假的", "created_at": 1772589600}
        refused = requests.post(url, params=query, json=told, timeout=5)
        assert refused.status_code == 401
        self.did["forged"] += 1

    # --- shapes -------------------------------------------------------------------------------------

    def _say_oddly(self, request: Request) -> Answer:
        refused = self._refused(request.path)
        if refused is not None:
            return refused
        given = self._say_true(request)
        if given.status != 200 or not request.path.startswith(LISTS):
            return given
        told = json.loads(given.body)
        for one in told.get("statuses") or told.get("comments") or []:
            self._turn(one)
        return replace(given, body=json.dumps(told, ensure_ascii=False).encode())

    def _turn(self, item: dict[str, Any]) -> None:
        ids, dates = self._shape
        if item.get("id") in self.nobodies:
            item["user"] = None
        for inner in ("user", "status", "reply_comment", "retweeted_status"):
            if isinstance(item.get(inner), dict):
                self._turn(item[inner])
        if "created_at" in item:
            item["created_at"] = _date(item["created_at"], dates)
        if ids == "number":
            item.pop("idstr", None)
        elif ids == "text":
            item["id"] = str(item["id"])


def _date(told: str, shape: str) -> Any:
    at = parsedate_to_datetime(told)
    seconds = int(at.timestamp())
    return {
        "text": told,
        "epoch": seconds,
        "epoch text": str(seconds),
        "milliseconds": seconds * 1000,
        "iso": at.isoformat(),
    }[shape]
