"""The lines of a script, as they happen on the stand-in of a Facebook Page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from aggregator.sandbox.base import Line, Truth
from aggregator.sandbox.facebook_objects import Comment, Letter, Post
from aggregator.sandbox.facebook_truth import comment_truth, letter_truth, post_truth, review_truth

if TYPE_CHECKING:
    from aggregator.sandbox.facebook import FacebookStandin


def play(page: FacebookStandin, line: Line, at: datetime, told: Mapping[str, Truth]) -> Truth:
    """Let a line happen, under the lock of the stand-in; an edit or a deletion tells what it changed anew."""
    if line.action != "say":
        return _changed(page, line, at, told[line.to or ""])
    if line.kind == "direct_message":
        # Webhooks tell milliseconds and lists whole seconds: in a script both are the same.
        return _direct(page, line, at.replace(microsecond=0), told)
    if line.kind == "comment" or (line.who is None and line.to):
        return _comment(page, line, at, told)
    if line.kind == "review" and line.who:
        author = page.person(line.who)
        return review_truth(line.label, page.review(author, line.text, at))
    if line.kind not in ("mention", "own_post"):
        raise ValueError(f"there is no {line.kind} on Facebook")
    author = page.person(line.who) if line.who else page.page
    tags = line.who is not None and f"@{page.page.name}" in (line.text or "")
    post = page.post(author, line.text, at, tags_page=tags, attachment=line.attachment)
    return post_truth(line.label, post, page.page, exported=line.kind != "own_post")


def _comment(page: FacebookStandin, line: Line, at: datetime, told: Mapping[str, Truth]) -> Truth:
    over = page.edges.node(told[line.to or line.under or ""].native_id)
    author = page.person(line.who) if line.who else page.page
    if isinstance(over, Post):
        comment = page.comment(author, line.text, at, post=over, attachment=line.attachment)
    else:
        assert isinstance(over, Comment), "a comment stands under a post, a review or a comment"
        comment = page.comment(
            author, line.text, at, post=over.post, parent=over, attachment=line.attachment
        )
    return comment_truth(line.label, comment, page.page)


def _direct(page: FacebookStandin, line: Line, at: datetime, told: Mapping[str, Truth]) -> Truth:
    if line.who:
        customer = page.correspondent(line.who)
    else:
        asked = page.edges.node(told[line.to or ""].native_id)
        assert isinstance(asked, Letter), "a direct answer answers a direct message"
        customer = asked.thread.customer
    letter = page.letter(
        customer, line.text, at, from_page=line.who is None, attachment=line.attachment
    )
    return letter_truth(line.label, letter, page.page)


def _changed(page: FacebookStandin, line: Line, at: datetime, old: Truth) -> Truth:
    node = page.edges.node(old.native_id)
    if line.action == "delete" and old.kind == "review":
        review = next(one for one in page.edges.reviews if one.story is node)
        page.withdraw(review, at)
        return replace(old, deleted=True)
    if line.action == "delete" and isinstance(node, Post | Comment):
        page.withdraw(node, at)
    if isinstance(node, Post) and old.kind == "mention":
        if line.action == "edit":
            page.change(node, line.text or "", at)
        return post_truth(old.label, node, page.page, exported=old.exported)
    if isinstance(node, Comment):
        if line.action == "edit":
            page.change(node, line.text or "", at)
        return comment_truth(old.label, node, page.page)
    raise ValueError(f"a script may not {line.action} a {old.kind} on Facebook")
