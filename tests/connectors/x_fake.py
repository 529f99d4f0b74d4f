"""A small X in memory, for the tests of walks and refusals."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from aggregator.model import Gap, Message
from aggregator.sandbox.base import Answer, Fault, Request, Standin, answer
from connectors.base import Keep
from connectors.x import X, XOptions

NOW = datetime(2026, 11, 21, 4, 0, tzinfo=UTC)
ME = "880000000000000001"
KEYS = {
    "consumer_key": "ck-9f1",
    "consumer_secret": "cs-very-secret",
    "access_token": "880000000000000001-at",
    "access_token_secret": "ats-very-secret",
}
PROBLEM = "https://api.twitter.com/2/problems/"


def sid(at: datetime, n: int = 0) -> int:
    return (int(at.timestamp() * 1000) - 1288834974657 << 22) + n


def made(id_: int) -> datetime:
    return datetime.fromtimestamp(((id_ >> 22) + 1288834974657) / 1000, UTC)


class FakeX(Standin):
    """A timeline and an inbox in memory, with the bounds that X puts on a question."""

    def __init__(self) -> None:
        super().__init__(lambda: self.clock)
        self.clock = NOW
        self.posts: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.asked: list[dict[str, str]] = []
        self.oldest_since = 0
        self.page_limit = 100
        self.kept: int | None = None  # of a timeline: what lies deeper is not there
        self.dead_tokens = False
        self.access = "read-write-directmessages"
        self.authorizations: list[tuple[str, Request]] = []
        self.route("GET", r"/2/users/me", self._me)
        self.route("GET", r"/2/users", self._users)
        self.route("GET", r"/2/users/\d+/(mentions|tweets)", self._timeline)
        self.route("GET", r"/2/dm_events", self._dm_events)

    def post(self, at: datetime, text: str, n: int = 0, **more: Any) -> str:
        made = str(sid(at, n))
        raw = {
            "id": made,
            "edit_history_tweet_ids": [made],
            "author_id": "710001",
            "created_at": at.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "conversation_id": made,
            "text": text,
            **more,
        }
        self.posts.append(raw)
        return made

    def direct(self, at: datetime, text: str, n: int = 0) -> str:
        made = str(sid(at, n))
        self.events.append(
            {
                "id": made,
                "event_type": "MessageCreate",
                "text": text,
                "created_at": at.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
                "sender_id": "710001",
                "dm_conversation_id": f"710001-{ME}",
            }
        )
        return made

    def headers(self, request: Request, given: Answer) -> dict[str, str]:
        return {"x-access-level": self.access}

    def _me(self, request: Request, _: Any) -> Answer:
        self.authorizations.append((request.headers.get("authorization", ""), request))
        return answer({"data": {"id": ME, "name": "艾克美", "username": "acme_cn"}})

    def _users(self, request: Request, _: Any) -> Answer:
        ids = request.query["ids"].split(",")
        return answer({"data": [{"id": one, "name": "老王", "username": "wang"} for one in ids]})

    def _timeline(self, request: Request, _: Any) -> Answer:
        query = request.query
        self.asked.append(dict(query))
        self.authorizations.append((request.headers.get("authorization", ""), request))
        if "since_id" in query and "start_time" in query:
            return problem("choose one of 'since_id' and 'start_time'")
        if int(query.get("since_id", 0)) < self.oldest_since and "since_id" in query:
            return problem(
                f"'since_id' must be a tweet id created after [{made(self.oldest_since):%Y-%m-%dT%H:%MZ}]."
                f" Please use a 'since_id' that is larger than {self.oldest_since}"
            )
        start = datetime.fromisoformat(query.get("start_time", "2010-11-06T00:00:00Z"))
        below = int(query.get("until_id", 2**63))
        found = [
            raw
            for raw in sorted(self.posts, key=lambda raw: -int(raw["id"]))[: self.kept]
            if int(query.get("since_id", 0)) < int(raw["id"]) < below
            and datetime.fromisoformat(raw["created_at"]) >= start
        ]
        return self._page(found, query)

    def _dm_events(self, request: Request, _: Any) -> Answer:
        self.asked.append(dict(request.query))
        return self._page(sorted(self.events, key=_shown), request.query)

    def _page(self, found: list[Any], query: Any) -> Answer:
        token = query.get("pagination_token")
        if token and self.dead_tokens:
            self.dead_tokens = False
            return problem("Invalid 'pagination_token': it has expired")
        if token:  # the next page starts below what the last one ended with, whatever came since
            found = [
                raw for raw in found if int(raw["id"]) < int(token.removeprefix("7140dibdnow9-"))
            ]
        size = min(int(query["max_results"]), self.page_limit)
        shown = found[:size]
        meta: dict[str, Any] = {"result_count": len(shown)}
        if len(found) > size:
            meta["next_token"] = f"7140dibdnow9-{-_shown(shown[-1])}"
        return answer({"meta": meta, **({"data": shown} if shown else {})})


def _shown(raw: dict[str, Any]) -> int:
    """What lists are in order of: the id, but for one that a test puts elsewhere."""
    return -int(raw.get("shown_as", raw["id"]))


def problem(message: str) -> Answer:
    told = {
        "errors": [{"message": message, "parameters": {}}],
        "title": "Invalid Request",
        "detail": "One or more parameters to your request was invalid.",
        "type": PROBLEM + "invalid-request",
    }
    return answer(told, 400)


class NoKeep:
    def get(self, key: str) -> str | None:
        return None

    def swap(self, key: str, old: str | None, new: str | None) -> bool:
        return True


def connect(x: FakeX, *, keep: Keep | None = None, **more: Any) -> X:
    options = XOptions.model_validate({"user_id": ME, "base_url": x.base_url, **KEYS, **more})
    return X(options, keep=keep or NoKeep(), now=lambda: x.clock)


def begin(x: FakeX, stream: str) -> str | None:
    """The cursor after a first poll that found nothing new, two hours before now."""
    now, x.clock = x.clock, x.clock - timedelta(hours=2)
    _, cursor = walk(x, stream, None)
    x.clock = now
    x.asked.clear()
    return cursor


def history(x: FakeX, stream: str, limit: int = 60) -> list[Message]:
    """Everything that the backfill brings; each page by a new connector."""
    found: list[Message] = []
    cursor: str | None = None
    for _ in range(limit):
        page = connect(x).backfill(stream, cursor)
        found += page.messages
        cursor = page.cursor
        if not page.more:
            return found
    raise AssertionError("the backfill does not end")


def walk(
    x: FakeX,
    stream: str,
    cursor: str | None,
    limit: int = 60,
    gaps: list[Gap] | None = None,
    **more: Any,
) -> tuple[list[Message], str | None]:
    """Poll until there is no more; every poll by a new connector, as after a restart."""
    found: list[Message] = []
    for _ in range(limit):
        page = connect(x, **more).poll(stream, cursor)
        found += page.messages
        if gaps is not None:
            gaps += page.gaps
        cursor = page.cursor
        if not page.more:
            return found, cursor
    raise AssertionError("the walk does not end")


def told(status: int, value: Any, **headers: str) -> Fault:
    given = answer(value)
    return Fault(
        "status",
        status=status,
        body=given.body,
        headers={name.replace("_", "-"): text for name, text in headers.items()},
    )


def until(seconds: float) -> str:
    return str(int(NOW.timestamp() + seconds))
