"""The stand-in of a Facebook Page: posts, comments, reviews and Messenger threads, read over Graph.

Its contract is https://developers.facebook.com/docs/graph-api: only asked-for fields are told, pages may be short or
empty and still have a next one, and a comment on an old post shows up nowhere but under that post.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from aggregator.sandbox.base import Answer, Line, Person, Request, Standin, Truth, answer
from aggregator.sandbox.caller import Caller
from aggregator.sandbox.facebook_apps import Apps
from aggregator.sandbox.facebook_doors import open_doors
from aggregator.sandbox.facebook_edges import Edges
from aggregator.sandbox.facebook_gate import Gate, GraphError, Usage, token_of, version_of
from aggregator.sandbox.facebook_graph import Graph, Here, parse_fields
from aggregator.sandbox.facebook_media import Gram
from aggregator.sandbox.facebook_objects import Comment, Letter, Page, Post, Review, Thread, Who
from aggregator.sandbox.facebook_push import Hooks
from aggregator.sandbox.facebook_script import play
from aggregator.sandbox.facebook_writes import Writes

NEGATIVE = re.compile(r"terrible|worst|never|awful|broken|waited|差|退|骗|烂|失望", re.IGNORECASE)
NOT_REPEATED = ("fields", "access_token", "appsecret_proof")


class FacebookStandin(Standin):
    """One Page, and whoever writes on it, under its posts, or to it.

    Knobs, to be turned at any time: `gate.trouble` (a subcode of 190), `usage` (quota, rates, when the headers
    begin), `throttle(...)`, `refuse(...)`, `graph.short_pages`, `graph.empty_pages`, `graph.heavy_above`,
    `hide_from` (no author anywhere), `bare_comment_ids` (for comments from now on).
    `gram` is the Instagram account that is linked to it. `user_token` is a right token of the wrong kind: with it, comments are empty.
    """

    name = "facebook"

    def __init__(
        self,
        now: Callable[[], datetime],
        *,
        brand: str = "Lumo",
        salt: int | None = None,
        conversations_per_second: float = 2.0,
        tick: Callable[[], float] = time.monotonic,
        attempts: int = 3,
        retry_s: float = 0.2,
    ) -> None:
        super().__init__(now)
        self.salt = secrets.randbits(20) if salt is None else salt
        self.page = Who(str(100_000_000_000_000 + self.salt), brand)
        self.user_token = f"EAAuser{secrets.token_hex(24)}"
        self.gate = Gate(
            page_token=f"EAApage{secrets.token_hex(24)}",
            user_token=self.user_token,
            app_id=str(700_000_000_000_000 + self.salt),
            app_secret=secrets.token_hex(16),
            long_token=f"EAAlong{secrets.token_hex(24)}",
        )
        robin = Who(str(9_000_000_000 + self.salt), "Robin Demo")
        self.apps = Apps(self.page, self.gate, now, robin)
        self.usage = Usage(self.page.id, conversations_per_second=conversations_per_second)
        self.instagram = Who(str(17_841_400_000_000_000 + self.salt), brand.lower())
        self.edges = Edges(Page(self.page, brand.lower(), self.instagram))
        self.graph = Graph(self.page, self.edges.rows)
        caller = Caller("facebook", now, attempts=attempts, retry_s=retry_s)
        self.hooks = Hooks(self.page, self.apps, caller, now)
        self.gram = Gram(self.instagram, self._number, self.hooks.entry)
        self.edges.gram = self.gram
        self.writes = Writes(self.edges, self.page, now, self.comment, self.letter)
        self.bare_comment_ids = False
        self.hide_from = False
        self._tick = tick
        self._sequence = 0
        self.route("GET", r"/(v[^/]*)/?", self._several)
        open_doors(self)
        self.route("GET", r"/(v[^/]*)/([^/]+)", self._node)
        self.route("POST", r"/(v[^/]*)/([^/]+)", self._edit)
        self.route("POST", r"/(v[^/]*)/([^/]+)/comments", self._write)
        self.route("POST", r"/(v[^/]*)/([^/]+)/replies", self._write)
        self.route("POST", r"/(v[^/]*)/([^/]+)/messages", self._write)
        self.route("GET", r"/(v[^/]*)/([^/]+)/([a-z_]+)", self._edge)

    def options(self) -> dict[str, str]:
        return {
            "page_id": self.page.id,
            "access_token": self.gate.page_token,
            "app_secret": self.gate.app_secret,
            "verify_token": self.hooks.verify_token,
            "base_url": self.base_url,
        }

    def throttle(
        self, code: int = 32, *, minutes: float = 5, grow: timedelta = timedelta(minutes=1)
    ) -> None:
        """Every call is refused for so long, and each makes it longer."""
        with self.lock:
            self.usage.code, self.usage.grow = code, grow
            self.usage.until = self.now() + timedelta(minutes=minutes)

    def refuse(
        self, code: int, message: str = "Refused", *, subcode: int | None = None, **more: int | str
    ) -> None:
        """The next call is answered with that error; `more` goes to the fault (path, times, after, status)."""
        error = GraphError(code, message, subcode=subcode).answer()
        self.fault("status", **{"status": error.status, "body": error.body, **more})

    # --- the wire -----------------------------------------------------------------------------------

    def handle(self, request: Request) -> Answer:
        try:
            return super().handle(request)
        except GraphError as error:
            return error.answer()

    def not_found(self, request: Request) -> Answer:
        return GraphError(2500, f"Unknown path components: {request.path}").answer()

    def headers(self, request: Request, given: Answer) -> Mapping[str, str]:
        told = {"x-fb-trace-id": secrets.token_urlsafe(8), "x-fb-rev": "1030000000"}
        try:
            told["facebook-api-version"] = version_of(request.path.split("/")[1])
        except GraphError:
            return told
        with self.lock:
            return {**told, **self.usage.headers(self.now())}

    def admit(self, request: Request, version: str) -> str:
        """1. Is there such a version? 2. Who calls? 3. How often? Returns the kind of token."""
        version_of(version)
        who = self.gate.caller(request)
        self.usage.count(self.now())
        if who == "app":
            raise GraphError(190, "This method must be called with a Page Access Token")
        self.edges.caller = who
        self.graph.hide_from = self.hide_from or who == "user"
        return who

    def _node(self, request: Request, match: re.Match[str]) -> Answer:
        who = self.admit(request, match.group(1))
        fields = parse_fields(request.query.get("fields", ""))
        if match.group(2) == "me" and who == "user":
            return answer({"name": self.apps.user.name, "id": self.apps.user.id})
        node = self.edges.node(match.group(2))
        return answer(self.graph.node_json(node, fields, _here(request)))

    def _several(self, request: Request, match: re.Match[str]) -> Answer:
        self.admit(request, match.group(1))
        fields = parse_fields(request.query.get("fields", ""))
        ids = request.query.get("ids", "").split(",")
        if not 1 <= len(ids) <= 50 or not all(ids):
            raise GraphError(100, "(#100) Param ids must be 1 to 50 ids")
        here = _here(request)
        nodes = {id_: self.edges.node(id_) for id_ in ids}
        return answer({id_: self.graph.node_json(n, fields, here) for id_, n in nodes.items()})

    def _edge(self, request: Request, match: re.Match[str]) -> Answer:
        who = self.admit(request, match.group(1))
        name = match.group(3)
        if name in ("conversations", "messages"):
            if who == "user":
                raise GraphError(190, "This method must be called with a Page Access Token")
            self.usage.count_conversations(self._tick())
        fields = parse_fields(request.query.get("fields", ""))
        rows = self.edges.rows(self.edges.node(match.group(2)), name, request.query)
        args = {key: value for key, value in request.query.items() if key not in NOT_REPEATED}
        return answer(self.graph.connection(rows, args, fields, _here(request)))

    # --- writes ---------------------------------------------------------------------------------

    def _write(self, request: Request, match: re.Match[str]) -> Answer:
        if self.admit(request, match.group(1)) != "page":
            raise GraphError(200, "(#200) You do not have permission to act as the Page")
        if not request.path.endswith("/messages"):
            self._may("pages_manage_engagement")
            return answer(self.writes.post_comment(request, match.group(2)))
        self._may("pages_messaging")
        if match.group(2) not in ("me", self.page.id):
            raise GraphError(100, "(#100) Unsupported post request.", subcode=33)
        return answer(self.writes.send(request, self.gate.app_id))

    def _edit(self, request: Request, match: re.Match[str]) -> Answer:
        self.admit(request, match.group(1))
        return answer(self.writes.edit_comment(request, match.group(2)))

    def _may(self, scope: str) -> None:
        if scope not in self.apps.scopes:
            raise GraphError(200, f"(#200) Requires {scope} permission to manage the object")

    # --- what happens on the Page -------------------------------------------------------------------

    def person(self, person: Person) -> Who:
        """As the public side knows them: an app-scoped id."""
        return Who(str(7_000_000_000_000_000 + self.salt * 100_000 + person.number), person.name)

    def correspondent(self, person: Person) -> Who:
        """As Messenger knows them: a page-scoped id, which is another one."""
        return Who(str(5_000_000_000_000_000 + self.salt * 100_000 + person.number), person.name)

    def post(
        self,
        author: Who,
        message: str | None,
        at: datetime,
        *,
        tags_page: bool = False,
        attachment: str | None = None,
        story: str | None = None,
        anonymous: bool = False,
    ) -> Post:
        """On the Page's wall, or with `tags_page` on the author's own."""
        with self.lock:
            owner = author.id if tags_page else self.page.id
            id_ = f"{owner}_{self._number(at)}"
            post = Post(
                id_, author, message, _seconds(at), not tags_page, tags_page, story, attachment
            )
            post.anonymous = anonymous
            self.edges.add(post)
            self.hooks.post(post, "add", post.at)
            return post

    def comment(
        self,
        author: Who,
        message: str | None,
        at: datetime,
        *,
        post: Post,
        parent: Comment | None = None,
        attachment: str | None = None,
        anonymous: bool = False,
    ) -> Comment:
        with self.lock:
            id_ = f"{post.id.rpartition('_')[2]}_{self._number(at)}"
            comment = Comment(id_, post, parent, author, message, _seconds(at), attachment)
            comment.anonymous, comment.bare = anonymous, self.bare_comment_ids
            self.edges.add(comment)
            self.hooks.comment(comment, "add", comment.at)
            return comment

    def review(
        self, author: Who, text: str | None, at: datetime, *, positive: bool | None = None
    ) -> Review:
        with self.lock:
            good = not NEGATIVE.search(text or "") if positive is None else positive
            story = Post(str(self._number(at)), author, text, _seconds(at), False)
            review = Review(story, author, good, text)
            self.edges.add(review)
            self.hooks.review(review, "add", story.at)
            return review

    def letter(
        self,
        customer: Who,
        text: str | None,
        at: datetime,
        *,
        from_page: bool = False,
        attachment: str | None = None,
        app_id: str | None = None,
        metadata: str | None = None,
        instagram: bool = False,
    ) -> Letter:
        """One message between the Page and a customer; their thread moves to the top.

        `app_id`: what sent it for the Page, Meta's own inbox if not told.
        """
        with self.lock:
            us = self.instagram if instagram else None
            thread = self.edges.thread_with(customer) or Thread(
                f"t_{self._number(at)}", customer, us
            )
            id_ = f"m_{self.salt:05x}{self._number(at)}-{secrets.token_urlsafe(30)}"
            author = (thread.us or self.page) if from_page else customer
            letter = Letter(id_, thread, author, text, _seconds(at), attachment)
            thread.letters.append(letter)
            self.edges.add(thread)
            self.edges.add(letter)
            self.hooks.letter(letter, at, app_id=app_id, metadata=metadata)
            return letter

    def change(self, node: Post | Comment | Letter, text: str, at: datetime) -> None:
        """The author writes it anew."""
        with self.lock:
            node.message = text
            if isinstance(node, Letter):
                self.hooks.letter(node, at, what="edit")
            elif isinstance(node, Post):
                node.edited_at = _seconds(at)
                self.hooks.post(node, "edited", at)
            else:
                self.hooks.comment(node, "edited", at)

    def hide(self, comment: Comment, at: datetime, *, hidden: bool = True) -> None:
        with self.lock:
            comment.hidden = hidden
            self.hooks.comment(comment, "hide" if hidden else "unhide", at)

    def withdraw(self, node: Post | Comment | Letter | Review, at: datetime) -> None:
        """It is gone: with what stands under it, and for a message from the thread."""
        with self.lock:
            if isinstance(node, Letter):
                node.deleted = True
                self.hooks.letter(node, at, what="unsend")
            elif isinstance(node, Review):
                self.edges.delete(node.story)
                self.hooks.review(node, "remove", at)
            else:
                self.edges.delete(node)
                if isinstance(node, Post):
                    self.hooks.post(node, "remove", at)
                else:
                    self.hooks.comment(node, "remove", at)

    def _number(self, at: datetime) -> int:
        self._sequence += 1
        return int(at.timestamp() * 1000) * 10_000 + self.salt % 100 * 100 + self._sequence % 100

    # --- webhooks -----------------------------------------------------------------------------------

    def attach(self, url: str) -> None:
        """Push to this callback from now on. Raises HandshakeFailed."""
        self.hooks.attach(url)

    def settle(self, timeout_s: float = 30.0) -> bool:
        with self.lock:
            self.hooks.flush()
        return self.hooks.caller.settle(timeout_s)

    def stop(self) -> None:
        super().stop()
        self.hooks.caller.close()

    # --- a script -----------------------------------------------------------------------------------

    def play(self, line: Line, at: datetime, told: Mapping[str, Truth]) -> Truth:
        with self.lock:
            return play(self, line, at, told)


def _seconds(at: datetime) -> datetime:
    return at.replace(microsecond=0)


def _here(request: Request) -> Here:
    """The host as the client called it, as Facebook's own URLs would name Facebook's."""
    version = request.path.split("/")[1]
    return Here(f"{request.url.removesuffix(request.path)}/{version}", token_of(request) or "")
