"""What may be written on the stand-in of Facebook: comments of the Page, and its messages to customers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from aggregator.sandbox.facebook_edges import Edges
from aggregator.sandbox.facebook_gate import GraphError
from aggregator.sandbox.facebook_media import Media, Remark
from aggregator.sandbox.facebook_objects import Comment, Post, Who
from aggregator.sandbox.wire import Request

LONGEST_COMMENT, LONGEST_LETTER = 8000, 2000
WINDOW, AGENT_WINDOW = timedelta(hours=24), timedelta(days=7)
TYPES = ("RESPONSE", "UPDATE", "MESSAGE_TAG", "UTILITY")


@dataclass(slots=True)
class Writes:
    """Knobs: `ambiguous` (so many writes are done and then refused), `unreachable` (ids of people, error 551),
    `restricted` (10/1893063), `blocked` (368), `human_agent` (the app may use that tag).
    """

    edges: Edges
    page: Who
    now: Callable[[], datetime]
    comment: Callable[..., Comment]
    letter: Callable[..., Any]
    ambiguous: int = 0
    unreachable: set[str] = field(default_factory=set)
    restricted: bool = False
    blocked: bool = False
    human_agent: bool = False

    def post_comment(self, request: Request, of: str) -> dict[str, Any]:
        """Under a post or a comment; two levels are shown, so an answer to an answer stands beside it."""
        args = _args(request)
        node = self.edges.node(of)
        there = isinstance(node, Remark) == request.path.endswith("/replies")
        if not there or not isinstance(node, Post | Comment | Media | Remark):
            raise GraphError(100, "(#100) Unsupported post request.", subcode=33)
        text = args.get("message", "")
        if not text.strip():
            raise GraphError(
                100, "(#100) Param message must be a non-empty string", subcode=1349125
            )
        if len(text) > LONGEST_COMMENT:
            raise GraphError(100, "(#100) Param message is too long")
        if self.blocked:
            raise GraphError(368, "The action attempted has been deemed abusive or is disallowed")
        if isinstance(node, Media | Remark):
            assert self.edges.gram is not None
            gram = self.edges.gram
            remark = gram.remark(gram.who, text, self.now(), under=node)
            self._done(args)
            return {"id": remark.id}
        post, parent = (node, None) if isinstance(node, Post) else (node.post, node)
        made = self.comment(self.page, text, self.now(), post=post, parent=parent)
        self._done(args)
        return {"id": made.spelt}

    def edit_comment(self, request: Request, of: str) -> dict[str, Any]:
        """POST /{comment-id}: no answer to it, but its new words; and `is_hidden`."""
        args = _args(request)
        node = self.edges.node(of)
        if not isinstance(node, Comment):
            raise GraphError(100, "(#100) Unsupported post request.", subcode=33)
        if "is_hidden" in args:
            node.hidden = args["is_hidden"].lower() in ("true", "1")
        if "message" in args:
            if node.author.id != self.page.id:
                raise GraphError(200, "(#200) Permissions error")
            node.message = args["message"]
        return {"success": True}

    def send(self, request: Request, app_id: str) -> dict[str, Any]:
        """A message to a customer who wrote less than a day ago, or a week with the tag of a person."""
        args = _args(request)
        to = str(_object(args.get("recipient")).get("id", ""))
        said = _object(args.get("message"))
        thread = next((one for one in self.edges.threads if one.customer.id == to), None)
        if thread is None:
            raise GraphError(100, "(#100) No matching user found", subcode=2018001)
        if to in self.unreachable:
            raise GraphError(551, "(#551) This person isn't available right now.", subcode=1545041)
        if self.restricted:
            message = "(#10) This Page is temporarily restricted from sending messages"
            raise GraphError(10, message, subcode=1893063)
        if args.get("messaging_type") not in TYPES:
            raise GraphError(100, f"(#100) Param messaging_type must be one of {TYPES}")
        text = said.get("text")
        if not isinstance(text, str) or not text or len(text) > LONGEST_LETTER:
            raise GraphError(100, "(#100) Length of param message[text] must be 1 to 2000")
        metadata = said.get("metadata")
        if metadata is not None and (not isinstance(metadata, str) or len(metadata) > 1000):
            raise GraphError(100, "(#100) Length of param message[metadata] must be at most 1000")
        last = [one.at for one in thread.letters if one.author.id == to]
        agent = args.get("tag") == "HUMAN_AGENT" and self.human_agent
        if not last or self.now() - max(last) > (AGENT_WINDOW if agent else WINDOW):
            message = "(#10) This message is sent outside of allowed window."
            raise GraphError(10, message, subcode=2018278)
        made = self.letter(
            thread.customer,
            text,
            self.now(),
            from_page=True,
            app_id=app_id,
            metadata=metadata,
        )
        self._done(args)
        return {"recipient_id": to, "message_id": made.id}

    def _done(self, args: dict[str, str]) -> None:
        """It is done by now, whatever is said next."""
        if self.ambiguous > 0 or "fields" in args:
            self.ambiguous = max(0, self.ambiguous - 1)
            raise GraphError(20, "(#20) The response format is not available", subcode=1772107)


def _args(request: Request) -> dict[str, str]:
    if "json" in request.headers.get("content-type", ""):
        told = request.json()
        pairs = told.items() if isinstance(told, dict) else ()
        body = {k: v if isinstance(v, str) else json.dumps(v) for k, v in pairs}
    else:
        body = request.form()
    return {**request.query, **body}


def _object(text: str | None) -> dict[str, Any]:
    try:
        told = json.loads(text or "{}")
    except ValueError:
        raise GraphError(100, "(#100) Param must be a JSON object") from None
    return told if isinstance(told, dict) else {}
