"""The query of a read on the stand-in of X: which parameters there are, and what each may be."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from aggregator.sandbox.wire import Request
from aggregator.sandbox.x_auth import invalid
from aggregator.sandbox.x_objects import Post, Shape, escaped

EARLIEST = datetime(2010, 11, 6, tzinfo=UTC)
TERM = re.compile(r'\([^)]*\)|-?"[^"]*"|\S+')
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", re.ASCII)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


POST_FIELDS = _words(
    """article attachments author_id card_uri community_id context_annotations conversation_id
    created_at display_text_range edit_controls edit_history_tweet_ids entities geo id
    in_reply_to_user_id lang media_metadata non_public_metrics note_tweet organic_metrics
    possibly_sensitive promoted_metrics public_metrics referenced_tweets reply_settings scopes
    source suggested_source_links suggested_source_links_with_counts text withheld
    edit_history_post_ids note_post referenced_posts"""
)
FIELD_LISTS = {
    "tweet.fields": POST_FIELDS,
    "post.fields": POST_FIELDS,
    "user.fields": _words(
        """affiliation confirmed_email connection_status created_at description entities id
        is_identity_verified location most_recent_tweet_id name parody pinned_tweet_id
        profile_banner_url profile_image_url protected public_metrics receives_your_dm subscription
        subscription_type url username verified verified_followers_count verified_type withheld"""
    ),
    "media.fields": _words(
        """alt_text duration_ms height media_key non_public_metrics organic_metrics
        preview_image_url promoted_metrics public_metrics type url variants width"""
    ),
    "poll.fields": _words("duration_minutes end_datetime id options voting_status"),
    "place.fields": _words(
        "contained_within country country_code full_name geo id name place_type"
    ),
}
DM_FIELDS = _words(
    """attachments created_at dm_conversation_id entities event_type id participant_ids
    referenced_tweets referenced_posts sender_id text"""
)
POST_EXPANSIONS = _words(
    """article.cover_media article.media_entities attachments.media_keys
    attachments.media_source_tweet attachments.poll_ids author_id edit_history_tweet_ids
    entities.mentions.username geo.place_id in_reply_to_user_id entities.note.mentions.username
    referenced_tweets.id referenced_tweets.id.attachments.media_keys
    referenced_tweets.id.author_id referenced_posts referenced_posts.id"""
)
REFERENCED = _words("referenced_tweets.id referenced_posts referenced_posts.id")
EVENT_EXPANSIONS = _words(
    "attachments.media_keys participant_ids referenced_tweets.id referenced_posts sender_id"
)
EVENT_TYPES = _words("MessageCreate ParticipantsJoin ParticipantsLeave")


@dataclass(frozen=True, slots=True)
class Asked:
    """The query of one read, checked."""

    shape: Shape
    expansions: frozenset[str]
    max_results: int
    since_id: int
    until_id: int | None
    start: datetime | None
    end: datetime | None
    token: str | None


def asked_of(
    request: Request, shape: Shape, expansions: frozenset[str], size: int, token: str | None
) -> Asked:
    since, until = id_of(request, "since_id"), id_of(request, "until_id")
    start, end = time_of(request, "start_time"), time_of(request, "end_time")
    if since is not None and start is not None:
        raise invalid("'since_id' and 'start_time' exclude each other", since_id=str(since))
    if since is not None and until is not None and since >= until:
        raise invalid("'since_id' must be smaller than 'until_id'", since_id=str(since))
    if start is not None and end is not None and start >= end:
        raise invalid("'start_time' must be before 'end_time'", start_time=start.isoformat())
    return Asked(shape, expansions, size, since or 0, until, start, end, token)


def size_of(request: Request, least: int, most: int, default: int) -> int:
    given = request.query.get("max_results", str(default))
    if not re.fullmatch(r"[0-9]{1,4}", given) or not least <= int(given) <= most:
        raise invalid(
            f"The `max_results` query parameter value [{given}] is not between {least} and {most}",
            max_results=given,
        )
    return int(given)


def known(request: Request, names: Iterable[str]) -> None:
    allowed = set(names)
    for name, value in request.query.items():
        if name not in allowed:
            raise invalid(
                f"The query parameter [{name}] is not one of [{','.join(sorted(allowed))}]",
                **{name: value},
            )


def listed(request: Request, name: str, words: frozenset[str]) -> frozenset[str]:
    given = request.query.get(name)
    if given is None:
        return frozenset()
    values = frozenset(given.split(","))
    if unknown := values - words:
        raise invalid(
            f"The `{name}` query parameter value [{min(unknown)}] is not one of [{','.join(sorted(words))}]",
            **{name: given},
        )
    return values


def id_of(request: Request, name: str) -> int | None:
    given = request.query.get(name)
    if given is None:
        return None
    if not re.fullmatch(r"[0-9]{1,19}", given):
        raise invalid(f"The `{name}` query parameter value [{given}] is not valid", **{name: given})
    return int(given)


def time_of(request: Request, name: str) -> datetime | None:
    given = request.query.get(name)
    if given is None:
        return None
    try:
        if not TIME.fullmatch(given):
            raise ValueError(given)
        then = datetime.fromisoformat(given)
    except ValueError:
        then = EARLIEST - timedelta(days=1)
    if then < EARLIEST:
        raise invalid(f"The `{name}` query parameter value [{given}] is not valid", **{name: given})
    return then


def within(asked: Asked, posts: Iterable[Post]) -> list[Post]:
    """start_time is inclusive, the other three bounds are not."""
    return [
        post
        for post in posts
        if post.id > asked.since_id
        and (asked.until_id is None or post.id < asked.until_id)
        and (asked.start is None or post.at >= asked.start)
        and (asked.end is None or post.at < asked.end)
    ]


def matches(post: Post, query: str) -> bool:
    """Words, "phrases", @handles, from:, to: (handle or id), is:reply, a minus before any, (this OR that)."""
    return _all(post, TERM.findall(query.lower()))


def _all(post: Post, terms: list[str]) -> bool:
    for term in terms:
        if term.startswith("("):
            parts = re.split(r"\s+or\s+", term[1:-1])
            hit = any(_all(post, TERM.findall(part)) for part in parts)
        else:
            hit = _hit(post, term.removeprefix("-")) != term.startswith("-")
        if not hit:
            return False
    return True


def _hit(post: Post, term: str) -> bool:
    parent = post.reply_to
    text = post.words.text.lower()
    name, _, value = term.partition(":")
    if name == "from":
        return value in (post.author.handle.lower(), str(post.author.id))
    if name == "to":
        return parent is not None and value in (parent.author.handle.lower(), str(parent.author.id))
    if name == "is":
        return value == "reply" and parent is not None
    bare = term.strip('"')
    return bare in text or escaped(bare) in text
