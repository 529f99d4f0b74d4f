"""What we wrote without a name beside it: then the account itself is the author."""

from __future__ import annotations

from dataclasses import replace

from aggregator.model import Author, Direction, Message


def ours(message: Message, account: str) -> Message:
    """The message; one of ours for which the platform names no colleague is the account's own."""
    if message.direction is Direction.INBOUND or message.author is not None:
        return message
    return replace(message, author=Author(native_id=account))
