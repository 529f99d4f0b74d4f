"""Stand-in of Weibo: the open API's reads (all of its hosts in one server) and the fan service's direct messages."""

from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from aggregator.sandbox import weibo_shapes as shapes
from aggregator.sandbox.base import Answer, Line, Person, Request, Standin, Truth, answer
from aggregator.sandbox.caller import Caller
from aggregator.sandbox.weibo_fans import MEDIA, FanService
from aggregator.sandbox.weibo_gate import Gate
from aggregator.sandbox.weibo_lists import BadParameter, Entry, by_id, file, page
from aggregator.sandbox.weibo_reads import Reads
from aggregator.sandbox.weibo_shapes import Comment, Member, Status
from aggregator.sandbox.weibo_writes import Writes

MENTIONS, TO_ME, CMT_MENTIONS, BY_ME = "mentions", "to_me", "cmt_mentions", "by_me"
STRANGER = 9_998  # the number of a person who is in no script


class WeiboStandin(Standin):
    """One brand account, `brand` its screen name: what has `@brand` in it mentions us.

    `attach` comes before the first direct message; posts and comments need none. Knobs: `late[label]` =
    seconds after its time at which a line is first seen; `ghost` adds an item that is only counted;
    `gate.quota`, `gate.codes`, `gate.expires_at`, `gate.closed`; `staff_reads` resets the unread counters;
    `history`: how many of its newest items a list shows; `fans.format`, `fans.tells_mentions`; those of
    `writes`.
    """

    name = "weibo"

    def __init__(
        self,
        now: Callable[[], datetime],
        *,
        brand: str = "青山家电",
        salt: int | None = None,
        quota: int = 100,
        ip_quota: int = 15_000,
        codes: str = "both",
        attempts: int = 3,
        timeout_s: float = 5.0,
        retry_s: float = 5.0,
    ) -> None:
        super().__init__(now)
        self.salt = secrets.randbits(32) if salt is None else salt
        self.uid = 2_000_000_000 + self.salt % 500_000 * 10_000
        self.brand = brand
        self.gate = Gate(now, self.uid, quota=quota, ip_quota=ip_quota, codes=codes)
        self.app_secret = self.gate.app_secret
        self.caller = Caller(
            self.name, now, attempts=attempts, timeout_s=timeout_s, retry_s=retry_s
        )
        self.fans = FanService(now, self.uid, self.app_secret, self.caller)
        self.writes = Writes(now, self.gate, self)
        self.reads = Reads(now, self.gate, self)
        self.late: dict[str, float] = {}
        self.history: int | None = None
        self.us = Member(self.uid, brand, 50_000, True)
        self.members = {self.uid: self.us}
        self.statuses: dict[int, Status] = {}
        self.comments: dict[int, Comment] = {}
        self._streams: dict[str, list[Entry]] = {
            name: [] for name in (MENTIONS, TO_ME, CMT_MENTIONS, BY_ME)
        }
        self._unread_direct = 0
        self._in_second: Counter[int] = Counter()
        gate = self.gate
        self.route("POST", "/oauth2/get_token_info", gate.token_info)
        self.route("GET", "/oauth2/authorize", gate.authorize)
        self.route("POST", "/oauth2/access_token", gate.access_token)
        for path, write in (
            (r"/2/comments/reply(?:/biz)?\.json", self.writes.reply),
            (r"/2/comments/create\.json", self.writes.create),
            (r"/2/messages/reply(?:/biz)?\.json", self.writes.direct),
        ):
            self.route("POST", path, gate.open(write))
        for path, streams, key, most in (
            (r"/2/statuses/mentions(?:/biz)?\.json", (MENTIONS,), "statuses", 200),
            (r"/2/comments/to_me(?:/biz)?\.json", (TO_ME,), "comments", 50),
            (r"/2/comments/mentions(?:/biz)?\.json", (CMT_MENTIONS,), "comments", 50),
            (r"/2/comments/by_me(?:/biz)?\.json", (BY_ME,), "comments", 50),
            (r"/2/comments/timeline(?:/biz)?\.json", (TO_ME, BY_ME), "comments", 50),
        ):
            self.route("GET", path, gate.open(self._lister(streams, key, most)))
        for path, handler, metered in (
            (r"/2/comments/show\.json", self.reads.comments_of, True),
            (r"/2/comments/show_batch\.json", self.reads.comments, True),
            (r"/2/statuses/show\.json", self.reads.status, True),
            (r"/2/users/show\.json", self.reads.user, True),
            (r"/2/account/get_uid\.json", self.reads.get_uid, True),
            (r"/2/account/rate_limit_status\.json", gate.limits, False),
            (r"/2/remind/unread_count\.json", self._unread, False),
        ):
            self.route("GET", path, gate.open(handler, metered=metered))

    def options(self) -> dict[str, str]:
        return {
            "uid": str(self.uid),
            "access_token": self.gate.token,
            "app_secret": self.app_secret,
            "base_url": self.base_url,
        }

    def settle(self) -> bool:
        """Wait until every push was answered; False if some were not in time."""
        return self.caller.settle()

    def stop(self) -> None:
        self.caller.close()
        super().stop()

    def not_found(self, request: Request) -> Answer:
        return self.gate.error(request, 10020, "Request api not found")

    # --- what happens on the platform ---------------------------------------------------------------

    def attach(self, callback_url: str) -> None:
        """Register the daemon's callback URL; raises HandshakeFailed as the admin page would."""
        self.fans.attach(callback_url)

    def play(self, line: Line, at: datetime, told: Mapping[str, Truth]) -> Truth:
        """Posts, comments, direct messages and withdrawals. Raises ValueError for what no API would show.

        What was withdrawn is gone from every list, and none says so: it is told to whoever asks for it by id.
        """
        if line.action == "edit":
            raise ValueError(f"{line.label}: what Weibo edited cannot be told by its API")
        if line.action == "say" and line.kind == "direct_message":
            return self._play_direct(line, at)  # not under the lock: a full queue makes it wait
        with self.lock:
            if line.action == "delete":
                return self._withdraw(line, told)
            if line.kind == "comment":
                return self._play_comment(line, at, told)
            if line.kind in ("mention", "own_post"):
                return self._play_post(line, at, told)
        raise ValueError(f"{line.label}: Weibo has no {line.kind}")

    def member(self, who: Person | None) -> Member:
        """A person's account here; None is ours."""
        if who is None:
            return self.us
        member = Member(self.uid + 1 + who.number, who.name, who.followers, who.verified)
        return self.members.setdefault(member.uid, member)

    def ghost(self, stream: str, at: datetime) -> None:
        """An item that `total_number` counts and no page shows. `stream`: mentions, to_me, cmt_mentions, by_me."""
        with self.lock:
            file(self._streams[stream], Entry(self._new_id(at), None, None))

    def hide(self, native_id: str, *, hidden: bool = True) -> None:
        """The platform takes an item out of every list, or puts it back; a post can still be had by its id."""
        with self.lock:
            number = int(native_id)
            item = self.comments.get(number) or self.statuses[number]
            item.hidden = hidden

    def lose(self, stream: str, keep: int) -> None:
        """A list forgets all but its newest `keep` items, for good. `stream` as for `ghost`."""
        with self.lock:
            del self._streams[stream][:-keep]

    def staff_reads(self) -> None:
        """Somebody opened the app: the unread counters start again from zero."""
        with self.lock:
            self._unread_direct = 0
            for entries in self._streams.values():
                for entry in entries:
                    entry.read = True

    def add_comment(self, post: Status, text: str, words: str, to: Comment | None) -> Comment:
        """A comment of ours, written through the API."""
        now = self.now()
        post.comments += 1
        said = Comment(self._new_id(now), now, self.us, post, text, words, to, post.comments)
        self.comments[said.id] = said
        late = self.writes.delay_next
        visible = now + timedelta(seconds=late) if late is not None else None
        file(self._streams[BY_ME], Entry(said.id, visible, said))
        return said

    def _play_post(self, line: Line, at: datetime, told: Mapping[str, Truth]) -> Truth:
        ours = line.who is None
        if ours == (line.kind == "mention") or line.attachment not in (None, *shapes.ATTACHED):
            raise ValueError(f"{line.label}: a mention is a customer's, and nobody posts that")
        post = Status(self._new_id(at), at, self.member(line.who), line.text or "")
        post.attached = line.attachment
        if line.under is not None:
            post.repost_of = self.statuses[int(told[line.under].native_id)]
            post.repost_of.reposts += 1
        self.statuses[post.id] = post
        if not ours:
            file(self._streams[MENTIONS], Entry(post.id, self._visible_at(line, at), post))
            self.fans.mention(post.author, at, "status", post.id)
        return replace(
            self._truth(line, at, post.author, str(post.id), post),
            kind="mention",
            attachments=(line.attachment,) if line.attachment else (),
            exported=not ours,
        )

    def _play_comment(self, line: Line, at: datetime, told: Mapping[str, Truth]) -> Truth:
        if line.attachment is not None or (line.who is None and line.to is None):
            raise ValueError(f"{line.label}: a comment is words, and ours is `to` somebody's line")
        parent = line.to or line.under
        number = int(told[parent].native_id) if parent else 0
        answers = self.comments.get(number)
        post = answers.status if answers else self.statuses.get(number) or self._stranger(at)
        words, author = line.text or "", self.member(line.who)
        text = f"回复@{answers.author.name}:{words}" if answers else words
        said = Comment(self._new_id(at), at, author, post, text, words, answers)
        streams = self._streams_of(said)
        if not streams:
            raise ValueError(f"{line.label}: not under our post, nor to us, nor with @{self.brand}")
        post.comments += 1
        said.floor = post.comments
        self.comments[said.id] = said
        for stream in streams:
            file(self._streams[stream], Entry(said.id, self._visible_at(line, at), said))
        if CMT_MENTIONS in streams:
            self.fans.mention(author, at, "comment", said.id)
        truth = replace(
            self._truth(line, at, author, str(said.id), post),
            text=text,
            reply_to=_answered(said, ours=line.who is None),
        )
        if line.who is None and line.to is not None:
            return replace(truth, conversation=told[line.to].conversation)
        return truth

    def _play_direct(self, line: Line, at: datetime) -> Truth:
        if line.who is None:
            raise ValueError(f"{line.label}: no API tells our own direct messages")
        if line.attachment is not None and (line.attachment not in MEDIA or line.text):
            raise ValueError(
                f"{line.label}: the fan service pushes no {line.attachment}, or no words with it"
            )
        member = self.member(line.who)
        with self.lock:
            self._unread_direct += 1
            self.writes.heard[member.uid] = at
        native_id = self.fans.message(member, at, line.text or "", line.attachment, line.label)
        return Truth(
            label=line.label,
            platform=self.name,
            kind=line.kind,
            direction="inbound",
            native_id=native_id,
            author={"native_id": str(member.uid), "name": member.name, "handle": member.name},
            text=None if line.attachment else line.text,
            url=None,
            sent_at=_second(at),
            reply_to=None,
            conversation=f"direct:{member.uid}",
            attachments=(line.attachment,) if line.attachment else (),
        )

    def _withdraw(self, line: Line, told: Mapping[str, Truth]) -> Truth:
        if line.to is None or told[line.to].kind == "direct_message":
            raise ValueError(f"{line.label}: only posts and comments can be withdrawn")
        number = int(told[line.to].native_id)
        gone = self.comments.get(number) or self.statuses[number]
        gone.gone = True
        return replace(told[line.to], deleted=True)

    def _truth(
        self, line: Line, at: datetime, author: Member, native_id: str, post: Status
    ) -> Truth:
        return Truth(
            label=line.label,
            platform=self.name,
            kind=line.kind,
            direction="outbound" if line.who is None else "inbound",
            native_id=native_id,
            author={"native_id": str(author.uid), "name": author.name, "handle": author.name},
            text=line.text,
            url=f"https://weibo.com/{post.author.uid}/{post.id}",
            sent_at=_second(at),
            reply_to=None,
            conversation=f"{post.id}:{author.uid}",
            root=str(post.id),
        )

    def _stranger(self, at: datetime) -> Status:
        """A post that has nothing to do with us, for a comment that calls us there."""
        earlier = at - timedelta(hours=1)
        someone = self.member(Person(STRANGER, "路边的猫", "stray", 12))
        post = Status(self._new_id(earlier), earlier, someone, "周末去哪里玩？")
        self.statuses[post.id] = post
        return post

    def _streams_of(self, said: Comment) -> list[str]:
        if said.author is self.us:
            return [BY_ME]
        found = []
        if said.status.author is self.us or (said.answers and said.answers.author is self.us):
            found.append(TO_ME)
        if f"@{self.brand}" in said.words:
            found.append(CMT_MENTIONS)
        return found

    def _visible_at(self, line: Line, at: datetime) -> datetime | None:
        seconds = self.late.get(line.label)
        return None if seconds is None else at + timedelta(seconds=seconds)

    def _new_id(self, at: datetime) -> int:
        """By the formula, then 12 bits of this instance, then 10 that count inside the second."""
        second = int(at.timestamp())
        while self._in_second[second] >= 1024:
            second += 1
        count = self._in_second[second]
        self._in_second[second] += 1
        return (second - shapes.EPOCH) << 22 | (self.salt % 4096) << 10 | count

    # --- the API ------------------------------------------------------------------------------------

    def _lister(
        self, streams: tuple[str, ...], key: str, most: int
    ) -> Callable[[Request, re.Match[str]], Answer]:
        def listed(request: Request, match: re.Match[str]) -> Answer:
            entries = [entry for stream in streams for entry in self._streams[stream]]
            if len(streams) > 1:
                entries.sort(key=by_id)
            return self._page(request, entries, key, most)

        return listed

    def _page(self, request: Request, entries: list[Entry], key: str, most: int) -> Answer:
        try:
            return answer(page(request.query, entries, key, most, self.now(), self.history))
        except BadParameter as bad:
            return self.gate.error(request, bad.code, bad.words)

    def _unread(self, request: Request, match: re.Match[str]) -> Answer:
        if request.query.get("uid", str(self.uid)) != str(self.uid):
            return self.gate.error(request, 21335, "uid parameter must be the current user")
        now = self.now()
        counters: dict[str, Any] = dict.fromkeys(
            ("status", "follower", "group", "notice", "invite", "badge", "photo", "msgbox"), 0
        )
        for name, stream in (
            ("mention_status", MENTIONS),
            ("mention_cmt", CMT_MENTIONS),
            ("cmt", TO_ME),
        ):
            counters[name] = sum(
                1 for entry in self._streams[stream] if not entry.read and entry.visible(now)
            )
        return answer({**counters, "dm": self._unread_direct})


def _answered(said: Comment, *, ours: bool) -> str | None:
    """The comment before it; without one ours answers the post, and a customer's answers nothing."""
    if said.answers is not None:
        return str(said.answers.id)
    return str(said.status.id) if ours else None


def _second(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(microsecond=0)
