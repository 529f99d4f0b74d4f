"""A day on a WeChat Official Account with everything that its facts name: it comes back as it was, within its quotas."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, timedelta, timezone
from typing import Any

import pytest
import requests
from sqlalchemy import select

import connectors.wechat
from aggregator.replying import Outcome
from aggregator.sandbox.base import Line, Person, Truth
from aggregator.sandbox.wechat import WeChatStandin
from storage.replies import ReplyState
from storage.schema import message
from tests.connectors.loopback import Clock
from tests.soak.answers import answer
from tests.soak.stage import DAWN, Hole, Inbox, Limit, Soaked, hold, seeds, soak

RECORDS, LIST = "/customservice/msgrecord/getmsglist", "/cgi-bin/comment/list"
SEND, REPLY, TOKEN = (
    "/cgi-bin/message/custom/send",
    "/cgi-bin/comment/reply/add",
    "/cgi-bin/stable_token",
)
KINDS = ("status", "html", "html_ok", "truncated", "cut", "cut_after", "cut_body")
BEIJING = timezone(timedelta(hours=8))
MIDNIGHT = 14 * 60  # of Beijing, in minutes of the day
DAILY = 900  # calls of one path
SMALL = 5  # records on a page, so that a day has pages
WORDS = (
    "第 {} 次了，灯还在闪 <急> & 退款",
    "order {} never arrived &amp; nobody answers",
    "在吗 {} /::)",
)
# What play() has no line for: MsgType → its fields, the text, and the attachment that shows it.
OTHERS: Mapping[str, tuple[dict[str, str | float], str | None, str]] = {
    "voice": ({"MediaId": "v", "Format": "amr", "Recognition": "我要退款"}, "我要退款", "voice"),
    "shortvideo": ({"MediaId": "s", "ThumbMediaId": "t"}, None, "video"),
    "file": ({"Title": "发票.pdf", "FileKey": "k"}, None, "file"),
    "miniprogrampage": ({"Title": "订单", "AppId": "wx1"}, None, "card"),
    "hologram": ({"Deep": "er"}, None, "unknown"),
}
EVENTS = (
    *("subscribe", "unsubscribe", "SCAN", "CLICK", "VIEW", "LOCATION", "scancode_push"),
    *("kf_create_session", "kf_close_session", "TEMPLATESENDJOBFINISH", "moon_landing"),
)
MODES = (("safe", False), ("plain", True), ("safe", True), ("compatible", False))
PARTS = (
    *KINDS,
    *OTHERS,
    *("withdrawn", "restored", "sent", "comment sent", "forged", "revoked", "address", "denied"),
    *("late", "lost", "-1", "45009", "anonymous"),
)


class WeChatDay:
    """`did` counts what happened, so that the test can tell that it did."""

    def __init__(self, seed: int, mode: str, *, json: bool) -> None:
        self.chance = random.Random(seed)
        self.clock = Clock(DAWN)
        self.standin = WeChatStandin(self.clock, mode=mode, json=json, salt=seed, retry_s=0.0)
        self.standin.sends_recorded = True
        self.standin.daily_limit = DAILY
        self.standin.caller.spoil = self._spoil
        self.standin.comments.short_every = 5
        self.told: dict[str, Truth] = {}
        self.fleeting: set[str] = set()
        self.holes: list[Hole] = []
        self.did: Counter[str] = Counter()
        self.people = [Person(n, f"顾客{n}", f"c{n}") for n in range(25)]
        self.articles: list[tuple[int, int]] = []
        self.comments: dict[str, tuple[tuple[int, int], int]] = {}  # label → where it stands
        self.away: list[str] = []  # labels of comments that are withdrawn
        self.minute = 0
        self.mend_at = 0
        self.denied_at = self.chance.randrange(100, 300)

    def step(self, inbox: Inbox) -> None:
        self.minute += 1
        self._plan()
        self._weather()
        for _ in range(self.chance.choice((0,) * 8 + (1, 1, 2))):
            self._something()
        if self.chance.random() < 0.1:
            self._comment(inbox)
        if self.chance.random() < 0.06:
            self._answer(inbox)
        if self.chance.random() < 0.03:
            self._forged()

    def calm(self) -> None:
        self.standin.faults.clear()
        self.standin.tokens.ip_refused = None
        self.standin.comments.allowed = True

    def _plan(self) -> None:
        there = self.standin
        if self.minute in (3, 400, 1000):
            number = there.publish(self.clock(), articles=2)
            self.articles += [(number, 0), (number, 1)]
        if self.minute == self.denied_at:
            there.comments.allowed = False
            self.did["denied"] += 1
        if self.minute == self.denied_at + 30:
            there.comments.allowed = True
        if self.minute == MIDNIGHT - 40:
            there.refuse(self.chance.choice((RECORDS, LIST)), 45009)
            self.did["45009"] += 1
        if self.minute == self.mend_at:
            there.tokens.ip_refused = None

    # --- what is said -------------------------------------------------------------------------------

    def _something(self) -> None:
        label, what = f"{self.minute}-{len(self.told)}", self.chance.random()
        asked = self._asked()
        if what < 0.3 and asked:
            to, words = (
                self.chance.choice(asked),
                self.chance.choice(("好的", f"已经催促仓库 {label}")),
            )
            self._say(Line(0, "wechat", "direct_message", label, None, words, to=to))
        elif what < 0.4:
            self._other(label)
        elif what < 0.5:
            who = self.chance.choice(self.people)
            more = {"EventKey": "qrscene_4"} if self.chance.random() < 0.5 else {}
            self.standin.event(who, self.clock(), self.chance.choice(EVENTS), **more)
        else:
            medium = self.chance.choice(
                (None,) * 6 + ("image", "voice", "video", "location", "link")
            )
            text = None if medium else self.chance.choice(WORDS).format(label)
            who = self.chance.choice(self.people)
            line = Line(0, "wechat", "direct_message", label, who, text, attachment=medium)
            self._say(line)
            if self.chance.random() < 0.2:  # another one in the same second
                self._say(replace(line, label=f"{label}b", text="在吗", attachment=None))

    def _asked(self) -> list[str]:
        return [
            label
            for label, one in list(self.told.items())[-40:]
            if one.direction == "inbound" and one.kind == "direct_message"
        ]

    def _say(self, line: Line) -> None:
        self.told[line.label] = self.standin.play(line, self.clock(), self.told)

    def _other(self, label: str) -> None:
        kind = self.chance.choice(list(OTHERS))
        fields, text, shown = OTHERS[kind]
        who, at = self.chance.choice(self.people), self.clock()
        openid = self.standin.openid(who)
        native_id = self.standin.push(who, at, kind, fields)
        self.told[label] = self._truth(
            label, "direct_message", native_id, openid, text, conversation=openid, shown=(shown,)
        )
        self.did[kind] += 1

    def _truth(
        self,
        label: str,
        kind: str,
        native_id: str,
        author: str | None,
        text: str | None,
        *,
        conversation: str,
        shown: tuple[str, ...] = (),
        direction: str = "inbound",
        reply_to: str | None = None,
    ) -> Truth:
        return Truth(
            label=label,
            platform="wechat",
            kind=kind,
            direction=direction,
            native_id=native_id,
            author={"native_id": author, "name": None, "handle": None},
            text=text,
            url=None,
            sent_at=self.clock().astimezone(UTC).replace(microsecond=0),
            reply_to=reply_to,
            conversation=conversation,
            attachments=shown,
        )

    # --- under articles -----------------------------------------------------------------------------

    def _comment(self, inbox: Inbox) -> None:
        if not self.articles:
            return
        what = self.chance.random()
        standing = [one for one in self.comments if one not in self.away]
        if what < 0.15 and standing:
            self._withdraw(inbox, self.chance.choice(standing[-20:]))
        elif what < 0.2 and self.away:
            self._restore(self.away.pop(self.chance.randrange(len(self.away))))
        elif what < 0.35 and standing:
            self._answered(inbox, self.chance.choice(standing[-20:]))
        else:
            for _ in range(self.chance.choice((1,) * 9 + (55,))):  # now and then a page and more
                self._written()

    def _written(self) -> None:
        article = self.chance.choice(self.articles[-2:])
        label, words = f"c-{len(self.told)}", f"留言 {len(self.told)} [旺柴] & <b>"
        openid = self.standin.openid(self.chance.choice(self.people))
        who = None if self.chance.random() < 0.1 else openid
        number = self.standin.comments.write(article, who, self.clock(), words)
        root = f"{article[0]}/{article[1]}"
        self.told[label] = self._truth(
            label, "comment", f"{root}/{number}", who, words, conversation=f"{root}/{who or label}"
        )
        self.comments[label] = (article, number)
        self.did["anonymous"] += who is None

    def _withdraw(self, inbox: Inbox, label: str) -> None:
        article, number = self.comments[label]
        if "reply" in self.standin.comments.articles[article][number]:
            return
        if not self._has(inbox, self.told[label].native_id):
            self.fleeting.add(label)
        self.standin.comments.withdraw(article, number)
        self.told[label] = replace(self.told[label], deleted=True)
        self.away.append(label)
        self.did["withdrawn"] += 1

    def _restore(self, label: str) -> None:
        self.standin.comments.restore(*self.comments[label])
        self.told[label] = replace(self.told[label], deleted=False)
        self.fleeting.discard(label)
        self.did["restored"] += 1

    def _answered(self, inbox: Inbox, label: str) -> None:
        """In the console, or from here: a comment takes one answer."""
        article, number = self.comments[label]
        asked, words = self.told[label], f"谢谢留言 {self.minute}"
        comment = self.standin.comments.articles[article][number]
        if self.chance.random() < 0.3:
            if "reply" not in comment:
                self.standin.comments.answered(article, number, self.clock(), words)
                self._replied(asked, words)
            return
        self._spoil_next(REPLY)
        before = comment.get("reply")
        came = answer(inbox, asked.native_id, words)
        taken = comment.get("reply") != before
        state = came.state if isinstance(came, Outcome) else None
        assert before is None or not taken
        assert (state is ReplyState.SENT) <= taken
        assert not taken or state in (ReplyState.SENT, ReplyState.UNKNOWN)
        if taken:
            self._replied(asked, words)
            self.did["comment sent"] += 1

    def _replied(self, asked: Truth, words: str) -> None:
        mark = hashlib.sha256(words.encode()).hexdigest()[:16]
        label = f"r-{len(self.told)}"
        self.told[label] = self._truth(
            label,
            "comment",
            f"{asked.native_id}/reply/{mark}",
            self.standin.app_id,
            words,
            conversation=asked.conversation,
            direction="outbound",
            reply_to=asked.native_id,
        )

    # --- what we answer -----------------------------------------------------------------------------

    def _answer(self, inbox: Inbox) -> None:
        asked = self._asked()
        if not asked:
            return
        truth, words = self.told[self.chance.choice(asked)], f"答复 {self.minute}"
        self._spoil_next(SEND)
        before = len(self.standin.sent)
        came = answer(inbox, truth.native_id, words)
        taken = len(self.standin.sent) - before
        state = came.state if isinstance(came, Outcome) else None
        assert taken <= 1
        assert (state is ReplyState.SENT) <= taken
        assert not taken or state in (ReplyState.SENT, ReplyState.UNKNOWN)
        if not taken:
            self.did["not sent"] += 1
            return
        # Where nobody could say that it was sent, it is read from the records, with the worker's name.
        assert isinstance(came, Outcome)
        known = came.native_id is not None and came.native_id.startswith("sent-")
        label = f"api-{len(self.told)}"
        self.told[label] = self._truth(
            label,
            "direct_message",
            came.native_id if known and came.native_id else self.standin.recorded[-1],
            self.standin.app_id if known else self.standin.worker,
            words,
            conversation=truth.conversation,
            direction="outbound",
        )
        self.did["sent" if known else "found"] += 1

    def _spoil_next(self, path: str) -> None:
        if self.chance.random() < 0.4:
            self.standin.fault(self.chance.choice(KINDS), path=path, status=502)

    # --- what goes wrong ----------------------------------------------------------------------------

    def _spoil(self, label: str, number: int) -> str | None:
        """Pushes are lost and answered too late, twice at most: the third time is the platform's last."""
        told = random.Random(f"{label}{number}").choice((None, None, None, "lost", "late"))
        if told is None or number > 2:
            return None
        self.did[told] += 1
        return told

    def _weather(self) -> None:
        there, chance = self.standin, self.chance
        if chance.random() < 0.05:
            kind = chance.choice(KINDS)
            path = chance.choice(("/cgi-bin/", RECORDS, LIST, TOKEN))
            there.fault(kind, path=path, status=chance.choice((500, 502, 504)))
            self.did[kind] += 1
        if chance.random() < 0.02:
            code = chance.choice((-1, 45011))
            there.refuse(chance.choice((RECORDS, LIST)), code)
            self.did[str(code)] += 1
        if chance.random() < 0.008:
            there.tokens.revoke()
            self.did["revoked"] += 1
        if self.minute in (350, 700, 1200):
            self.mend_at = self.minute + 20
            there.tokens.ip_refused = "203.0.113.97"
            there.tokens.revoke()
            self.did["address"] += 1

    def _has(self, inbox: Inbox, native_id: str) -> bool:
        with inbox.db.read() as conn:
            this = select(message.c.id).where(message.c.native_id == native_id)
            return conn.execute(this).first() is not None

    def _forged(self) -> None:
        """Somebody who does not know the token posts to the callback URL."""
        url = self.standin.caller.url
        assert url is not None
        stamp = str(int(self.clock().timestamp()))
        query = {"signature": "0" * 40, "msg_signature": "0" * 40, "timestamp": stamp, "nonce": "5"}
        body = "<xml><MsgType>text</MsgType><Content>假的</Content><Encrypt>5oiR</Encrypt></xml>"
        told = requests.post(url, params=query, data=body.encode(), timeout=5)
        assert told.status_code == 401
        self.did["forged"] += 1


