"""What Weibo's statuses, comments and direct messages say, as messages."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from aggregator.errors import Rejected
from aggregator.model import Accepted, Attachment, Author, Direction, Kind, Message, Push
from connectors.base import Receives
from connectors.weibo import Weibo, WeiboOptions
from connectors.weibo.messages import comment, status, unescaped
from tests.connectors.loopback import T0, Clock, MemoryKeep

FIXTURES = Path(__file__).parents[1] / "fixtures" / "weibo"
US = "1655548273"
THEM = Author("3900112233", "小满爱跑步", "小满爱跑步", 48211, True)
SECRET = "weibo-app-secret"
STAMP, NONCE = str(int(T0.timestamp())), "8412"


def listed(name: str) -> list[Any]:
    told = json.loads((FIXTURES / f"{name}.json").read_text())
    found: list[Any] = told.get("statuses") or told["comments"]
    return found


def statuses(name: str) -> list[Message]:
    return [status(one, uid=US, now=T0, long=lambda _: None) for one in listed(name)]


def comments(name: str, *, ours: bool = False) -> list[Message]:
    return [comment(one, uid=US, now=T0, ours=ours) for one in listed(name)]


# --- mentions -----------------------------------------------------------------------------------


def test_a_mention_is_read_with_its_words_as_written() -> None:
    message = statuses("mentions__shapes")[2]
    assert message.kind is Kind.MENTION
    assert message.direction is Direction.INBOUND
    assert message.text == "@Lumo官方 发货慢 <3 天> 第二次了 &amp; ?a=1&copy=2"
    assert message.author == THEM
    assert message.person == "3900112233"
    assert message.sent_at == datetime(2026, 11, 21, 2, 50, 30, tzinfo=UTC)
    assert message.root == message.native_id
    assert message.reply_to is None
    assert message.url == f"https://weibo.com/3900112233/{message.native_id}"
    assert message.attachments == (
        Attachment("image", "http://wx1.example/large/a.jpg"),
        Attachment("image", "http://wx1.example/thumbnail/b.jpg"),
    )
    assert message.quoted is None
    assert message.marks == ()
    assert json.loads(message.raw)["idstr"] == message.native_id


def test_a_repost_keeps_its_chain_and_quotes_the_original() -> None:
    deleted, chain = statuses("mentions__shapes")[:2]
    assert chain.text == "//@阿强: 同问 // @小红 ：回复@阿强:充不进电 [怒]"
    assert chain.quoted == "Lumo 又坏了 & 没人理"
    assert deleted.text == "转发微博"
    assert deleted.quoted is None  # nobody wrote the words that stand there now
    assert deleted.deleted_at is None


def test_a_repost_of_ours_answers_the_one_who_wrote_the_original() -> None:
    ours = statuses("mentions__shapes")[4]
    original = listed("mentions__shapes")[4]["retweeted_status"]
    assert ours.direction is Direction.OUTBOUND
    assert ours.reply_to == ours.root == original["idstr"]
    assert ours.person == "3900445566"


def test_a_deleted_post_is_a_tombstone_without_words() -> None:
    gone = statuses("mentions__shapes")[5]
    assert (gone.text, gone.deleted_at) == (None, T0)


def test_a_long_post_that_was_brought_along_is_read_whole() -> None:
    whole = "@Lumo官方 说好三天退款，等了两个星期 &amp; 客服不回。"
    item = listed("mentions__shapes")[3]
    message = status(item, uid=US, now=T0, long=lambda one: one["longText"]["longTextContent"])
    assert message.text == whole.replace("&amp;", "&")
    cut = status(item, uid=US, now=T0, long=lambda _: None)
    assert cut.text == "@Lumo官方 说好三天退款…全文：http://m.weibo.cn/1/2"
    assert cut.marks == ("text.cut",)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("&lt;b&gt; &amp;amp; &#39;&#x4F60;", "<b> &amp; '你"),
        ("a&b &copy=1 &nosuch; & ;", "a&b &copy=1 &nosuch; & ;"),
        ("&" * 50_000, "&" * 50_000),
        ("&" + "a" * 100_000 + ";", "&" + "a" * 100_000 + ";"),
    ],
)
def test_entities_are_undone_once_and_nothing_else_is_touched(given: str, expected: str) -> None:
    assert unescaped(given) == expected


def test_odd_statuses_are_kept_and_marked() -> None:
    found = statuses("mentions__hostile")
    assert len({one.native_id for one in found}) == len(found)
    assert [one.key for one in found] == [one.key for one in statuses("mentions__hostile")]
    for empty in found[:5]:
        assert empty.marks == ("author.missing", "id.missing", "time.missing")
        assert (empty.text, empty.author, empty.sent_at) == (None, None, None)
    no_words, future, small, negative, scrubbed, no_id, fraction = found[5:]
    assert no_words.marks == ("author.missing", "time.missing")
    assert future.native_id == "99999999999999999999999999"
    assert future.person == "3900112233123456789012"
    assert small.native_id == "7"
    assert (negative.text, negative.attachments, negative.quoted) == (None, (), None)
    assert scrubbed.text == "坏\ufffd字\ufffd\ufffd\ufffd"
    assert scrubbed.marks == ("text.scrubbed",)
    assert scrubbed.author is not None
    assert scrubbed.author.name == "名\ufffd"
    assert no_id.marks == ("id.missing",)
    assert fraction.marks == ("id.missing",)


def test_a_made_id_does_not_change_with_the_counters() -> None:
    item = {"text": "没有编号", "created_at": "x", "user": {"id": 5, "followers_count": 1}}
    later = {**item, "user": {"id": 5, "followers_count": 2}, "reposts_count": 9}
    first, second = (status(one, uid=US, now=T0, long=lambda _: None) for one in (item, later))
    assert first.native_id == second.native_id


def test_a_text_of_a_megabyte_is_read_whole() -> None:
    item = {**listed("mentions__shapes")[2], "text": "退" * 350_000}
    assert status(item, uid=US, now=T0, long=lambda _: None).text == "退" * 350_000


# --- comments -----------------------------------------------------------------------------------


def test_a_comment_stands_under_its_post() -> None:
    answer, first = comments("comments_to_me__shapes")
    post = listed("comments_to_me__shapes")[0]["status"]["idstr"]
    assert first.kind is Kind.COMMENT
    assert first.direction is Direction.INBOUND
    assert first.text == "买了三天就坏 >_< [怒]"
    assert (first.root, first.person, first.author) == (post, "3900112233", THEM)
    assert first.url == f"https://weibo.com/{US}/{post}"
    assert answer.text == "回复@Lumo官方:还是不行"
    assert answer.reply_to == listed("comments_to_me__shapes")[0]["reply_comment"]["idstr"]


def test_a_comment_under_a_strangers_post_that_mentions_us_is_a_comment() -> None:
    (found,) = comments("comments_mentions__shapes")
    assert found.kind is Kind.COMMENT
    assert found.root == listed("comments_mentions__shapes")[0]["status"]["idstr"]
    assert found.person == "3900112233"


def test_our_comments_answer_the_comment_or_the_post_that_they_stand_under() -> None:
    to_all, to_post, to_comment = comments("comments_by_me__shapes", ours=True)
    raw = listed("comments_by_me__shapes")
    assert {one.direction for one in (to_all, to_post, to_comment)} == {Direction.OUTBOUND}
    assert to_comment.reply_to == raw[2]["reply_comment"]["idstr"]
    assert to_comment.person == "3900112233"
    assert to_comment.root == raw[2]["status"]["idstr"]
    assert to_post.reply_to == to_post.root == raw[1]["status"]["idstr"]
    assert to_post.person == "3900445566"
    assert to_all.person is None  # to nobody


def test_a_comment_of_ours_in_another_list_is_outbound_with_the_same_key() -> None:
    there = comments("comments_by_me__shapes")[2]
    here = comments("comments_by_me__shapes", ours=True)[2]
    assert there == here


@pytest.mark.parametrize("item", [5, "x", [], {}, {"status": 7, "user": [], "reply_comment": "?"}])
def test_odd_comments_are_kept_and_marked(item: Any) -> None:
    for ours in (False, True):
        message = comment(item, uid=US, now=T0, ours=ours)
        assert "root.missing" in message.marks
        assert message.root == message.native_id


# --- direct messages ----------------------------------------------------------------------------


def weibo(**more: Any) -> Weibo:
    given = {"uid": US, "access_token": "2.00token", "app_secret": SECRET, **more}
    keep = MemoryKeep()
    at = int(T0.timestamp())
    people = {"3900112233": [None, None, None, at]}  # Weibo told nothing of them: nobody is asked
    keep.rows["people"] = json.dumps(people)
    return Weibo(WeiboOptions(**given), keep=keep, now=Clock())


def sign(*parts: str) -> str:
    return hashlib.sha1("".join(sorted(parts)).encode()).hexdigest()


def push(body: bytes = b"", method: str = "POST", **query: str) -> Push:
    told = {"timestamp": STAMP, "nonce": NONCE, "signature": sign(SECRET, STAMP, NONCE)}
    return Push(method, {**told, **query}, {}, body, T0)


def raw(name: str) -> bytes:
    return (FIXTURES / f"direct__{name}.json").read_bytes()


def direct(name: str) -> Message:
    account = weibo()
    accepted = account.verify(push(raw(name)))
    assert accepted == Accepted(b"", stream="direct_messages", store=(raw(name),))
    (message,) = account.read(accepted.store).messages
    return message


def test_direct_messages_are_received_where_there_is_an_app_secret() -> None:
    assert isinstance(weibo(), Receives)
    assert weibo().pushed == ("direct_messages",)
    assert weibo(app_secret=None).pushed == ()
    with pytest.raises(Rejected) as caught:
        weibo(app_secret=None).verify(push(raw("text")))
    assert caught.value.status == 404


def test_the_handshake_gives_the_echo_back() -> None:
    assert weibo().verify(push(method="GET", echostr="7719")) == Accepted(b"7719")
    with pytest.raises(Rejected):
        weibo().verify(push(method="GET"))


def test_a_direct_message_is_read() -> None:
    message = direct("text")
    assert message.kind is Kind.DIRECT_MESSAGE
    assert message.direction is Direction.INBOUND
    assert message.text == "订单 8812 & 退款"
    assert message.person == "3900112233"
    assert message.author == Author("3900112233")
    assert message.sent_at == datetime(2026, 11, 21, 2, 50, tzinfo=UTC)
    assert message.root is None
    assert message.marks == ()


def media(kind: str, id: str) -> Attachment:
    link = f"https://upload.api.weibo.com/2/mss/msget?fid={id}"
    return Attachment(kind, link, "opens with the account's access_token only", id)


@pytest.mark.parametrize(
    ("name", "attachment"),
    [
        ("image", media("image", "821804469")),
        ("voice", media("voice", "22876340532172986")),
        ("position", Attachment("location", title="31.23,121.47")),
        ("unknown", Attachment("unknown", title="hologram")),
    ],
)
def test_each_type_has_its_attachment(name: str, attachment: Attachment) -> None:
    assert direct(name).attachments == (attachment,)
    assert direct(name).text is None


def test_two_texts_in_one_second_are_two_messages_and_a_repeat_is_none() -> None:
    other = raw("text").replace(b"8812", b"8813")
    first, second, third = weibo().read([raw("text"), other, raw("text")]).messages
    assert first.native_id != second.native_id
    assert first.native_id == third.native_id


def test_the_order_of_the_fields_changes_no_id() -> None:
    turned = json.dumps(dict(reversed(json.loads(raw("image")).items()))).encode()
    first, second = weibo().read([raw("image"), turned]).messages
    assert first.native_id == second.native_id


def test_events_are_no_messages_and_mentions_wake_their_list() -> None:
    account = weibo()
    assert account.verify(push(raw("event_follow"))) == Accepted(b"")
    assert account.read([raw("event_follow")]).messages == ()
    woken = account.read([raw("mention_status"), raw("mention_comment"), raw("mention_status")])
    assert (woken.messages, woken.wake) == ((), ("mentions", "comment_mentions"))


def test_odd_direct_messages_are_kept_and_marked() -> None:
    odd = direct("bad_time")
    assert odd.marks == ("author.missing", "time.missing")
    assert odd.text == "几点了"
    broken = b'{"type":"text","text":"\\ud800\\u0000","sender_id":1e400,"data":5}'
    scrubbed, unreadable = weibo().read([broken, b"{half"]).messages
    assert scrubbed.text == "\ufffd\ufffd"
    assert "text.scrubbed" in scrubbed.marks
    assert unreadable.attachments == (Attachment("unknown"),)
    assert unreadable.raw == b"{half"


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"5", b"null", b"{}", b"<xml/>", b"{half", b"\xff", b"[" * 100_000, b"9" * 6000],
)
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(Rejected) as caught:
        weibo().verify(push(body))
    assert caught.value.status == 400


def test_a_body_over_the_limit_is_refused() -> None:
    with pytest.raises(Rejected) as caught:
        weibo().verify(push(b'{"type":"text","text":"' + b"x" * 1_100_000 + b'"}'))
    assert caught.value.status == 413


@pytest.mark.parametrize(
    "query",
    [
        {"signature": "0" * 40},
        {"signature": sign("another", STAMP, NONCE)},
        {"signature": "签名"},
        {"timestamp": "1"},
        {"timestamp": "9" * 5000},
        {"nonce": "\ud800"},
    ],
)
def test_a_wrong_signature_is_refused_and_tells_nothing(query: dict[str, str]) -> None:
    with pytest.raises(Rejected) as caught:
        weibo().verify(push(raw("text"), **query))
    assert caught.value.status in (400, 401)
    assert SECRET not in str(caught.value)


def test_secrets_are_in_no_repr() -> None:
    options = WeiboOptions(uid=US, access_token="2.00token", app_secret=SECRET)
    assert "2.00token" not in repr(options)
    assert SECRET not in repr(options)
