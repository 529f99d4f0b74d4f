"""Edits, hiding and deletions, where only a list shows them: what it said last time is compared with now.

Graph tells no time of an edit and lists no deletions. So the newest entries of a list are remembered with a digest of
their words; one that is missing from between its neighbours is asked for by its id, and only if that is refused
as gone it is withdrawn.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from aggregator.model import AS_OF, Direction, Kind, Message
from connectors.facebook.graph import PageGraph
from connectors.facebook.refusals import Forbidden, Missing

MOST = 60  # entries of one list
LAG = timedelta(seconds=5)  # a list may be so much behind what a webhook told
DOUBTS = 30  # that wait to be asked for; the rest is missed again at the next look

Known = dict[str, list[int]]  # native id → epoch milliseconds, digest of the words, 1 where hidden


@dataclass(frozen=True, slots=True)
class Compared:
    """`messages`: what is new or as it was, and new versions of what changed. `missing`: to be asked for."""

    messages: tuple[Message, ...]
    known: Known
    missing: tuple[str, ...]


def compare(
    known: Mapping[str, list[int]],
    found: Sequence[tuple[Message, bool]],
    *,
    whole: bool,
    at: datetime,
    most: int = MOST,
    pushed: bool = False,
) -> Compared:
    """`found`: the first page of a list that is newest first, each entry with whether it is hidden.

    `whole`: nothing comes after that page. `at`: the platform's clock. `pushed`: webhooks tell of the entries too,
    and what they told or lost is not known here, so that each entry says how it is now (AS_OF).
    """
    after: Known = {}
    messages: list[Message] = []
    for message, hidden in found:
        before = known.get(message.native_id)
        mark = zlib.crc32((message.text or "").encode("utf-8", "backslashreplace"))
        made = round(message.sent_at.timestamp() * 1000) if message.sent_at else 0
        after[message.native_id] = [made, mark, int(hidden)]
        if pushed:
            messages.append(_as_of(message, at - LAG, hidden=hidden, known=before is not None))
        else:
            messages += _versions(message, before, mark, hidden, at)
    times = [entry[0] for entry in after.values() if entry[0]]
    from_ms = 0 if whole else min(times, default=None)
    missing = [
        native_id
        for native_id, entry in known.items()
        if native_id not in after and from_ms is not None and entry[0] > from_ms
    ]
    kept = {**known, **after}
    newest = sorted(kept, key=lambda one: kept[one][0], reverse=True)[:most]
    return Compared(tuple(messages), {one: kept[one] for one in newest}, tuple(missing))


def _as_of(message: Message, at: datetime, *, hidden: bool, known: bool) -> Message:
    if not hidden:
        return replace(message, edited_at=at, restored_at=at, marks=(*message.marks, AS_OF))
    if known:
        return withdrawn(message, at, hidden=True)
    return replace(message, deleted_at=at, marks=(*message.marks, "hidden"))


def _versions(
    message: Message, before: Sequence[int] | None, mark: int, hidden: bool, at: datetime
) -> Iterable[Message]:
    was_hidden = before is not None and before[2] == 1
    changed = before is not None and before[1] != mark
    if changed:
        message = replace(message, edited_at=at)
    if was_hidden and not hidden:
        yield replace(message, restored_at=at)
    elif hidden and before is None:
        yield replace(message, deleted_at=at, marks=(*message.marks, "hidden"))
    elif hidden and not was_hidden:
        if changed:
            yield message
        yield withdrawn(message, at, hidden=True)
    else:
        yield message


def withdrawn(message: Message, at: datetime, *, hidden: bool = False) -> Message:
    """A tombstone: what is stored of the message stays."""
    return replace(
        message,
        text=None,
        attachments=(),
        quoted=None,
        edited_at=None,
        deleted_at=at,
        raw=b"",
        marks=("hidden",) if hidden else (),
    )


def doubted(
    waiting: Sequence[tuple[str, str]], of: str, missing: Iterable[str]
) -> tuple[tuple[str, str], ...]:
    """What waits to be asked for, with what is missing of a list now: each with the list's name."""
    return tuple(dict.fromkeys([*waiting, *((of, one) for one in missing)]))[:DOUBTS]


def verify(
    graph: PageGraph,
    native_id: str,
    *,
    kind: Kind,
    root: str | None,
    platform: str = "facebook",
) -> Message | None:
    """Ask for what is missing from a list: a tombstone if it is gone."""
    try:
        graph.get_object(native_id, fields="id")
    except Missing:
        pass
    except Forbidden:
        return None
    else:
        return None
    return Message(
        native_id=native_id,
        platform=platform,
        kind=kind,
        direction=Direction.INBOUND,
        author=None,
        text=None,
        sent_at=None,
        root=root,
        deleted_at=graph.at,
    )
