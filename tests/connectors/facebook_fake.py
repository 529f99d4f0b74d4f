"""A small Page in memory, for the tests of walks and refusals."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from aggregator.model import Message
from aggregator.sandbox.base import Answer, Fault, Request, Standin, answer
from connectors.base import Keep
from connectors.facebook import Facebook, FacebookOptions

NOW = datetime(2026, 11, 21, 4, 0, tzinfo=UTC)
PAGE = "104000000000777"
TOKEN = "EAABsbCS1iHgBOZCpage0token0never0shown"
SECRET = "c0ffee0app0secret"
ORDER = {"feed": "made", "tagged": "tagged_time", "ratings": "created_time"}


def wire(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S+0000")


class FakeGraph(Standin):
    """A Page in memory: lists newest first, positions that name an entry, `next` URLs with the token."""

    def __init__(self) -> None:
        super().__init__(lambda: self.clock)
        self.clock = NOW
        self.lists: dict[str, list[dict[str, Any]]] = {
            "feed": [],
            "tagged": [],
            "ratings": [],
            "conversations": [],
        }
        self.comments: dict[str, list[dict[str, Any]]] = {}
        self.threads: dict[str, list[dict[str, Any]]] = {}
        self.page_limit = 100
        self.inside_limit = 20
        self.empty_pages = False
        self.dead_positions = 0
        self.refused: dict[str, tuple[int, str]] = {}
        self.me = PAGE
        self.objects: dict[str, dict[str, Any]] = {}
        self.asked: list[Request] = []
        self.on_conversations: Callable[[], None] | None = None
        self.route("GET", r"/v26\.0/me", lambda r, _: answer({"id": self.me, "name": "Acme 香港"}))
        self.route("GET", r"/v26\.0/debug_token", self._debug)
        self.route("GET", r"/v26\.0/([^/]+)/(\w+)", self._edge)
        self.route("GET", r"/v26\.0/([^/]+)", self._object)

    def handle(self, request: Request) -> Answer:
        self.asked.append(request)
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return error(190, "Malformed access token " + TOKEN)
        proof = hmac.digest(SECRET.encode(), TOKEN.encode(), hashlib.sha256).hex()
        if request.query.get("appsecret_proof") != proof:
            return error(100, "API calls from the server require an appsecret_proof argument")
        return super().handle(request)

    def post(self, at: datetime, text: str, *, ours: bool = False, edge: str = "feed") -> str:
        number = int(at.timestamp())
        post_id = f"{PAGE}_{number}" if edge == "feed" else f"7100000000000009_{number}"
        who = {"id": PAGE, "name": "Acme 香港"} if ours else {"id": "71", "name": "陈美玲"}
        raw = {
            "id": post_id,
            "from": who,
            "message": text,
            "created_time": wire(at),
            "made": wire(at),
        }
        self.lists[edge].append({**raw, "updated_time": wire(at), "tagged_time": wire(at)})
        return post_id

    def comment(
        self, post_id: str, at: datetime, text: str, *, moves: bool = True, n: int = 0
    ) -> str:
        native_id = f"{post_id.split('_')[-1]}_{int(at.timestamp())}{n}"
        made = {"id": native_id, "from": {"id": "72", "name": "Omar"}, "message": text}
        self.comments.setdefault(post_id, []).append({**made, "created_time": wire(at)})
        for raw in [*self.lists["feed"], *self.lists["tagged"]]:
            if raw["id"] == post_id and moves:
                raw["updated_time"] = wire(at)
        return native_id

    def letter(self, person: str, at: datetime, text: str, n: int = 0) -> str:
        native_id = f"{person}-{int(at.timestamp())}-{n}"
        thread_id = f"t_{person}"
        raw = {"id": f"m_{native_id}", "from": {"id": person, "name": "由纪"}, "message": text}
        self.threads.setdefault(thread_id, []).append({**raw, "created_time": wire(at)})
        self.lists["conversations"] = [
            one for one in self.lists["conversations"] if one["id"] != thread_id
        ]
        people = {"data": [{"id": person, "name": "由纪"}, {"id": PAGE, "name": "Acme 香港"}]}
        self.lists["conversations"].append(
            {"id": thread_id, "updated_time": wire(at), "participants": people, "link": "/inbox/1"}
        )
        return native_id

    def _debug(self, request: Request, _: Any) -> Answer:
        assert request.query["input_token"] == TOKEN
        ends = int((NOW + timedelta(days=50)).timestamp())
        return answer({"data": {"is_valid": True, "expires_at": 0, "data_access_expires_at": ends}})

    def _object(self, request: Request, match: Any) -> Answer:
        found = self.objects.get(match.group(1))
        return answer(found) if found else error(100, "Unsupported get request", 33)

    def _edge(self, request: Request, match: Any) -> Answer:
        of, edge = match.groups()
        for key in (edge, f"{of}/{edge}"):
            if key in self.refused:
                return error(*self.refused[key])
        if self.dead_positions and "after" in request.query:
            self.dead_positions -= 1
            return error(100, "(#100) Invalid cursor: the object was deleted")
        if edge == "comments":
            assert request.query["filter"] == "stream"
            assert request.query["order"] == "reverse_chronological"
            rows, time = self.comments.get(of, []), "created_time"
        elif edge == "messages":
            rows, time = self.threads[of], "created_time"
        elif edge == "conversations":
            rows, time = self.lists[edge], "updated_time"
        else:
            rows, time = self.lists[edge], ORDER[edge]
        listed = self._list(rows, time, request, int(request.query["limit"]))
        if edge == "conversations":
            _, _, wanted = request.query["fields"].partition("messages.limit(")
            inside = int(wanted.split(")")[0] or 1)
            for row in listed["data"]:
                row["messages"] = self._list(
                    self.threads[row["id"]],
                    "created_time",
                    Request("GET", f"/v26.0/{row['id']}/messages", {}, "", {}, b"", ""),
                    min(inside, self.inside_limit),
                )
            if self.on_conversations is not None:
                hook, self.on_conversations = self.on_conversations, None
                hook()
        return answer(listed)

    def _list(
        self, rows: list[dict[str, Any]], time: str, request: Request, limit: int
    ) -> dict[str, Any]:
        rows = sorted(rows, key=lambda raw: (raw.get(time, ""), raw["id"]), reverse=True)
        after, was_empty = "", False
        if "after" in request.query:
            after, was_empty = json.loads(base64.urlsafe_b64decode(request.query["after"]))
            rows = [raw for raw in rows if raw.get(time, "") + "|" + raw["id"] < after]
        size = 0 if self.empty_pages and not was_empty else min(limit, self.page_limit)
        shown = [dict(raw) for raw in rows[:size]]
        told: dict[str, Any] = {"data": shown}
        if len(rows) > size:
            last = shown[-1].get(time, "") + "|" + shown[-1]["id"] if shown else after or "~"
            position = base64.urlsafe_b64encode(json.dumps([last, size == 0]).encode()).decode()
            told["paging"] = {
                "cursors": {"before": "QVFI", "after": position},
                "next": f"https://graph.facebook.com{request.path}?access_token={TOKEN}"
                f"&limit={limit}&after={position.replace('=', '%3D')}",
            }
        elif shown:
            told["paging"] = {"cursors": {"before": "QVFI", "after": "QVFJ"}}
        return told


def error(code: int, message: str, subcode: int | None = None, status: int = 400) -> Answer:
    told = {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "Abc"}
    return answer({"error": told | ({"error_subcode": subcode} if subcode else {})}, status)


def fault(given: Answer, **more: Any) -> Fault:
    return Fault("status", status=given.status, body=given.body, headers=given.headers, **more)


class NoKeep:
    def get(self, key: str) -> str | None:
        return None

    def swap(self, key: str, old: str | None, new: str | None) -> bool:
        return True


def connect(graph: FakeGraph, *, keep: Keep | None = None, **more: Any) -> Facebook:
    given = {
        "page_id": PAGE,
        "access_token": TOKEN,
        "app_secret": SECRET,
        "base_url": graph.base_url,
    }
    options = FacebookOptions.model_validate({**given, **more})
    return Facebook(options, keep=keep or NoKeep(), now=lambda: graph.clock)


def walk(
    graph: FakeGraph, stream: str, cursor: str | None, limit: int = 200
) -> tuple[list[Message], str | None]:
    """Poll until there is no more; every poll by a new connector, as after a restart.

    From no cursor: what is new, and then what was before.
    """
    found, after = go(graph, stream, cursor, limit)
    if cursor is not None:
        return found, after
    past = go(graph, stream, None, limit, history=True)[0]
    return list({message.key: message for message in (*past, *found)}.values()), after


def go(
    graph: FakeGraph, stream: str, cursor: str | None, limit: int = 200, *, history: bool = False
) -> tuple[list[Message], str | None]:
    found: list[Message] = []
    for _ in range(limit):
        account = connect(graph)
        page = (account.backfill if history else account.poll)(stream, cursor)
        found += page.messages
        cursor = page.cursor
        assert cursor is not None
        assert TOKEN not in cursor
        if not page.more:
            return found, cursor
    raise AssertionError("the walk does not end")


def ids(found: list[Message]) -> set[str]:
    return {message.native_id for message in found}
