"""The platform's cursor, and until when everything before it is known to have been read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from aggregator.model import Gap, Message
from connectors.payload import integer, mapping

HORIZON = timedelta(days=3)  # older ones the platform does not hand over any more
COARSE = timedelta(minutes=10)  # an idle account's cursor is not written anew with every poll


@dataclass(frozen=True, slots=True)
class Cursor:
    """`text`: the platform's word, None at the very beginning. `seen`: when there was nothing left to read."""

    text: str | None = None
    seen: datetime | None = None

    @classmethod
    def read(cls, stored: str | None) -> Cursor:
        """What was stored: ours, or the platform's word alone."""
        if not stored or not stored.startswith("{"):
            return cls(stored or None)
        try:
            told = mapping(json.loads(stored))
        except ValueError:
            return cls(stored)
        text, seen = told.get("cursor"), integer(told.get("seen"))
        if not isinstance(text, str) or not text:
            return cls()
        return cls(text, datetime.fromtimestamp(seen, UTC) if 0 < seen < 2**33 else None)

    def told(self) -> str | None:
        if self.text is None:
            return None
        seen = int(self.seen.timestamp()) if self.seen else None
        return json.dumps({"cursor": self.text, "seen": seen})

    def lost(self, now: datetime, *, refused: bool) -> tuple[Gap, ...]:
        """What can no longer be read. A refused cursor alone loses nothing: the three days come anew."""
        if self.text is None or (self.seen is None and not refused):
            return ()
        oldest = now - HORIZON
        if self.seen is not None and self.seen >= oldest:
            return ()
        why = "WeCom hands over three days only, and the last reading lies further back"
        return (Gap(self.seen, oldest, why, recoverable=False),)

    def after(
        self, following: str | None, messages: Iterable[Message], now: datetime, *, more: bool
    ) -> Cursor:
        """The cursor once a page is stored. While there is more, what is read reaches to its last message."""
        if more:
            times = [one.sent_at for one in messages if one.sent_at is not None]
            newest = max([now - HORIZON, *([self.seen] if self.seen else []), *times])
            return Cursor(following, min(newest, now))
        if following == self.text and self.seen is not None and now - COARSE < self.seen <= now:
            return self
        return replace(self, text=following, seen=now)