def per_day(soaked: Soaked, path: str) -> int:
    """The most calls of a path in one of Beijing's days."""
    days = Counter(at.astimezone(BEIJING).date() for at, _, one in soaked.calls if one == path)
    return max(days.values(), default=0)


@pytest.mark.parametrize("seed", seeds(1))
def test_a_day_on_wechat_comes_back_as_it_was(
    db_url: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    mode, json = MODES[(seed + ("postgresql" in db_url)) % len(MODES)]
    monkeypatch.setattr(connectors.wechat, "PAGE", SMALL)
    monkeypatch.setattr(connectors.wechat.records, "PAGE", SMALL)
    day = WeChatDay(seed, mode, json=json)
    options: dict[str, Any] = {"passive_reply": "transfer_customer_service" if json else "success"}
    soaked = soak(day, db_url, connector="wechat", seed=seed, options=options)
    hold(soaked, limits=(Limit(TOKEN, 20, 3600.0, method="POST"),))
    assert soaked.gaps == []
    there = day.standin
    assert there.caller.lost() == []
    for path in (RECORDS, LIST, SEND, REPLY):
        assert per_day(soaked, path) <= DAILY, path
    # The window is kept by us: the platform never had to.
    assert [there.refused[code] for code in (45047, 45015, 65417, 65416, 88010, 40033)] == [0] * 6
    sent = Counter(one["text"]["content"] for one in there.sent)  # type: ignore[index]
    assert set(sent.values()) == {1}
    for part in PARTS:
        assert day.did[part], f"the day had no {part}: {day.did}"
