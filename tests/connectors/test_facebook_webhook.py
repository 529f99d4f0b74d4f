"""What Facebook's webhooks tell: who may knock, and what each kind of event becomes."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aggregator.errors import Rejected
from aggregator.model import Accepted, Direction, Kind, Message, Page, Push
from aggregator.sandbox.base import Answer, Person, Request, Standin
from aggregator.sandbox.facebook import FacebookStandin
from connectors.base import Receives
from connectors.facebook import Facebook, FacebookOptions
from tests.connectors.facebook_fake import NOW, PAGE, SECRET, TOKEN, FakeGraph, connect
from tests.connectors.loopback import Clock, MemoryKeep

FIXTURES = Path(__file__).parents[1] / "fixtures" / "facebook"
POST = f"{PAGE}_9002"
ANN, OMAR, CUSTOMER = "7100000000000001", "7100000000000002", "5200000000000001"
AT = datetime(2026, 11, 21, 4, 0, tzinfo=UTC)
VERIFY = "给Meta看的口令"
ANNIE = Person(1, "安妮", "ann")


def account(keep: MemoryKeep | None = None, **more: Any) -> Facebook:
    given = {
        "page_id": PAGE,
        "access_token": TOKEN,
        "app_secret": SECRET,
        "verify_token": VERIFY,
        "base_url": "http://127.0.0.1:9",
    }
    options = FacebookOptions.model_validate({**given, **more})
    return Facebook(options, keep=keep or MemoryKeep(), now=lambda: NOW)


def body(name: str) -> bytes:
    return (FIXTURES / f"webhook__{name}.json").read_bytes()


def read(name: str, **more: Any) -> Page:
    return account(**more).read([body(name)])


def knock(method: str = "POST", raw: bytes = b"", **more: Any) -> Push:
    headers = more.pop("headers", {"x-hub-signature-256": "sha256=" + signed(raw)})
    return Push(method, more, headers, raw, AT)


def signed(raw: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()


def shake(**query: str) -> Accepted:
    given = {"hub.mode": "subscribe", "hub.verify_token": VERIFY, "hub.challenge": "1158201444"}
    return account().verify(Push("GET", {**given, **query}, {}, b"", AT))


# --- the door -------------------------------------------------------------------------------------


def test_the_handshake_echoes_the_challenge_to_whoever_knows_the_word() -> None:
    assert shake().answer == b"1158201444"
    assert shake().store == ()
    for wrong in ("", "给Meta看的口", VERIFY + "!", "\udc80"):
        with pytest.raises(Rejected) as caught:
            shake(**{"hub.verify_token": wrong})
        assert caught.value.status == 403
        assert VERIFY not in caught.value.reason
    for query in ({"hub.mode": "unsubscribe"}, {"hub.challenge": "<b>"}, {"hub.challenge": ""}):
        with pytest.raises(Rejected):
            shake(**query)


def test_a_body_is_stored_as_it_came_if_its_signature_is_right() -> None:
    raw = body("feed_comments")
    taken = account().verify(knock(raw=raw))
    assert (taken.stream, taken.store) == ("webhook", (raw,))
    upper = {"x-hub-signature-256": "sha256=" + signed(raw).upper()}
    assert account().verify(knock(raw=raw, headers=upper)).store == (raw,)


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "sha256=",
        "sha256=" + "0" * 64,
        "sha256=" + signed(b"{} "),
        "sha256=" + signed(b"{}", "another secret"),
        "sha1=" + hmac.new(SECRET.encode(), b"{}", hashlib.sha1).hexdigest(),
        signed(b"{}"),
        "sha256=" + "０" * 64,
        "sha256=" + signed(b"{}") + "\x00",
    ],
)
def test_nothing_is_stored_for_a_wrong_signature(given: str | None) -> None:
    headers = {} if given is None else {"x-hub-signature-256": given}
    with pytest.raises(Rejected) as caught:
        account().verify(knock(raw=b"{}", headers=headers))
    assert caught.value.status == 401
    assert SECRET not in caught.value.reason


def test_without_a_word_and_a_secret_no_webhook_is_taken() -> None:
    for missing in ("verify_token", "app_secret"):
        plain = account(**{missing: None})
        assert plain.pushed == ()
        assert "webhook" not in plain.streams
        with pytest.raises(Rejected) as caught:
            plain.verify(knock(raw=b"{}"))
        assert caught.value.status == 404
    assert isinstance(account(), Receives)
    assert account().pushed == ("webhook",)
    assert account().streams[-1] == "webhook"
    assert VERIFY not in repr(
        FacebookOptions.model_validate(
            {"page_id": PAGE, "access_token": TOKEN, "verify_token": VERIFY}
        )
    )


def test_an_oversize_body_is_refused_before_it_is_hashed() -> None:
    with pytest.raises(Rejected) as caught:
        account().verify(knock(raw=b"x" * (1024 * 1024 + 1)))
    assert caught.value.status == 413


# --- comments and posts ---------------------------------------------------------------------------


def test_comments_have_the_ids_roots_and_parents_that_polling_gives_them() -> None:
    top, ours, nobody = read("feed_comments").messages
    assert top.kind is Kind.COMMENT
    assert (top.native_id, top.root, top.reply_to) == ("9002_601", POST, POST)
    assert (top.person, top.direction) == (ANN, Direction.INBOUND)
    assert top.text == "收到的货是坏的 😡"
    assert top.sent_at == AT - timedelta(seconds=3)
    assert top.url == f"https://www.facebook.com/{PAGE}/posts/9002?comment_id=601"
    assert top.marks == ()
    assert ours.direction is Direction.OUTBOUND
    assert (ours.native_id, ours.reply_to, ours.person) == ("9002_602", "9002_601", None)
    assert nobody.author is None
    assert nobody.text is None
    assert [a.kind for a in nobody.attachments] == ["image"]
    assert nobody.marks == ("author.missing",)


def test_what_became_of_a_comment_follows_it_in_the_order_of_events() -> None:
    first, edited, hidden, shown, removed = read("feed_comment_course").messages
    assert {m.native_id for m in (first, edited, hidden, shown, removed)} == {"9002_601"}
    assert (first.text, first.edited_at) == ("收到的货是坏的", None)
    assert edited.text == "收到的货是坏的，要退款"
    assert (edited.edited_at, edited.sent_at) == (AT + timedelta(seconds=50), AT)
    assert edited.marks == ()
    assert hidden.deleted_at == AT + timedelta(seconds=70)
    assert hidden.marks == ("hidden",)
    assert hidden.text is None  # a tombstone keeps what is stored
    assert (shown.restored_at, shown.text) == (AT + timedelta(seconds=90), edited.text)
    assert removed.deleted_at == AT + timedelta(seconds=110)
    assert "hidden" not in removed.marks


def test_an_edit_alone_says_that_it_does_not_know_when_it_was_written() -> None:
    told = json.loads(body("feed_comment_course"))
    told["entry"] = told["entry"][:1]
    (edited,) = account().read([json.dumps(told).encode()]).messages
    assert "time.edit" in edited.marks
    assert edited.sent_at == edited.edited_at == AT + timedelta(seconds=50)


def test_an_edit_that_does_not_say_to_what_only_wakes_the_list() -> None:
    told = json.loads(body("feed_comment_course"))
    told["entry"] = told["entry"][:1]
    del told["entry"][0]["changes"][0]["value"]["message"]
    page = account().read([json.dumps(told).encode()])
    assert page.messages == ()
    assert page.wake == ("comments",)


def test_posts_of_others_are_mentions_and_what_is_not_told_whole_wakes_the_list() -> None:
    page = read("feed_posts")
    photo, old, removed = page.messages
    assert photo.kind is Kind.MENTION
    assert (photo.native_id, photo.root, photo.person) == (f"{PAGE}_9101", f"{PAGE}_9101", ANN)
    assert photo.text == "门市没有人接电话"
    assert [(a.kind, a.media_id) for a in photo.attachments] == [("image", "8101")]
    assert (old.person, old.author and old.author.name) == (OMAR, "Omar")
    assert removed.native_id == old.native_id
    assert removed.deleted_at == AT - timedelta(seconds=1)
    assert page.wake == ("posts",)  # a post by nobody, and a video without an id


def test_reviews_and_the_answers_under_them_have_the_roots_that_polling_gives_them() -> None:
    review, answer, removed = read("ratings").messages
    assert review.kind is Kind.REVIEW
    assert review.native_id == review.root == "904801129604"
    assert review.text == "客服完全不理人"
    assert [(a.kind, a.title) for a in review.attachments] == [("rating", "NEGATIVE")]
    assert answer.root == answer.reply_to == "904801129604"
    assert answer.direction is Direction.OUTBOUND
    assert (removed.native_id, removed.deleted_at) == ("904801129605", AT)


# --- mentions -------------------------------------------------------------------------------------


@pytest.fixture
def graph() -> Iterator[FakeGraph]:
    server = FakeGraph()
    server.start()
    yield server
    server.stop()


def walk(graph: FakeGraph, keep: MemoryKeep) -> list[Message]:
    found: list[Message] = []
    cursor = None
    for _ in range(20):
        connector = connect(graph, keep=keep)
        page = connector.poll("posts", cursor)
        found += page.messages
        cursor = page.cursor
        if not page.more:
            return found
    raise AssertionError("no end")


def test_a_mention_without_author_is_asked_for_by_its_id(graph: FakeGraph) -> None:
    keep = MemoryKeep()
    page = account(keep).read([body("mention")])
    assert (page.messages, page.wake) == ((), ("posts",))
    graph.objects["7100000000000009_9201"] = {
        "id": "7100000000000009_9201",
        "from": {"id": ANN, "name": "陈美玲"},
        "message": "@Acme 香港 差评",
        "created_time": "2026-11-21T03:59:55+0000",
    }
    post, comment = walk(graph, keep)
    assert (post.kind, post.person, post.text) == (Kind.MENTION, ANN, "@Acme 香港 差评")
    assert (comment.kind, comment.native_id) == (Kind.COMMENT, "9202_31")
    assert comment.author is None  # it may not be seen: what the webhook told is kept
    assert comment.text == "ask Acme 香港"
    assert comment.sent_at == AT - timedelta(seconds=4)


def test_a_mention_is_asked_for_again_as_long_as_its_cursor_is_not_stored(graph: FakeGraph) -> None:
    keep = MemoryKeep()
    account(keep).read([body("mention")])
    first = connect(graph, keep=keep).poll("posts", None)
    assert connect(graph, keep=keep).poll("posts", None).messages == first.messages
    (second,) = connect(graph, keep=keep).poll("posts", first.cursor).messages
    assert second.native_id != first.messages[0].native_id


def test_a_mention_is_dropped_from_the_list_once_its_cursor_is_stored(graph: FakeGraph) -> None:
    keep = MemoryKeep()
    account(keep).read([body("mention")])
    cursor = None
    for _ in range(6):
        cursor = connect(graph, keep=keep).poll("posts", cursor).cursor
    assert keep.get("wanted") is None
    account(keep).read([body("mention"), body("mention")])
    assert len(json.loads(keep.get("wanted") or "")) == 2


def test_what_finds_no_room_in_the_list_is_told_without_its_author() -> None:
    keep = MemoryKeep()
    entries = [
        {
            "id": PAGE,
            "time": 1,
            "changes": [
                {
                    "field": "mention",
                    "value": {
                        "item": "post",
                        "verb": "add",
                        "post_id": f"71_{n}",
                        "message": f"第 {n} 条",
                    },
                }
            ],
        }
        for n in range(230)
    ]
    page = account(keep).read([json.dumps({"object": "page", "entry": entries}).encode()])
    assert len(page.messages) == 30
    assert page.messages[0].text == "第 200 条"
    assert page.messages[0].marks == ("author.missing",)


# --- messages -------------------------------------------------------------------------------------


def test_messages_are_named_as_lists_name_them_and_timed_in_milliseconds() -> None:
    first, echo, full, pressed, standby, unsupported = read("messaging").messages
    assert first.kind is Kind.DIRECT_MESSAGE
    assert (first.native_id, first.person, first.direction) == ("AAA1", CUSTOMER, Direction.INBOUND)
    assert first.sent_at == AT - timedelta(milliseconds=900)
    assert first.reply_window is not None
    assert first.reply_window.closes_at == AT - timedelta(milliseconds=900) + timedelta(hours=24)

    assert (echo.direction, echo.person) == (Direction.OUTBOUND, CUSTOMER)
    assert echo.author is not None
    assert echo.author.native_id == PAGE
    assert echo.reply_window is None  # what we send opens nothing

    assert full.reply_to == "AAA2"
    assert [a.kind for a in full.attachments] == [
        *("image", "sticker", "voice", "video", "file", "location", "link", "card"),
        *("unknown", "card"),
    ]
    assert full.attachments[5].title == "22.3,114.2"
    assert full.attachments[8].title == "hologram"
    assert pressed.text == "退款 Refund"
    assert (standby.native_id, standby.text) == ("AAA5", "还在吗")
    assert [a.kind for a in unsupported.attachments] == ["unknown"]
    assert read("messaging").wake == ("messages",)  # one had no id


def test_an_edit_before_its_message_and_an_unsend_are_versions_of_one_message() -> None:
    first, edited, gone = read("messaging_course").messages
    assert {m.key for m in (first, edited, gone)} == {"direct_message:AAA9"}
    assert (first.text, first.edited_at) == ("退款退到哪", None)
    assert edited.text == "退款退到哪里了？"
    assert edited.sent_at == AT
    assert edited.edited_at == AT + timedelta(milliseconds=700)
    assert (gone.text, gone.deleted_at) == (None, AT + timedelta(seconds=5))


def test_an_echo_of_a_page_whose_ids_are_swapped_is_still_ours() -> None:
    told = {
        "object": "page",
        "entry": [
            {
                "id": int(PAGE),
                "time": 1795233600000,
                "messaging": [
                    {
                        "sender": {"id": 61},
                        "recipient": {"id": int(PAGE)},
                        "timestamp": 1795233600000,
                        "message": {"mid": "mid.$x", "text": "hello", "is_echo": True},
                    }
                ],
            }
        ],
    }
    (echo,) = account().read([json.dumps(told).encode()]).messages
    assert (echo.direction, echo.person) == (Direction.OUTBOUND, "61")


def test_instagram_rides_along_if_it_is_asked_for() -> None:
    assert read("instagram").messages == ()
    page = read("instagram", instagram=True)
    comment, ours, asked, unsent, echo, story = page.messages
    assert {m.platform for m in page.messages} == {"instagram"}
    assert (comment.kind, comment.root, comment.reply_to) == (Kind.COMMENT, "17900", "17900")
    assert comment.author is not None
    assert (comment.person, comment.author.handle) == ("61", "yuki")
    assert comment.sent_at == AT
    assert (ours.direction, ours.reply_to) == (Direction.OUTBOUND, "18001")
    assert (asked.text, unsent.native_id, unsent.text) == ("在吗", asked.native_id, None)
    assert (echo.direction, echo.person) == (Direction.OUTBOUND, "61")
    assert [a.kind for a in story.attachments] == ["card"]


def test_nothing_that_a_body_holds_stops_the_others() -> None:
    broken, comment, number, empty = read("hostile").messages[-1:] + read("hostile").messages[:3]
    page = account().read([b"{", b"\xff\xfe", b"[" * 9999, b"7", b"", body("hostile")])
    unreadable = [m for m in page.messages if "unreadable" in m.marks]
    assert len({m.native_id for m in unreadable}) == 4
    assert all(m.raw == b"{" or m.raw for m in unreadable[:3])
    assert broken == read("hostile").messages[-1]
    assert comment.native_id == "9002_900"
    assert set(comment.marks) >= {"author.missing", "text.scrubbed"}
    assert number.native_id == "9007199254740993"
    assert [a.kind for a in empty.attachments] == ["unknown"]


def test_the_raw_of_a_message_is_its_own_event() -> None:
    top, *_ = read("feed_comments").messages
    told = json.loads(top.raw)
    assert told["value"]["comment_id"] == "9002_601"
    assert "602" not in top.raw.decode()


# --- through a door, from a Page that is played -----------------------------------------------------


def knobs() -> list[dict[str, Any]]:
    return [
        {},
        {"batch": 5, "twice": True, "backwards": True},
        {"standby": True, "numeric_ids": True},
        {"old_authors": True},
    ]


@pytest.mark.parametrize("turned", knobs())
def test_what_is_pushed_equals_what_is_polled(turned: dict[str, Any]) -> None:
    clock = Clock()
    page = FacebookStandin(clock, conversations_per_second=1e6)
    door = Door(page, clock)
    page.start()
    door.start()
    try:
        page.attach(door.base_url + "/callbacks/f")
        for knob, value in turned.items():
            setattr(page.hooks, knob, value)
        ann, mail = page.person(ANNIE), page.correspondent(ANNIE)
        clock.on(seconds=1)
        own = page.post(page.page, "新品上市", clock.at)
        page.bare_comment_ids = True
        asked = page.comment(ann, "会发热吗？", clock.at, post=own)
        page.bare_comment_ids = False
        page.comment(page.page, "请停用", clock.at, post=own, parent=asked)
        page.comment(ann, None, clock.at, post=own, attachment="image")
        page.post(ann, "没有人接电话", clock.at)
        page.post(ann, "@Lumo 差评", clock.at, tags_page=True)
        review = page.review(ann, "客服太差", clock.at)
        page.comment(page.page, "抱歉", clock.at, post=review.story)
        page.letter(mail, "扣了两次", clock.at)
        page.letter(mail, "已退", clock.at, from_page=True)
        assert page.settle()
        pushed = {m.key: m for m in door.account.read(door.taken).messages}
        polled: dict[str, Message] = {}
        for stream in ("posts", "comments", "reviews", "messages"):
            cursor = None
            for _ in range(30):
                clock.on(seconds=1)
                told = door.account.poll(stream, cursor)
                polled |= {m.key: m for m in told.messages}
                cursor = told.cursor
                if not told.more:
                    break
        tagged = [key for key in polled if key not in pushed]
        assert len(tagged) == 1  # its author came only with the list
        assert set(pushed) <= set(polled)
        for key, message in pushed.items():
            assert facts(message) == facts(polled[key])
    finally:
        page.stop()
        door.stop()
    assert page.errors == door.errors == []


def facts(message: Message) -> tuple[Any, ...]:
    sent = message.sent_at.replace(microsecond=0) if message.sent_at else None
    return (
        *(message.platform, message.kind, message.direction, message.text, sent),
        *(message.root, message.reply_to, message.author and message.author.native_id),
        *([a.kind for a in message.attachments], message.reply_window),
    )


class Door(Standin):
    """A daemon's door: what the connector takes is kept."""

    def __init__(self, page: FacebookStandin, clock: Clock) -> None:
        super().__init__(clock)
        self.taken: list[bytes] = []
        self._page = page
        self._clock = clock
        self._account: Facebook | None = None

    @property
    def account(self) -> Facebook:
        if self._account is None:
            given = {**self._page.options(), "verify_token": self._page.hooks.verify_token}
            options = FacebookOptions.model_validate(given)
            self._account = Facebook(options, keep=MemoryKeep(), now=self._clock)
        return self._account

    def handle(self, request: Request) -> Answer:
        push = Push(request.method, request.query, request.headers, request.body, self.now())
        taken = self.account.verify(push)
        self.taken += taken.store
        return Answer(taken.answer, content_type=taken.content_type)
