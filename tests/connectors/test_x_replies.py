"""Answers on X: their length, their refusals, and what is looked for before one is sent again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from aggregator.errors import RateLimited, Rejected, Unauthorized, Unavailable
from aggregator.model import Direction, Kind, Message
from connectors.base import Backfills, Replies
from connectors.x.replies import weight
from tests.connectors.loopback import MemoryKeep
from tests.connectors.x_place import ANN, BEN, Place, minutes, place


@pytest.fixture
def x() -> Iterator[Place]:
    with place(short_pages=False) as made:
        yield made


def asked(x: Place, stream: str = "mentions") -> Message:
    """The newest message of a stream, as the daemon has it."""
    _, cursor = x.walk(stream, None)
    if stream == "mentions":
        x.mention()
    else:
        x.direct()
    x.clock.on(minutes=1)
    found, _ = x.walk(stream, cursor)
    return found[-1]


def test_x_can_be_answered_on_and_read_backwards(x: Place) -> None:
    assert isinstance(x.connect(), Replies)
    assert isinstance(x.connect(), Backfills)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("hello", 5),
        ("您好，请私信订单号", 18),
        ("“quotes” — fine…", 16 + 1),  # the ellipsis weighs two
        ("see https://help.example/a/very/long/path?x=1 ok", 4 + 23 + 3),
        ("看https://help.example/订单，谢谢", 2 + 23 + 6),
        ("👍", 2),
        ("👨‍👩‍👧", 2),
        ("👍🏽", 2),
        ("é ü ß ж ד", 9),
        ("한국어", 6),
    ],
)
def test_the_length_is_counted_as_x_counts(text: str, length: int) -> None:
    assert weight(text) == length


def test_an_answer_comes_back_by_the_stream_under_the_same_id(x: Place) -> None:
    to = asked(x)
    _, cursor = x.walk("own_posts", None)
    sent = x.connect().reply(to, "已加急 <今天到账>", "key-1")
    x.clock.on(minutes=1)
    (seen,) = x.walk("own_posts", cursor)[0]
    assert sent.key == seen.key
    assert sent.direction is Direction.OUTBOUND
    for name in ("kind", "text", "sent_at", "root", "person", "reply_to", "url", "author"):
        if name not in ("author", "url"):
            assert getattr(sent, name) == getattr(seen, name), name
    assert sent.author is not None
    assert sent.author.native_id == str(x.x.brand.id)


def test_a_direct_message_comes_back_by_the_stream_under_the_same_id(x: Place) -> None:
    to = asked(x, "direct_messages")
    _, cursor = x.walk("direct_messages", None)
    sent = x.connect().reply(to, "您好，请说", "key-1")
    x.clock.on(minutes=1)
    seen = {one.key: one for one in x.walk("direct_messages", cursor)[0]}[sent.key]
    assert sent.kind is Kind.DIRECT_MESSAGE
    assert (sent.text, sent.sent_at, sent.person, sent.url) == (
        seen.text,
        seen.sent_at,
        seen.person,
        seen.url,
    )


def test_what_is_too_long_or_empty_is_never_sent(x: Place) -> None:
    to = asked(x)
    assert x.connect().reply_limit(to).longest == 280
    with pytest.raises(Rejected, match="282 of 280"):
        x.connect().reply(to, "退" * 141, "k")
    with pytest.raises(Rejected, match="words"):
        x.connect().reply(to, "  ", "k")
    assert x.calls("/2/tweets", "POST") == 0
    x.connect().reply(to, "退" * 140, "k")
    direct = asked(x, "direct_messages")
    assert x.connect().reply_limit(direct).longest == 10_000
    with pytest.raises(Rejected, match="10001 of 10000"):
        x.connect().reply(direct, "好" * 10_001, "k")


def test_an_answer_to_who_did_not_name_us_is_explained(x: Place) -> None:
    to = asked(x)
    follow = x.x.post(
        x.x.user(ANN), "谢谢，还有一件事", x.clock(), reply_to=x.x.newest(int(to.native_id))
    )
    later = replace(to, native_id=str(follow.id), raw=b"")
    with pytest.raises(Rejected, match="X's own app") as caught:
        x.connect().reply(later, "不客气", "k")
    assert "mentioned or quoted us" in caught.value.reason


def test_the_same_words_twice_and_closed_messages_are_explained(x: Place) -> None:
    to = asked(x)
    x.connect().reply(to, "收到", "k")
    with pytest.raises(Rejected, match="same words only once"):
        x.connect().reply(to, "收到", "k")
    direct = asked(x, "direct_messages")
    x.x.closed.add(x.x.user(ANN).id)
    with pytest.raises(Rejected, match="no direct messages from us") as caught:
        x.connect().reply(direct, "在", "k")
    assert not isinstance(caught.value, Unauthorized)


def test_a_withdrawn_post_cannot_be_answered(x: Place) -> None:
    to = asked(x)
    x.x.delete(x.x.newest(int(to.native_id)))
    with pytest.raises(Rejected, match="deleted or not visible"):
        x.connect().reply(to, "在", "k")


def test_an_app_without_the_permission_is_the_accounts_trouble_not_the_answers(x: Place) -> None:
    to = asked(x, "direct_messages")
    x.x.access = "read-write"
    with pytest.raises(Unauthorized, match="Direct message"):
        x.connect().reply(to, "在", "k")


@pytest.mark.parametrize("kind", ["cut_after", "truncated", "status", "html"])
@pytest.mark.parametrize("stream", ["mentions", "direct_messages"])
def test_an_answer_of_unknown_outcome_is_looked_up(x: Place, kind: str, stream: str) -> None:
    to = asked(x, stream)
    path = "/2/tweets" if stream == "mentions" else "/2/dm_conversations"
    x.x.fault(kind, path=path, status=503)
    text = "看这里 https://help.example/a 谢谢 & 再见"
    before = x.clock()
    with pytest.raises(Unavailable) as caught:
        x.connect().reply(to, text, "k")
    assert caught.value.maybe_done
    x.clock.on(seconds=5)
    found = x.connect().find_reply(to, text, "k", before)
    arrived = kind in ("cut_after", "truncated")
    assert (found is not None) is arrived
    if found is None:
        found = x.connect().reply(to, text, "k")
    assert x.connect().find_reply(to, text, "k", before) is not None
    assert x.connect().find_reply(to, "别的话", "k", before) is None
    assert x.connect().find_reply(to, text, "k", x.clock() + minutes(10)) is None


def test_an_answer_that_could_not_be_sent_at_all_is_known_not_to_be(x: Place) -> None:
    to = asked(x)
    with pytest.raises(Unavailable) as caught:
        x.connect(base_url="http://127.0.0.1:9").reply(to, "在", "k")
    assert not caught.value.maybe_done


def test_a_conversation_shows_an_answer_before_the_list_of_all_does(x: Place) -> None:
    to = asked(x, "direct_messages")
    x.x.dm_lag = minutes(1)
    x.connect().reply(to, "收到", "k")
    assert x.connect().find_reply(to, "收到", "k", x.clock()) is not None


def test_answers_have_windows_of_their_own(x: Place) -> None:
    x.x.limits["post"] = (1, 0)
    one, two = asked(x), asked(x)
    x.connect().reply(one, "一", "k")
    with pytest.raises(RateLimited):
        x.connect().reply(two, "二", "k")
    assert x.calls("/2/tweets", "POST") == 1  # the second was not even asked
    x.walk("mentions", None)
    x.clock.on(minutes=15)
    x.connect().reply(two, "二", "k")


def test_an_edited_post_is_answered_in_its_newest_version(x: Place) -> None:
    _, cursor = x.walk("mentions", None)
    post = x.mention("没到货", BEN)
    x.clock.on(minutes=2)
    edit = x.x.edit(post, "@lumo 到货了", x.clock())
    x.clock.on(minutes=1)
    (to,) = x.walk("mentions", cursor)[0]
    sent = x.connect().reply(to, "太好了", "k")
    assert x.x.posts[int(sent.native_id)].reply_to is edit
    assert sent.reply_to == str(post.id) == to.native_id
    assert x.connect().find_reply(to, "太好了", "k", x.clock()) is not None


def test_our_own_messages_are_not_answered(x: Place) -> None:
    to = asked(x)
    sent = x.connect().reply(to, "在", "k")
    with pytest.raises(Rejected, match="our own"):
        x.connect().reply_limit(sent)


@pytest.mark.parametrize("stream", ["mentions", "direct_messages"])
def test_what_was_sent_is_told_even_where_it_cannot_be_counted(x: Place, stream: str) -> None:
    to = asked(x, stream)

    class Failing(MemoryKeep):
        """Does not answer any more, once X has what we sent."""

        def get(self, key: str) -> str | None:
            if any(kind.endswith(".create") for _, kind, _ in x.x.billed):
                raise Unavailable("the database does not answer")
            return super().get(key)

    x.keep = Failing()
    sent = x.connect().reply(to, "收到", "k")
    assert sent.native_id in {str(one) for one in (*x.x.posts, *x.x.events)}
