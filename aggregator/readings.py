"""Two readings of one message: which says more, and what is left of the marks of the first. Pure."""

from __future__ import annotations

from dataclasses import replace

from aggregator.model import AS_OF, UNDELIVERED, Message, Seen


def newer(first: Message, second: Message) -> Message:
    """Of two readings of one message, the one that says more: a deletion, then the later edit."""
    if second.deleted_at is not None:
        return second if second.text is not None else _ended(first, second)
    if first.deleted_at is not None and second.restored_at is None:
        return _ended(second, first) if bare(first) else first
    if second.edited_at is not None and (
        first.edited_at is None or second.edited_at > first.edited_at
    ):
        return second
    return first


def as_it_is(message: Message, before: Seen | None) -> Message:
    """A reading of a list that tells no edits (AS_OF): one only where the words are others than those stored."""
    if AS_OF not in message.marks:
        return message
    same = before is None or message.text == before.text
    return replace(
        message,
        edited_at=None if same else message.edited_at,
        restored_at=message.restored_at if before and before.deleted_at else None,
        marks=tuple(one for one in message.marks if one != AS_OF),
    )


def bare(message: Message) -> bool:
    """Whether it only tells that the message is gone, and nothing of what it was."""
    return message.deleted_at is not None and message.text is None and not message.attachments


def marks(before: Seen, message: Message) -> tuple[str, ...]:
    """What is odd of a message after another reading of it: an end adds to what was odd before, other words
    replace it, and one that is back has nothing of its end left."""
    kept = before.marks
    if message.deleted_at is None:
        if message.text is not None or message.attachments:
            return message.marks
        kept = tuple(one for one in kept if one != "hidden" and not one.startswith(UNDELIVERED))
    return tuple(dict.fromkeys((*kept, *message.marks)))


def _ended(message: Message, end: Message) -> Message:
    """The message with the end that a tombstone tells."""
    both = tuple(dict.fromkeys((*message.marks, *end.marks)))
    return replace(message, deleted_at=end.deleted_at, marks=both)
