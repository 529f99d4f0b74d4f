"""A post of X as a message. X renames its words from tweet to post: both are read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from aggregator.model import Attachment, Author, Direction, Kind, Message
from connectors.fields import digest, parse_time, raw_json
from connectors.payload import items, mapping, name, native, words
from connectors.x.ids import number, time_of

_ENTITY = re.compile("&(amp|lt|gt|quot|#39);")
_ENTITIES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "#39": "'"}
_NO_LANGUAGE = re.compile(
    r"(und|zxx|art|q[a-z]{2})\Z"
)  # X: undetermined, media only, hashtags only…
_MEDIA = {"photo": "image", "video": "video", "animated_gif": "image"}


class Includes:
    """What an answer carries beside its list: people, posts and media, by id."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self._users = _by(raw.get("users"), "id")
        self._posts = {**_by(raw.get("tweets"), "id"), **_by(raw.get("posts"), "id")}
        self._media = _by(raw.get("media"), "media_key")

    def author(self, user_id: str | None) -> Author | None:
        if user_id is None:
            return None
        user = self._users.get(user_id, {})
        followers = mapping(user.get("public_metrics")).get("followers_count")
        verified = user.get("verified")
        return Author(
            native_id=user_id,
            name=name(user.get("name")),
            handle=name(user.get("username")),
            followers=followers if type(followers) is int and 0 <= followers < 2**63 else None,
            verified=verified if isinstance(verified, bool) else None,
        )

    def post(self, post_id: str | None) -> dict[str, Any]:
        return self._posts.get(post_id or "", {})

    def media(self, key: str) -> dict[str, Any]:
        return self._media.get(key, {})


def post_message(raw: dict[str, Any], includes: Includes, *, me: str, ours: bool) -> Message:
    """`ours`: the post comes from our own timeline, so that it is ours even where no author is named."""
    marks: list[str] = []
    this, first = _ids(raw)
    if this is None or first is None:
        marks.append("id.missing")
        this = first = digest(raw)
    author_id = native(raw.get("author_id")) or (me if ours else None)
    if author_id is None:
        marks.append("author.missing")
    author = includes.author(author_id)
    direction = Direction.OUTBOUND if author_id == me else Direction.INBOUND

    changed = parse_time(raw.get("created_at"))
    if changed is None:
        marks.append("time.missing")
    sent, edited = changed, None
    if this != first:  # every edit is a post of its own; this one's time is the edit's
        made = number(first)
        when = time_of(made) if made else None
        sent = when.replace(microsecond=0) if when else changed  # as `created_at` said it then
        edited = changed

    reposted, quoted, answered = _references(raw)
    parent = _ids(includes.post(answered))[1] or answered
    addressee = native(raw.get("in_reply_to_user_id"))
    root = native(raw.get("conversation_id"))
    return Message(
        native_id=first,
        platform="x",
        kind=Kind.MENTION,
        direction=direction,
        author=author,
        text=None if reposted else post_text(raw, marks),
        sent_at=sent,
        root=first if root in (None, this) else root,
        person=author_id
        if direction is Direction.INBOUND
        else (addressee if addressee != me else None),
        reply_to=parent,
        lang=language(raw.get("lang")),
        url=post_url(author, this),
        edited_at=edited,
        attachments=tuple(attachments(raw, includes)),
        quoted=_quoted(reposted or quoted, includes, raw if reposted else {}, marks),
        raw=raw_json(raw),
        marks=tuple(marks),
    )


def post_text(raw: dict[str, Any], marks: list[str]) -> str | None:
    """The whole text, as it was written: a long post's `text` is cut, and X escapes & < >."""
    text = words(_note(raw).get("text") or raw.get("text"), marks)
    return None if text is None else unescaped(text)


def unescaped(text: str) -> str:
    """Once: what reads &lt; afterwards was written so."""
    return _ENTITY.sub(lambda match: _ENTITIES[match[1]], text)


def language(value: object) -> str | None:
    return None if not isinstance(value, str) or _NO_LANGUAGE.match(value) else name(value)


def post_url(author: Author | None, post_id: str) -> str:
    if author is not None and author.handle:
        return f"https://x.com/{author.handle}/status/{post_id}"
    return f"https://x.com/i/web/status/{post_id}"


def attachments(raw: dict[str, Any], includes: Includes) -> Iterator[Attachment]:
    """Media, polls, and the targets of the links in the text."""
    attached = mapping(raw.get("attachments"))
    for key in filter(None, map(native, items(attached.get("media_keys")))):
        media = includes.media(key)
        yield Attachment(
            kind=_MEDIA.get(str(media.get("type")), "unknown"),
            url=name(media.get("url")) or name(media.get("preview_image_url")),
            title=name(media.get("alt_text")) or (None if media else "media"),
            media_id=key,
        )
    for poll in filter(None, map(native, items(attached.get("poll_ids")))):
        yield Attachment("card", title="poll", media_id=poll)
    seen: set[str] = set()
    for entities in (_note(raw).get("entities"), raw.get("entities")):
        for link in map(mapping, items(mapping(entities).get("urls"))):
            target = name(link.get("unwound_url")) or name(link.get("expanded_url"))
            if target and target not in seen and "media_key" not in link:
                seen.add(target)
                yield Attachment("link", url=target, title=name(link.get("title")))


def _ids(raw: dict[str, Any]) -> tuple[str | None, str | None]:
    """The id of this version, and the first of the edit history: the one that stays."""
    this = native(raw.get("id"))
    history = raw.get("edit_history_tweet_ids") or raw.get("edit_history_post_ids")
    known = [one for one in map(native, items(history)) if number(one) is not None]
    return this, known[0] if this is not None and known else this


def _note(raw: dict[str, Any]) -> dict[str, Any]:
    return mapping(raw.get("note_tweet") or raw.get("note_post"))


def _references(raw: dict[str, Any]) -> tuple[str | None, str | None, str | None]:
    """The ids of what it reposts, quotes and answers."""
    found: dict[str, str | None] = {}
    for one in map(mapping, items(raw.get("referenced_tweets") or raw.get("referenced_posts"))):
        found[str(one.get("type"))] = native(one.get("id"))
    reposted = found.get("retweeted") or found.get("reposted")
    return reposted, found.get("quoted"), found.get("replied_to")


def _quoted(
    post_id: str | None, includes: Includes, repost: dict[str, Any], marks: list[str]
) -> str | None:
    """Somebody else's words. A repost repeats them, cut, where the post itself did not come along."""
    return post_text(includes.post(post_id), marks) or (
        post_text(repost, marks) if repost else None
    )


def _by(value: object, key: str) -> dict[str, dict[str, Any]]:
    return {
        found: one
        for one in map(mapping, items(value))
        if (found := native(one.get(key))) is not None
    }
