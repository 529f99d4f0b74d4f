"""A day on WeCom with everything that its facts name: it comes back as it was, and no answer is doubled."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from sqlalchemy import select

from aggregator.replying import Outcome
from aggregator.sandbox.base import Line, Person, Truth
from aggregator.sandbox.wecom import WeComStandin
from aggregator.sandbox.wecom_desk import BOT, ENDED
from storage.engine import Database
from storage.replies import ReplyState
from storage.schema import clock, message
from tests.connectors.loopback import Clock
from tests.soak.answers import answer
from tests.soak.stage import DAWN, Hole, Inbox, Limit, hold, seeds, soak

SYNC, SEND, STATE = "/cgi-bin/kf/sync_msg", "/cgi-bin/kf/send_msg", "/cgi-bin/kf/service_state/get"
NAMES, TOKEN = "/cgi-bin/kf/customer/batchget", "/cgi-bin/gettoken"
KINDS = ("status", "html", "html_ok", "truncated", "cut", "cut_after", "cut_body")
REACH = timedelta(days=3)
AWAY = timedelta(days=4)
STILL = 60  # minutes before everybody leaves, in which all is read
WORDS = (
    "第 {} 次了，灯还在闪 <急> & 退款",
    "order {} never arrived &amp; nobody answers",
    "在吗 {} 🙏",
)
# What play() has no line for: msgtype → its body, and the attachment that shows it.
OTHERS: Mapping[str, tuple[dict[str, Any], str]] = {
    "file": ({"media_id": "f1", "filename": "发票.pdf"}, "file"),
    "business_card": ({"userid": "zhaomin"}, "card"),
    "miniprogram": ({"title": "订单", "appid": "wx1", "pagepath": "p"}, "card"),
    "merged_msg": (
        {"title": "聊天记录", "item": [{"msgtype": "text", "msg_content": "{}"}]},
        "card",
    ),
    "channels_shop_order": ({"order_id": "8812", "state": "待发货"}, "card"),
    "channels": ({"nickname": "Lumo", "title": "新品"}, "card"),
    "msgmenu": ({"head_content": "满意吗？"}, "card"),
    "hologram": ({"deep": {"er": [1, None]}}, "unknown"),
}
EVENTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("enter_session", {"scene": "qr", "welcome_code": "w"}),
    ("servicer_status_change", {"status": 2}),
    ("session_status_change", {"change_type": 2, "old_servicer_userid": "a"}),
    ("reject_customer_msg_switch_change", {"reject_switch": 1}),
    ("satisfaction_rate", {"score": 2, "comment": "等太久"}),
    ("msg_send_fail", {}),
)


PARTS = (
    *("their recall", "our recall", "system", "elsewhere", "satisfaction_rate"),
    *("sent", "failed", "away", "forged", "revoked or forgotten", "a person must mend it"),
    *KINDS,
)


class WeComDay:
    """`did` counts what happened, so that the test can tell that it did."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.clock = Clock(DAWN)
        self.standin = WeComStandin(self.clock, salt=seed, retry_s=0.0)
        self.standin.tokenless_per_minute = 1
        self.standin.caller.spoil = self._spoil
        self.told: dict[str, Truth] = {}
        self.fleeting: set[str] = set()
        self.holes: list[Hole] = []
        self.did: Counter[str] = Counter()
        self.people = [Person(n, f"顾客{n}", f"c{n}") for n in range(25)]
        self.minute = 0
        self.away_at = self.chance.randrange(700, 1200)
        self.mend_at = 0
        self.sent: Counter[str] = Counter()  # our answers that were taken, by their words
        self.failed: set[str] = set()  # native ids of answers that never arrived
        self.wordless: set[str] = set()  # of those, what is known only by its failure
        self._before()

    def _before(self) -> None:
        """What the three days before the first poll left in the queue."""
        for n in range(30):
            who = self.chance.choice(self.people)
            at = DAWN - timedelta(hours=70 - n)
            self._say(Line(0, "wecom", "direct_message", f"old-{n}", who, f"以前的第 {n} 条"), at)
        self._say_to("old-3", "old-3a", "以前就答过了", DAWN - timedelta(hours=60))

    def step(self, inbox: Inbox) -> None:
        self.minute += 1
        if (
            self.minute == 2
        ):  # so that nobody's conversation is history alone, which ends after three days
            for who in self.people:
                line = Line(0, "wecom", "direct_message", f"hi-{who.number}", who, "你好，有人吗")
                self._say(line, self.clock())
        if self.minute == self.mend_at:
            self.standin.ip_refused, self.standin.enabled = None, True
        if self.minute == self.away_at:
            self._everybody_is_away(inbox)
        if self.away_at - STILL <= self.minute <= self.away_at:
            self.calm()
            return
        self._weather()
        for _ in range(self.chance.choice((0,) * 8 + (1, 1, 2))):
            self._something(inbox)
        if self.chance.random() < 0.05:
            self._answer(inbox)
        if self.chance.random() < 0.03:
            self._forged()

    def calm(self) -> None:
        self.standin.faults.clear()
        self.standin.ip_refused, self.standin.enabled = None, True

    # --- what is said -------------------------------------------------------------------------------

    def _something(self, inbox: Inbox) -> None:
        label, what = f"{self.minute}-{len(self.told)}", self.chance.random()
        asked = self._asked()
        if what < 0.25 and asked:
            self._say_to(self.chance.choice(asked), label, f"您好，正在处理 {label}", self.clock())
        elif what < 0.35:
            self._other(label)
        elif what < 0.42 and asked:
            self._recall()
        elif what < 0.54:
            self._event()
        else:
            medium = self.chance.choice(
                (None,) * 6 + ("image", "voice", "video", "location", "link")
            )
            text = None if medium else self.chance.choice(WORDS).format(label)
            who = self.chance.choice(self.people)
            line = Line(0, "wecom", "direct_message", label, who, text, attachment=medium)
            self._say(line, self.clock())
            if self.chance.random() < 0.2:  # another one in the same second
                self._say(
                    replace(line, label=f"{label}b", text="在吗", attachment=None), self.clock()
                )

    def _asked(self, *, newest: int = 40) -> list[str]:
        """Lately asked, and still there."""
        lost = {label for hole in self.holes for label in hole.labels}
        return [
            label
            for label, one in list(self.told.items())[-newest:]
            if one.direction == "inbound" and not one.deleted and label not in lost
        ]

    def _say(self, line: Line, at: datetime) -> None:
        self.told[line.label] = self.standin.play(line, at, self.told)

    def _say_to(self, to: str, label: str, words: str, at: datetime) -> None:
        self._say(Line(0, "wecom", "direct_message", label, None, words, to=to), at)

    def _other(self, label: str) -> None:
        kind = self.chance.choice(list(OTHERS))
        body, shown = OTHERS[kind]
        who, at = self.chance.choice(self.people), self.clock()
        customer = self.standin.enter(who, at)
        native_id = self.standin.say(customer, at, kind, body, by_servicer=False)
        self.told[label] = Truth(
            label=label,
            platform="wecom",
            kind="direct_message",
            direction="inbound",
            native_id=native_id,
            author={"native_id": customer, "name": who.name, "handle": None},
            text=None,
            url=None,
            sent_at=at.astimezone(UTC).replace(microsecond=0),
            reply_to=None,
            conversation=customer,
            attachments=(shown,),
        )
        self.did[kind] += 1

    def _recall(self) -> None:
        labels = [
            label
            for label, one in list(self.told.items())[-15:]
            if not one.deleted and not label.startswith("api-")
        ]
        if not labels:
            return
        label = self.chance.choice(labels)
        ours = self.told[label].direction == "outbound"
        who = None if ours else self.people[0]
        line = Line(0, "wecom", "direct_message", label, who, None, to=label, action="delete")
        self._say(line, self.clock())
        self.did["our recall" if ours else "their recall"] += 1

    def _event(self) -> None:
        who = self.standin.external_userid(self.chance.choice(self.people))
        what = self.chance.random()
        if what < 0.15:
            self.standin.system(self.clock(), who, "会话超时，已结束")
            self.did["system"] += 1
        elif what < 0.3:
            self.standin.elsewhere(self.clock())
            self.did["elsewhere"] += 1
        elif what < 0.5:
            with self.standin.lock:
                self.standin.desk.states[who] = self.chance.choice((BOT, ENDED))
        else:
            kind, more = self.chance.choice(EVENTS)
            self.standin.event(self.clock(), kind, who, **more)
            self.did[kind] += 1

    # --- what we answer -----------------------------------------------------------------------------

    def _answer(self, inbox: Inbox) -> None:
        asked = self._asked()
        if not asked:
            return
        truth = self.told[self.chance.choice(asked)]
        if self.chance.random() < 0.6:  # else it is as it is: often a colleague holds it
            with self.standin.lock:
                self.standin.desk.states[truth.conversation] = BOT
        words, spoilt = f"答复 {self.minute}", self.chance.random()
        for _ in range(2 if spoilt < 0.1 else spoilt < 0.4):
            kind = self.chance.choice(KINDS)
            self.standin.fault(kind, path=self.chance.choice((SEND, SEND, STATE)), status=502)
        if failing := spoilt > 0.8:
            self.standin.desk.fail_next.append(self.chance.choice((0, 1, 4, 5, 6, 10, 99)))
        came = answer(inbox, truth.native_id, words)
        with self.standin.lock:
            self.standin.desk.fail_next.clear()
            sent = self.standin.desk.sent.items()
            taken = [id for id, body in sent if body["text"]["content"] == words]
        assert len(taken) <= 1
        if not isinstance(came, Outcome) or came.state is ReplyState.REFUSED:
            self.did["refused"] += 1
            assert not taken
        elif came.state is ReplyState.UNKNOWN:
            self.did["unknown"] += 1
            self.wordless.update(taken if failing else ())
        else:
            assert taken == [came.native_id]
            self._sent(truth, taken[0], words, failing=failing)

    def _sent(self, asked: Truth, native_id: str, words: str, *, failing: bool) -> None:
        self.did["failed" if failing else "sent"] += 1
        if failing:
            self.failed.add(native_id)
        self.told[f"api-{native_id}"] = replace(
            asked,
            label=f"api-{native_id}",
            direction="outbound",
            native_id=native_id,
            author={"native_id": self.standin.open_kfid, "name": None, "handle": None},
            text=words,
            sent_at=self.clock(),
            attachments=(),
            deleted=failing,
        )

    # --- what goes wrong ----------------------------------------------------------------------------

    def _spoil(self, label: str, number: int) -> str | None:
        """Callbacks are lost and answered too late; some are given up: what they told of is read all the same."""
        return random.Random(f"{label}{number}").choice((None, None, None, "lost", "late"))

    def _weather(self) -> None:
        there, chance = self.standin, self.chance
        there.page_most = chance.choice((1, 3, 100, 100))
        there.empty_every = chance.choice((0, 2, 4))
        if chance.random() < 0.06:
            kind = chance.choice(KINDS)
            path = chance.choice(("/cgi-bin/", SYNC, NAMES, TOKEN))
            there.fault(kind, path=path, status=502)
            self.did[kind] += 1
            self.did["names refused"] += path in ("/cgi-bin/", NAMES)
        if chance.random() < 0.02:
            code = chance.choice((-1, 45009, 45011, 40058, 48002))
            path = NAMES if code == 48002 else chance.choice((SYNC, SYNC, NAMES))
            there.refuse(path, code)
            self.did["names refused" if path == NAMES else str(code)] += 1
        if chance.random() < 0.01:
            chance.choice((there.revoke, there.forget_cursors))()
            self.did["revoked or forgotten"] += 1
        if self.minute in (100, 350, 600, 1300):
            self.mend_at = self.minute + 20
            if self.minute in (100, 600):
                there.ip_refused = "203.0.113.97"
            else:
                there.enabled = False
            self.did["a person must mend it"] += 1

    def _everybody_is_away(self, inbox: Inbox) -> None:
        """Four days in which nobody reads: what was said in the first of them is out of reach for good."""
        assert not self._unread(inbox)
        since = self.clock()
        lost = []
        for n in range(1, 8):
            label = f"lost-{n}"
            line = Line(0, "wecom", "direct_message", label, self.people[n], f"没人看到 {n}")
            self._say(line, since + timedelta(hours=3 * n))
            lost.append(label)
        self.clock.on(days=AWAY.days)
        until = self.clock() - REACH
        for n in range(5):
            line = Line(0, "wecom", "direct_message", f"seen-{n}", self.people[n], f"还来得及 {n}")
            self._say(line, until + timedelta(hours=5 * n + 1))
        self.holes.append(Hole("messages", since, until, lost))
        self.did["away"] += 1

    def _unread(self, inbox: Inbox) -> list[str]:
        with inbox.db.read() as conn:
            have = set(conn.execute(select(message.c.native_id)).scalars())
        return [label for label, one in self.told.items() if one.native_id not in have]

    def _forged(self) -> None:
        """Somebody who does not know the secret posts to the callback URL."""
        url = self.standin.caller.url
        assert url is not None
        query = {
            "msg_signature": "0" * 40,
            "timestamp": str(int(self.clock().timestamp())),
            "nonce": "5",
        }
        body = b"<xml><Encrypt>5oiR5LiN5piv</Encrypt></xml>"
        assert requests.post(url, params=query, data=body, timeout=5).status_code == 401
        self.did["forged"] += 1


