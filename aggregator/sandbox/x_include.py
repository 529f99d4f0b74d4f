"""What comes beside a list on the stand-in of X, and what is missing from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from aggregator.sandbox.x_objects import Media, Post, User
from aggregator.sandbox.x_query import REFERENCED


class Place(Protocol):
    now: Callable[[], datetime]
    users: dict[int, User]
    posts: dict[int, Post]
    protected: set[int]


@dataclass(slots=True)
class Includes:
    """Objects beside the data, each once, in the order met."""

    users: dict[int, User] = field(default_factory=dict)
    posts: dict[int, Post] = field(default_factory=dict)
    media: dict[str, Media] = field(default_factory=dict)


def may_be_seen(place: Place, post: Post) -> bool:
    hidden = post.deleted or post.author.id in place.protected
    return not hidden and post.seen_from <= place.now()


def include_post(
    place: Place,
    post: Post,
    expansions: frozenset[str],
    into: Includes,
    errors: list[dict[str, Any]],
) -> None:
    if "author_id" in expansions:
        into.users.setdefault(post.author.id, post.author)
    if "attachments.media_keys" in expansions:
        into.media.update((media.key, media) for media in post.words.media)
    if "entities.mentions.username" in expansions:
        for user in place.users.values():
            if f"@{user.handle.lower()}" in post.words.text.lower():
                into.users.setdefault(user.id, user)
    if "in_reply_to_user_id" in expansions and post.reply_to is not None:
        into.users.setdefault(post.reply_to.author.id, post.reply_to.author)
    for _, other in post.references:
        if expansions & REFERENCED:
            if may_be_seen(place, other):
                into.posts.setdefault(other.id, other)
            else:
                errors.append(missing(place, str(other.id), "referenced_tweets.id"))
        if "referenced_tweets.id.author_id" in expansions:
            into.users.setdefault(other.author.id, other.author)


def missing(place: Place, id_: str, parameter: str, kind: str = "tweet") -> dict[str, Any]:
    """A part of an answer that is not there: a deleted post, or one that we may not see."""
    post = place.posts.get(int(id_))
    hidden = post is not None and not post.deleted and post.author.id in place.protected
    tail = "not-authorized-for-resource" if hidden else "resource-not-found"
    title = "Authorization Error" if hidden else "Not Found Error"
    why = "Sorry, you are not authorized to see the" if hidden else "Could not find"
    return {
        "value": id_,
        "detail": f"{why} {kind} with {parameter}: [{id_}].",
        "title": title,
        "resource_type": kind,
        "parameter": parameter,
        "resource_id": id_,
        "type": f"https://api.twitter.com/2/problems/{tail}",
    }
