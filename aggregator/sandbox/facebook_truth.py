"""What is true of an object on the stand-in of Facebook, in the words of the export."""

from __future__ import annotations

from aggregator.sandbox.base import Truth
from aggregator.sandbox.facebook_objects import SITE, Comment, Letter, Post, Review, Who


def post_truth(label: str, post: Post, page: Who, *, exported: bool) -> Truth:
    return Truth(
        label=label,
        platform="facebook",
        kind="mention",
        direction=_direction(post.author, page),
        native_id=post.id,
        author=_author(post.author),
        text=post.message,
        url=post.url,
        sent_at=post.at,
        reply_to=None,
        conversation=f"p:{post.id}:{post.author.id}",
        attachments=_kinds(post.attachment),
        root=post.id,
        exported=exported,
        deleted=post.deleted,
    )


def comment_truth(label: str, comment: Comment, page: Who) -> Truth:
    over = comment.parent or comment.post
    ours = comment.author.id == page.id
    person = over.author if ours else comment.author
    return Truth(
        label=label,
        platform="facebook",
        kind="comment",
        direction=_direction(comment.author, page),
        native_id=comment.id,
        author=_author(comment.author),
        text=comment.message,
        url=comment.url,
        sent_at=comment.at,
        reply_to=over.id,
        conversation=f"p:{comment.post.id}:{person.id}",
        attachments=_kinds(comment.attachment),
        root=comment.post.id,
        deleted=comment.deleted,
    )


def review_truth(label: str, review: Review) -> Truth:
    return Truth(
        label=label,
        platform="facebook",
        kind="review",
        direction="inbound",
        native_id=review.id,
        author=_author(review.author),
        text=review.text,
        url=None,
        sent_at=review.story.at,
        reply_to=None,
        conversation=f"p:{review.id}:{review.author.id}",
        attachments=("rating",),
        root=review.id,
    )


def letter_truth(label: str, letter: Letter, page: Who) -> Truth:
    return Truth(
        label=label,
        platform="facebook",
        kind="direct_message",
        direction=_direction(letter.author, page),
        native_id=letter.id.removeprefix("m_"),
        author=_author(letter.author),
        text=letter.message,
        url=f"{SITE}{letter.thread.link(page)}",
        sent_at=letter.at,
        reply_to=None,
        conversation=f"d:{letter.thread.customer.id}",
        attachments=_kinds(letter.attachment),
    )


def _direction(author: Who, page: Who) -> str:
    return "outbound" if author.id == page.id else "inbound"


def _kinds(attachment: str | None) -> tuple[str, ...]:
    return (attachment,) if attachment else ()


def _author(who: Who) -> dict[str, str | None]:
    return {"native_id": who.id, "name": who.name, "handle": None}
