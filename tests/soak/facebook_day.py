"""A random day on a Facebook Page, with everything that its facts name: what happens, what is told, what breaks."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from aggregator.sandbox.base import Request
from aggregator.sandbox.facebook import FacebookStandin
from aggregator.sandbox.facebook_objects import Post
from storage.polls import streams
from storage.schema import message
from tests.connectors.loopback import Clock
from tests.soak.facebook_deeds import FLOOD, Deeds
from tests.soak.stage import DAWN, Hole, Inbox

QUOTA = 600  # calls an hour
SUBCODES = (0, 458, 459, 460, 463, 464, 467, 492)
KINDS = ("status", "html", "html_ok", "truncated", "cut", "cut_body")


class Waits:
    """A stop that never comes; who waits for it lets the day's clock go on instead of sleeping."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def is_set(self) -> bool:
        return False

    def set(self) -> None:
        raise AssertionError("nobody stops it")

    def wait(self, timeout: float | None = None) -> bool:
        self._clock.on(seconds=timeout or 0.0)
        return False


class Counted(FacebookStandin):
    """Keeps when each call came, and whether it came while none was welcome."""

    def __init__(self, clock: Clock, salt: int) -> None:
        super().__init__(clock, salt=salt, tick=lambda: clock().timestamp(), retry_s=0.05)
        self.ledger: list[tuple[datetime, str, str]] = []
        self.unwelcome = 0

    def count(self, request: Request) -> None:
        super().count(request)
        self.ledger.append((self.now(), request.method, request.path))
        until = self.usage.until
        self.unwelcome += until is not None and self.now() < until


