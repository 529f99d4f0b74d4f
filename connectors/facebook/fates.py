"""What became of messages, as webhooks told it: remembered, since their order is nowhere promised.

A deletion may come before the message, an older hiding after the unhiding. Nothing else would ever say so again, and
so the latest word of each is kept for a while, in a row that replicas share.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from aggregator.model import Message
from connectors.base import Keep
from connectors.payload import mapping

KEY = "fates"
MOST = 400  # a message and its end come within minutes of each other; at the worst within a day and a half
GONE, HIDDEN, SHOWN = "gone", "hidden", "shown"
_RACES = 8

Fates = dict[
    str, tuple[int, str]
]  # key of the message → epoch milliseconds of the event, what it said


def remembered(keep: Keep, messages: Sequence[Message]) -> tuple[Message, ...]:
    """The messages, in the order that they are true in, by what was told of them before; and what they tell."""
    fates = _read(keep.get(KEY))
    if told := dict(_told(messages)):
        _remember(keep, told)
    return tuple(one for message in messages for one in _as_it_is(message, fates))


def unsent(keep: Keep, messages: Iterable[Message]) -> tuple[Message, ...]:
    """Messages of a list that was read before, or while, some of them were taken back."""
    fates = _read(keep.get(KEY))
    gone = {key: fate for key, fate in fates.items() if fate[1] == GONE}
    return tuple(one for message in messages for one in _as_it_is(message, gone))


def _told(messages: Iterable[Message]) -> Iterator[tuple[str, tuple[int, str]]]:
    latest: Fates = {}
    for message in messages:
        if message.deleted_at is not None and message.text is None:
            fate = _ms(message.deleted_at), HIDDEN if "hidden" in message.marks else GONE
        elif message.restored_at is not None:
            fate = _ms(message.restored_at), SHOWN
        else:
            continue
        if fate[0] >= latest.get(message.key, (0, ""))[0]:
            latest[message.key] = fate
    yield from latest.items()


def _remember(keep: Keep, told: Fates) -> None:
    for _ in range(_RACES):
        before = keep.get(KEY)
        known = _read(before)
        fates = known | {
            key: fate for key, fate in told.items() if fate[0] >= known.get(key, (0, ""))[0]
        }
        newest = sorted(fates, key=lambda key: fates[key][0], reverse=True)[:MOST]
        kept = {key: fates[key] for key in newest}
        if kept == known or keep.swap(KEY, before, json.dumps(kept, separators=(",", ":"))):
            return


def _as_it_is(message: Message, fates: Mapping[str, tuple[int, str]]) -> Iterator[Message]:
    ms, fate = fates.get(message.key, (0, SHOWN))
    if message.restored_at is not None:
        if fate == SHOWN or _ms(message.restored_at) > ms:
            yield message
        elif message.text is not None:  # its words are good, whatever is shown of them
            yield _ended(message, ms, fate)
    elif message.deleted_at is not None:
        if fate != SHOWN or _ms(message.deleted_at) > ms:
            yield message
    elif fate != SHOWN and _happened_ms(message) <= ms:
        yield _ended(message, ms, fate)
    else:
        yield message


def _ended(message: Message, ms: int, fate: str) -> Message:
    return replace(
        message,
        deleted_at=datetime.fromtimestamp(ms / 1000, UTC),
        restored_at=None,
        marks=(*message.marks, "hidden") if fate == HIDDEN else message.marks,
    )


def _happened_ms(message: Message) -> int:
    at = message.edited_at or message.sent_at
    return _ms(at) if at is not None else 0


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def _read(raw: str | None) -> Fates:
    try:
        told: dict[str, Any] = mapping(json.loads(raw)) if raw else {}
        return {key: (int(ms), str(fate)) for key, (ms, fate) in told.items()}
    except (ValueError, TypeError):
        return {}
