"""The activity stream: X tells within a second that there is something new, where a poll would come to it later.

Optional (`activity` among the `streams`), since X bills each event, and the post or message once more when it
is polled. It only wakes the polls: X tells of no implicit mention and no protected account, and of nothing that
happens while nobody is connected. Page: https://docs.x.com/x-api/activity/activity-stream
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from aggregator.errors import Unauthorized
from aggregator.http import Http, body
from connectors.base import Now
from connectors.payload import items, mapping
from connectors.x.client import BASE_URL, Client
from connectors.x.prices import Ledger
from connectors.x.refusals import Denied, judge

NAME = "activity"
EVENTS = {  # which stream brings what an event tells of, and what X charges for the telling
    "post.mention.create": ("mentions", "activity.post"),
    "post.reply.create": ("mentions", "activity.post"),
    "post.quote.create": ("mentions", "activity.post"),
    "post.create": ("own_posts", "activity.post"),
    "dm.received": ("direct_messages", "activity.dm_event"),
    "dm.sent": ("direct_messages", None),
}
APART = {"direct_messages": timedelta(minutes=1)}  # 15 calls in 15 minutes are all there are
APART_ELSE = timedelta(seconds=5)
SILENCE_S = 60.0  # X sends an empty line now and then; without one, nobody is there any more
REMEDY = (
    "put the Bearer Token of the X developer console (your app, Keys and tokens) into bearer_token"
)


class Activity:
    def __init__(
        self,
        *,
        client: Client,
        ledger: Ledger,
        streams: Iterable[str],
        bearer: str,
        base_url: str | None,
        now: Now,
    ) -> None:
        wanted = frozenset(streams)
        self._events = [event for event, (stream, _) in EVENTS.items() if stream in wanted]
        self._client = client
        self._ledger = ledger
        self._headers = {"Authorization": f"Bearer {bearer}"}
        self._base = base_url or BASE_URL
        self._now = now
        self._http = Http(on_response=lambda answer: judge(answer, now(), oauth2=False))

    def listen(self) -> Iterator[str | None]:
        """Subscribe to what is not subscribed to; then as connectors.base.Listens has it.

        Raises RateLimited until 00:00 UTC where the day's budget is used up.
        """
        self._afford()
        try:
            self._subscribe()
            yield from self._woken()
        except Denied:
            raise
        except Unauthorized as error:
            raise Unauthorized(error.reason, remedy=REMEDY) from error

    def _subscribe(self) -> None:
        url = f"{self._base}/2/activity/subscriptions"
        told = mapping(
            body(self._http.get(url, params={"max_results": 100}, headers=self._headers))
        )
        known = {
            mapping(one).get("event_type") for one in items(told.get("data")) if self._ours(one)
        }
        for event in self._events:
            if event not in known:
                self._client.subscribe(event)

    def _ours(self, raw: Any) -> bool:
        return mapping(mapping(raw).get("filter")).get("user_id") == self._client.user_id

    def _woken(self) -> Iterator[str | None]:
        turns = _Turns()
        url = f"{self._base}/2/activity/stream"
        for line in self._http.lines(url, headers=self._headers, silence_s=SILENCE_S):
            data = _data(line)
            stream, kind = EVENTS.get(str(data.get("event_type")), (None, None))
            if stream is not None and self._ours(data):
                turns.ask(stream)
                if kind is not None:
                    self._ledger.read(NAME, kind, [{"id": data.get("event_uuid")}], {})
                    self._afford()
            yield from turns.due(self._now())
            yield None

    def _afford(self) -> None:
        self._ledger.size(NAME, 1, least=1, kind="activity.dm_event")


class _Turns:
    """Which streams to wake: each at once, and not again before its time."""

    def __init__(self) -> None:
        self._asked: dict[str, None] = {}
        self._last: dict[str, datetime] = {}

    def ask(self, stream: str) -> None:
        self._asked[stream] = None

    def due(self, now: datetime) -> list[str]:
        ready = [one for one in self._asked if self._is_free(one, now)]
        for one in ready:
            del self._asked[one]
            self._last[one] = now
        return ready

    def _is_free(self, stream: str, now: datetime) -> bool:
        last = self._last.get(stream)
        return last is None or now - last >= APART.get(stream, APART_ELSE)


def _data(line: bytes) -> dict[str, Any]:
    """The event in a line, as JSON or as a server-sent event; an empty one for anything else."""
    try:
        return mapping(mapping(json.loads(line.removeprefix(b"data:"))).get("data"))
    except (ValueError, RecursionError):
        return {}