class FacebookDay:
    """The plan of the day, and its weather; what happens is in its deeds."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.clock = Clock(DAWN)
        self.standin = Counted(self.clock, seed % 1000)
        self.standin.usage.quota, self.standin.usage.told_from = QUOTA, 0
        self.standin.hooks.mail = self.mail
        self.deeds = Deeds(self.standin, self.chance)
        self.told, self.fleeting, self.did = (
            self.deeds.told,
            self.deeds.fleeting,
            self.deeds.did,
        )
        self.holes: list[Hole] = []
        self.minute = 0
        at = self.at()
        page = self.standin
        self.hot = [page.post(page.page, f"新品 {n}", at - timedelta(days=n)) for n in range(6)]
        self.old = page.post(page.page, "二十天前", at - timedelta(days=20))
        self.ancient = page.post(page.page, "两个月前", at - timedelta(days=60))
        self.medias = [page.gram.post(f"图 {n}", at - timedelta(days=n + 1)) for n in range(4)]
        for n in range(30):
            before = at - timedelta(hours=20, minutes=-20 * n)
            self.deeds.comment(self.chance.choice(self.hot), before)
            self.deeds.letter(before)
            self.deeds.remark(self.chance.choice(self.medias), before)
        self.then: list[tuple[int, Callable[[], None]]] = []
        self._plan()

    def at(self) -> datetime:
        return self.clock().replace(microsecond=0)

    # --- what happens once --------------------------------------------------------------------------

    def _plan(self) -> None:
        hour = 60
        pick = self.chance.randrange
        self._for(pick(1 * hour, 3 * hour), 60, self._token_dies, self._token_is_mended)
        self._for(pick(8 * hour, 9 * hour), 120, self._mute, self._unmute)
        self._for(pick(12 * hour, 13 * hour), 40, self._nearly_used_up, self._fresh_quota)
        self._for(pick(16 * hour, 17 * hour), 90, self._small_quota, self._fresh_quota)
        for _ in range(4):
            self.then.append((pick(3 * hour, 23 * hour), self._block))
        self.then.append((20, self._flood))

    def _for(
        self, at: int, minutes: int, begin: Callable[[], None], end: Callable[[], None]
    ) -> None:
        self.then += [(at, begin), (at + minutes, end)]

    def _token_dies(self) -> None:
        self.did["token"] += 1
        self.standin.gate.trouble = self.chance.choice(SUBCODES)

    def _token_is_mended(self) -> None:
        self.standin.gate.trouble = None

    def _mute(self) -> None:
        """No webhooks for two hours, and nothing says so: polling finds everything, but for one thing."""
        self.did["muted"] += 1
        self.standin.hooks.muted = True
        self.then.append((self.minute + 30, self._instagram_flood))

    def _unmute(self) -> None:
        self.standin.hooks.muted = False

    def _nearly_used_up(self) -> None:
        self.did["headers"] += 1
        self.standin.usage.told = (self.chance.choice((95, 97, 104)), 25)

    def _small_quota(self) -> None:
        self.did["quota"] += 1
        self.standin.usage.quota = max(self.standin.usage.calls, 60)

    def _fresh_quota(self) -> None:
        self.standin.usage.told, self.standin.usage.quota = None, QUOTA

    def _block(self) -> None:
        self.did["block"] += 1
        code = self.chance.choice((4, 17, 32, 80001))
        self.standin.throttle(code, minutes=self.chance.randrange(3, 25))

    def _flood(self) -> None:
        """More comments on one post, and more messages of one person, than a page holds."""
        self.did["flood"] += 1
        post, who = self.chance.choice(self.hot), self.chance.choice(self.deeds.people)
        for n in range(150):
            self.deeds.comment(post, self.at() - timedelta(seconds=150 - n))
        for n in range(60):
            self.deeds.letter(self.at() - timedelta(seconds=60 - n), who=who)

    def _instagram_flood(self) -> None:
        """Of a conversation there Instagram tells the newest twenty messages."""
        self.did["instagram flood"] += 1
        labels = [
            self.deeds.letter(self.at() - timedelta(seconds=40 - n), who=FLOOD, instagram=True)
            for n in range(35)
        ]
        lost = labels[:15]
        times = [self.told[one].sent_at for one in lost]
        self.holes.append(Hole("instagram", min(times), max(times), lost))

    # --- what happens again and again -----------------------------------------------------------------

    def step(self, inbox: Inbox) -> None:
        self.minute += 1
        inbox.poller.stopping = Waits(self.clock)  # type: ignore[assignment]
        with self.standin.lock:
            for _, happens in [one for one in self.then if one[0] == self.minute]:
                happens()
            self._weather()
            for _ in range(self.chance.choice((0, 0, 0, 1, 1, 2))):
                self._something()
            if self.chance.random() < 0.15:
                self._look(inbox)
                self.deeds.change(self.at())

    def calm(self) -> None:
        page = self.standin
        page.faults.clear()
        page.graph.empty_pages, page.graph.heavy_above = 0, 5_000
        page.hooks.mail = lambda _: timedelta()
        page.hooks.muted = False
        page.gate.trouble = None
        self._fresh_quota()

    def mail(self, entry: Mapping[str, Any]) -> timedelta | None:
        """How late a webhook comes: at once, in up to forty minutes, never."""
        luck = self.chance.random()
        if luck < 0.15 and self.deeds.lossy:
            self.did["lost"] += 1
            return None
        if luck < 0.35:
            self.did["late"] += 1
            return timedelta(minutes=self.chance.randrange(1, 40))
        return timedelta()

    def _weather(self) -> None:
        page, chance = self.standin, self.chance
        page.hooks.twice = chance.random() < 0.2
        page.hooks.backwards = chance.random() < 0.3
        page.hooks.batch = chance.choice((1, 1, 3))
        page.hooks.standby = chance.random() < 0.1
        page.hooks.numeric_ids = chance.random() < 0.1
        page.bare_comment_ids = chance.random() < 0.3
        page.graph.empty_pages = chance.choice((0, 0, 0, 0, 4))
        page.graph.heavy_above = 20 if chance.random() < 0.03 else 5_000
        if chance.random() > 0.06 or page.faults:
            return
        self.did["fault"] += 1
        kind = chance.choice((*KINDS, "graph", "graph", "inside"))
        if kind == "graph":
            code, words = chance.choice(
                (
                    (1, "Please reduce the amount of data you're asking for"),
                    (2, "Service temporarily unavailable"),
                    (32, "Page request limit reached"),
                    (613, "Calls to this api have exceeded the rate limit."),
                    (80001, "There have been too many calls to this Page account"),
                )
            )
            page.refuse(code, words)
        elif kind == "inside":
            body = b'{"error": {"message": "oops", "code": "2", "is_transient": true}}'
            page.fault("status", status=200, body=body)
        elif chance.random() < 0.2:
            page.refuse(100, "(#100) Invalid cursor", path=f"/v26.0/{page.page.id}/feed")
        else:
            page.fault(kind, status=chance.choice((429, 500, 502)), body=b"{}")

    def _something(self) -> None:
        luck, at, deeds = self.chance.random(), self.at(), self.deeds
        if luck < 0.38:
            deeds.comment(self._post(), at)
        elif luck < 0.68:
            deeds.letter(at)
        elif luck < 0.72:
            deeds.letter(at, instagram=True)
        elif luck < 0.79:
            deeds.remark(self.chance.choice(self.medias), at)
        elif luck < 0.81 and not self.standin.hooks.muted:
            deeds.surely(lambda: deeds.comment(self.ancient, at))
            self.did["ancient"] += 1
        elif luck < 0.83:
            deeds.visitor(at)
        elif luck < 0.84:
            deeds.review(at)
        else:
            deeds.answer(at)

    def _post(self) -> Post:
        mine = self.deeds.live(Post)
        return self.chance.choice([*self.hot * 3, self.old, *mine[-5:]])

    def _look(self, inbox: Inbox) -> None:
        """What is stored by now, and what polling will compare its lists with."""
        with inbox.db.read() as conn:
            rows = streams(conn, inbox.account.name)
            self.deeds.seen = set(conn.execute(select(message.c.native_id)).scalars())
        kept = ("posts", "comments", "instagram_comments")
        self.deeds.compared = "".join(rows[one].cursor or "" for one in kept if one in rows)
