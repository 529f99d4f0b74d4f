"""What hangs on posts, comments and messages of Facebook."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aggregator.model import Attachment
from connectors.payload import items, mapping, name, native

_KINDS = {
    "photo": "image",
    "profile_media": "image",
    "cover_photo": "image",
    "animated_image": "image",
    "animated_image_share": "image",
    "sticker": "sticker",
    "share": "link",
    "link": "link",
    "file_upload": "file",
    "music": "card",
    "event": "card",
    "offer": "card",
    "note": "card",
    "map": "location",
    "location": "location",
}
_MIME = (("image/", "image"), ("video/", "video"), ("audio/", "voice"))


def post_attachments(raw: dict[str, Any]) -> tuple[Attachment, ...]:
    """Of a post: what its attachments list, an album's pictures one by one."""
    found = tuple(
        attachment
        for one in items(mapping(raw.get("attachments")).get("data"))
        for attachment in _with_parts(mapping(one))
    )
    story = name(raw.get("story"))
    if not found and not raw.get("message") and story:
        return (Attachment("card", url=None, title=story),)  # Facebook's words, not the author's
    return found


def comment_attachments(raw: dict[str, Any]) -> tuple[Attachment, ...]:
    one = mapping(raw.get("attachment"))
    return tuple(_with_parts(one)) if one else ()


def message_attachments(raw: dict[str, Any]) -> tuple[Attachment, ...]:
    """Of a Messenger message: files, a sticker, what was shared, and a word where it cannot be shown."""
    found = [_file(mapping(one)) for one in items(mapping(raw.get("attachments")).get("data"))]
    if sticker := name(raw.get("sticker")):
        found.append(Attachment("sticker", url=sticker))
    for share in map(mapping, items(mapping(raw.get("shares")).get("data"))):
        found.append(
            Attachment(
                "link",
                url=name(share.get("link")),
                title=name(share.get("name")),
                media_id=native(share.get("id")),
            )
        )
    story = mapping(raw.get("story"))
    if story:
        target = mapping(story.get("mention")) or mapping(story.get("reply_to"))
        found.append(Attachment("card", url=name(target.get("link")), title="story"))
    if raw.get("is_unsupported") is True and not found:
        found.append(Attachment("unknown", title="unsupported"))
    return tuple(found)


def quoted_words(raw: dict[str, Any]) -> str | None:
    """The words of what a post shares: another post, or a page's description."""
    for one in map(mapping, items(mapping(raw.get("attachments")).get("data"))):
        text = name(one.get("description"))
        if text and text != name(raw.get("message")):  # a photo's repeats the post's own
            return text
    return None


def _with_parts(raw: dict[str, Any]) -> Iterator[Attachment]:
    parts = items(mapping(raw.get("subattachments")).get("data"))
    if parts:
        for part in parts:
            yield _one(mapping(part))
    else:
        yield _one(raw)


def _one(raw: dict[str, Any]) -> Attachment:
    words = [str(raw.get("type") or ""), str(raw.get("media_type") or "")]
    kind = next((_KINDS[word] for word in words if word in _KINDS), None)
    if kind is None:
        kind = "video" if any("video" in word for word in words) else "unknown"
    media = mapping(raw.get("media"))
    picture = name(mapping(media.get("image")).get("src"))
    target = mapping(raw.get("target"))
    link = name(raw.get("unshimmed_url")) or name(raw.get("url")) or name(target.get("url"))
    url = picture if kind in ("image", "sticker") else name(media.get("source"))
    told = name(raw.get("title"))
    return Attachment(
        kind=kind,
        url=url or link,
        title=told or (" ".join(filter(None, words)) or None if kind == "unknown" else None),
        media_id=native(target.get("id")),
    )


def _file(raw: dict[str, Any]) -> Attachment:
    mime = raw.get("mime_type")
    kind = next((k for head, k in _MIME if isinstance(mime, str) and mime.startswith(head)), None)
    image, video = mapping(raw.get("image_data")), mapping(raw.get("video_data"))
    url = name(image.get("url")) or name(video.get("url")) or name(raw.get("file_url"))
    template = mapping(raw.get("generic_template"))
    if template:
        kind = "card"
        url = (
            url or name(mapping(template.get("cta")).get("url")) or name(template.get("media_url"))
        )
    if kind is None:
        kind = "image" if image else "video" if video else "file" if url or mime else "unknown"
    return Attachment(
        kind=kind,
        url=url,
        title=name(raw.get("name")) or name(template.get("title")),
        media_id=native(raw.get("id")),
    )