def nameless(rows: Sequence[Mapping[str, Any]]) -> int:
    return sum(1 for row in rows if row["direction"] == "inbound" and row["author"]["name"] is None)


def named(rows: Sequence[Mapping[str, Any]], told: Mapping[str, Truth]) -> list[Mapping[str, Any]]:
    """The rows with the names that a refused call for them has kept from us."""
    names = {one.conversation: one.author for one in told.values() if one.direction == "inbound"}
    return [
        {**row, "author": dict(names[row["author"]["native_id"]])}
        if row["direction"] == "inbound" and row["author"]["name"] is None
        else row
        for row in rows
    ]


def stopped_by(url: str, native_ids: Collection[str]) -> int:
    """How many clocks these messages have stopped."""
    db = Database.open(url, now=lambda: DAWN)
    with db.read() as conn:
        mine = select(message.c.id).where(message.c.native_id.in_(native_ids))
        found = conn.execute(select(clock.c.stopped_by).where(clock.c.stopped_by.in_(mine))).all()
    db.close()
    return len(found)


@pytest.mark.parametrize("seed", seeds(1))
def test_a_day_on_wecom_comes_back_as_it_was(db_url: str, seed: int) -> None:
    day = WeComDay(seed)
    soaked = soak(day, db_url, connector="wecom", seed=seed)
    assert nameless(soaked.messages) <= day.did["names refused"] * 5
    wordless = [row for row in soaked.messages if row["native_id"] in day.wordless]
    assert all(row["text"] is None and row["deleted_at"] for row in wordless)
    rest = [row for row in soaked.messages if row not in wordless]
    hold(
        replace(soaked, messages=named(rest, day.told)),
        limits=(
            Limit(NAMES, 10, 60.0, method="POST"),
            Limit(STATE, 10, 60.0, method="POST"),
            Limit(TOKEN, 20, 3600.0),
        ),
    )
    there, refused = day.standin, day.standin.refused
    # Never more than the window takes, never where a colleague holds the session: we look before.
    assert [refused[code] for code in (95001, 95002, 95018, 95000)] == [0, 0, 0, 0]
    assert max(Counter(one["touser"] for one in there.desk.sent.values()).values()) <= 5 * 3
    # What may be asked without a callback is learnt, and a callback's token keeps most calls out of the count.
    assert refused[45009] - day.did["45009"] <= 10
    asked = sum(1 for _, _, path in soaked.calls if path == SYNC)
    assert len(there.tokenless) < asked
    assert [one.problem for one in there.caller.ledger].count(None) > 100
    answers = day.failed | {
        one.native_id for one in day.told.values() if one.label.startswith("api-")
    }
    assert len(answers) == len([id for id in there.desk.sent if id in answers]) >= 5
    assert day.failed
    assert stopped_by(db_url, day.failed) == 0
    assert stopped_by(db_url, answers - day.failed) > 0
    for part in PARTS:
        assert day.did[part], f"the day had no {part}: {day.did}"
    assert set(soaked.stops) <= {"stop", "kill_before", "kill_after"}
