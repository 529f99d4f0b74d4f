"""What was listed and is not any more: nobody is told before Weibo, asked for it by its id, says the same.

Weibo tells of no withdrawal. A post is asked for singly and its error code is clear; of comments asked for
together the missing ones are those that we may no longer see, withdrawn or hidden: that is what is told.
Pages: https://open.weibo.com/wiki/2/statuses/show and https://open.weibo.com/wiki/2/comments/show_batch
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from aggregator.errors import RateLimited, Rejected, Unauthorized, Unavailable
from aggregator.model import Direction, Kind, Message
from connectors.base import Keep, Now
from connectors.payload import integer, items, mapping
from connectors.weibo.api import GONE, NO_COMMENT, NO_STATUS, Api, Refused
from connectors.weibo.messages import deleted
from connectors.weibo.share import Share

BATCH = 20
PAUSE_S = 3600.0  # where it cannot be asked: trouble here is none of the list's
SHOWN, DELETED, HIDDEN = "shown", "deleted", "hidden"
_ROW = "gone"
_MOST = 100
_RACES = 20


class Withdrawn:
    """Takes a call where the reader is `idle`, else, where it is `allowed`, one of its own `share`."""

    def __init__(
        self,
        api: Api,
        *,
        idle: Callable[[], bool],
        share: Share,
        allowed: Callable[[], bool],
        keep: Keep,
        now: Now,
    ) -> None:
        self._api = api
        self._idle = idle
        self._share = share
        self._allowed = allowed
        self._keep = keep
        self._now = now
        self._not_before: dict[str, float] = {}
        self._singly = False

    def look(self, kind: Kind, ids: Sequence[int]) -> dict[int, str]:
        """What became of some of `ids`, in one call: shown, deleted or hidden. Empty where nobody knows."""
        now = self._now().timestamp()
        if not ids or now < self._not_before.get(kind, 0.0):
            return {}
        if not self._idle() and not (self._share.take() and self._allowed()):
            return {}
        some = ids[: 1 if kind is Kind.MENTION or self._singly else BATCH]
        try:
            return self.asked(kind, some)
        except (Unavailable, Unauthorized, Rejected) as error:
            waits = error.retry_after_s if isinstance(error, RateLimited) else PAUSE_S
            self._not_before[kind] = now + max(waits, PAUSE_S)
            return {}

    def asked(self, kind: Kind, ids: Sequence[int]) -> dict[int, str]:
        """As `look`, whatever it costs. Raises as Api does."""
        try:
            if kind is Kind.MENTION:
                found = self._api.get("statuses/show", {"id": ids[0]})
                return {ids[0]: DELETED if deleted(mapping(found)) else SHOWN}
            answer = self._api.get("comments/show_batch", {"cids": ",".join(map(str, ids))})
        except Refused as error:
            if error.code not in GONE:
                raise
            self._singly = len(ids) > 1  # one of them is meant, and it does not say which
            return {} if self._singly else {ids[0]: DELETED}
        self._singly = False
        listed = answer if isinstance(answer, list) else mapping(answer).get("comments")
        if not isinstance(listed, list):
            raise Unavailable("no comments in Weibo's answer")
        states = dict.fromkeys(ids, HIDDEN)
        for one in map(mapping, items(listed)):
            id = integer(one.get("id")) or integer(one.get("idstr"))
            if id in states:
                states[id] = DELETED if deleted(one) else SHOWN
        return states

    # --- what an answer of ours came upon ---------------------------------------------------------

    def note(self, to: Message, code: int) -> Kind | None:
        """Weibo refused an answer to `to` as gone. Returns which of the two is, the post or the comment."""
        kind = {NO_STATUS: Kind.MENTION, NO_COMMENT: Kind.COMMENT}.get(code)
        native_id = to.root if kind is Kind.MENTION else to.native_id
        if kind is None or native_id is None or (kind is Kind.COMMENT and to.kind is not kind):
            return None
        self._change({f"{kind}:{native_id}": int(self._now().timestamp())})
        return kind

    def noted(self, kind: Kind, told: Sequence[str]) -> tuple[Message, ...]:
        """Tombstones for what answers came upon, until a cursor that is stored says that they were told."""
        row = self._row()
        if any(key in row for key in told):
            row = self._change({}, without=told)
        of_it = (key.partition(":") for key in row)
        return tuple(tombstone(kind, id, self._now()) for of, _, id in of_it if of == kind)

    def _change(self, more: Mapping[str, int], *, without: Sequence[str] = ()) -> dict[str, int]:
        row: dict[str, int] = {}
        for _ in range(_RACES):
            old = self._keep.get(_ROW)
            kept = {key: at for key, at in _read(old).items() if key not in without}
            row = dict(list((kept | dict(more)).items())[-_MOST:])
            if self._keep.swap(_ROW, old, json.dumps(row) if row else None):
                break
        return row

    def _row(self) -> dict[str, int]:
        return _read(self._keep.get(_ROW))


def tombstone(kind: Kind, native_id: str, at: datetime, *, hidden: bool = False) -> Message:
    """The mark `hidden` says that it is not shown to us any more, and not who took it away."""
    return Message(
        native_id=native_id,
        platform="weibo",
        kind=kind,
        direction=Direction.INBOUND,
        author=None,
        text=None,
        sent_at=None,
        deleted_at=at,
        marks=("hidden",) if hidden else (),
    )


def _read(text: str | None) -> dict[str, int]:
    try:
        told = mapping(json.loads(text or "{}"))
    except ValueError:
        return {}
    return {key: at for key, at in told.items() if type(at) is int}
