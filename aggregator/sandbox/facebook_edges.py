"""What stands where on the stand-in of a Facebook Page: nodes by id, and the rows of each of their edges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from aggregator.sandbox.facebook_gate import GraphError
from aggregator.sandbox.facebook_graph import Node, Rows, moment
from aggregator.sandbox.facebook_media import MOST as MOST_REMARKS
from aggregator.sandbox.facebook_media import Gram, Media, Remark
from aggregator.sandbox.facebook_objects import (
    Comment,
    Letter,
    Page,
    Post,
    Review,
    Thread,
    Who,
)

MOST_THREADS = 200  # more are cut, and nothing says so
MOST_MESSAGES = 100
ORDERS = ("chronological", "reverse_chronological", "ranked")
GENERIC = frozenset(
    ("access_token", "appsecret_proof", "fields", "limit", "after", "before", "summary")
)
TAKES = {
    "comments": GENERIC | {"filter", "order", "since", "until", "live_filter"},
    "conversations": GENERIC | {"platform", "folder", "user_id", "tags"},
    "messages": GENERIC | {"source"},
    "ratings": GENERIC | {"since", "until"},
}
POSTS = GENERIC | {"since", "until", "include_hidden", "show_expired", "with"}

Dated = TypeVar("Dated", Post, Comment)


@dataclass(slots=True)
class Edges:
    """`caller` is the kind of token of the call at hand: a user's token sees no comments."""

    page: Page
    posts: list[Post] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    reviews: list[Review] = field(default_factory=list)
    threads: list[Thread] = field(default_factory=list)
    caller: str = "page"
    gram: Gram | None = None
    _nodes: dict[str, Node] = field(default_factory=dict)

    def add(self, node: Post | Comment | Review | Thread | Letter) -> None:
        if isinstance(node, Post):
            self.posts.append(node)
        elif isinstance(node, Comment):
            self.comments.append(node)
            self._nodes[node.id.rpartition("_")[2]] = node  # both spellings are good
        elif isinstance(node, Letter):
            self._nodes[node.id.removeprefix("m_")] = node
        elif isinstance(node, Review):
            self.reviews.append(node)
            self._nodes[node.id] = node.story  # what has the id is the story
            return
        elif isinstance(node, Thread) and node not in self.threads:
            self.threads.append(node)
        self._nodes[node.id] = node

    def delete(self, node: Node) -> None:
        """A post takes its comments with it, a comment the answers to it."""
        if isinstance(node, Post | Comment | Thread | Letter):
            node.deleted = True
        for comment in self.comments:
            if not comment.deleted and node in (comment.post, comment.parent):
                self.delete(comment)

    def node(self, id_: str) -> Node:
        """Raises GraphError for what is not there, or not any more."""
        letter = self._nodes.get(id_)
        if isinstance(letter, Letter) and not letter.told:
            raise GraphError(100, "The message has been deleted", subcode=33)
        found = self.page if id_ in ("me", self.page.id) else self._nodes.get(id_)
        if found is None and self.gram is not None:
            found = self.gram.node(id_)
        if found is None or found.deleted:
            raise GraphError(
                100,
                f"Unsupported get request. Object with ID '{id_}' does not exist, cannot be loaded"
                " due to missing permissions, or does not support this operation.",
                subcode=33,
                kind="GraphMethodException",
            )
        return found

    def thread_with(self, customer: Who) -> Thread | None:
        return next((one for one in self.threads if one.customer.id == customer.id), None)

    def rows(self, node: Node, name: str, args: Mapping[str, str]) -> Rows:
        """All rows of an edge in its order. Raises GraphError for an edge that the node has not."""
        path = f"{node.id}/{name}"
        if isinstance(node, Gram | Media | Remark) and self.gram is not None:
            found = self.gram.rows(node, name)
            if found is not None:
                _taken(args, GENERIC)
                kind = "media" if name == "media" else "remark"
                return Rows(
                    kind, found, path, 100 if name == "media" else MOST_REMARKS, strict=False
                )
        if isinstance(node, Page) and name in PAGE_POSTS:
            _taken(args, POSTS)
            return Rows("post", self._posts(name, args), path)
        if isinstance(node, Page) and name == "ratings":
            _taken(args, TAKES[name])
            return Rows("review", self._reviews(), path)
        if isinstance(node, Page) and name == "conversations":
            _taken(args, TAKES[name])
            instagram = args.get("platform", "messenger").lower() == "instagram"
            threads = sorted(
                (
                    one
                    for one in self.threads
                    if not one.deleted
                    and (one.us is not None) is instagram
                    and args.get("user_id") in (None, one.customer.id)
                ),
                key=lambda thread: thread.letters[-1].at,
                reverse=True,
            )
            return Rows("thread", threads, path, MOST_THREADS, strict=False, by_offset=True)
        if isinstance(node, Thread) and name == "messages":
            _taken(args, TAKES[name])
            letters = [letter for letter in reversed(node.letters) if not letter.deleted]
            return Rows("message", letters, path, MOST_MESSAGES, strict=False)
        if isinstance(node, Post | Comment) and name == "comments":
            _taken(args, TAKES[name])
            return Rows("comment", self._under(node, args), path)
        raise GraphError(
            100, f"(#100) Tried accessing nonexisting field ({name}) on node type ({node.kind})"
        )

    def _posts(self, name: str, args: Mapping[str, str]) -> Sequence[Post]:
        ours = self.page.id
        own = [post for post in self.posts if not post.deleted]
        if self.caller == "user":
            own = [post for post in own if post.author.id == ours]
        if name == "tagged":
            own = [post for post in own if post.tags_page]
        elif name == "visitor_posts":
            own = [post for post in own if post.on_page and post.author.id != ours]
        elif name in ("posts", "published_posts"):
            own = [post for post in own if post.author.id == ours]
        return sorted(_between(own, args), key=lambda post: (post.at, post.id), reverse=True)

    def _reviews(self) -> Sequence[Review]:
        if self.caller == "user":
            return []
        there = [review for review in self.reviews if not review.deleted]
        return sorted(there, key=lambda review: (review.story.at, review.id), reverse=True)

    def _under(self, under: Post | Comment, args: Mapping[str, str]) -> Sequence[Comment]:
        order = args.get("order", "chronological")
        levels = args.get("filter", "toplevel")
        if order not in ORDERS:
            raise GraphError(100, f"(#100) Param order must be one of {{{', '.join(ORDERS)}}}")
        if levels not in ("toplevel", "stream"):
            raise GraphError(100, "(#100) Param filter must be one of {TOPLEVEL, STREAM}")
        if self.caller == "user":
            return []
        found = [
            comment
            for comment in self.comments
            if not comment.deleted
            and (
                comment.parent is under
                if isinstance(under, Comment)
                else comment.post is under and (levels == "stream" or comment.parent is None)
            )
        ]
        backwards = order == "reverse_chronological"
        return sorted(_between(found, args), key=lambda one: (one.at, one.id), reverse=backwards)


PAGE_POSTS = frozenset(("feed", "posts", "published_posts", "visitor_posts", "tagged"))


def _between(found: Iterable[Dated], args: Mapping[str, str]) -> Iterable[Dated]:
    since = moment(args["since"]) if args.get("since") else None
    until = moment(args["until"]) if args.get("until") else None
    return [
        one
        for one in found
        if (since is None or one.at >= since) and (until is None or one.at <= until)
    ]


def _taken(args: Mapping[str, str], names: frozenset[str]) -> None:
    """Conversations have no paging by time, for one."""
    for name in args:
        if name not in names:
            raise GraphError(100, f"(#100) Param {name} is not supported here")
