"""WeCom customer service: the queue, its cursor, names, recalls, and the callback that wakes it."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from aggregator.errors import RateLimited, Rejected, Unauthorized, Unavailable
from aggregator.model import Accepted, Attachment, Direction, Kind, Push
from aggregator.sandbox.base import Answer, Request, answer
from connectors.base import Receives
from connectors.wecom import WeCom, WeComOptions
from tests.connectors.loopback import Clock, Loopback, MemoryKeep, platform

FIXTURES = Path(__file__).parents[1] / "fixtures"
VECTOR: dict[str, Any] = json.loads((FIXTURES / "wechat" / "crypto__vector.json").read_text())
KEY, TOKEN = VECTOR["encoding_aes_key"], VECTOR["token"]
STAMP, NONCE = VECTOR["timestamp"], VECTOR["nonce"]
CORP = VECTOR["wecom"]["receiver"]
KFID = "wkLumoAAAAq7HhCt7IFSvLKtMPxyJTw"
PERSON = "wmLumoBBBBcust0mer01"
SECRET = "corp-secret-never-told"
HINT = "ENCApHxnGDNAVNY4AaSJKj4Tb5mwsEMzxhFmHVGcra996NR"
SYNC, NAMES, GET_TOKEN, STATE, SEND = (
    "/cgi-bin/kf/sync_msg",
    "/cgi-bin/kf/customer/batchget",
    "/cgi-bin/gettoken",
    "/cgi-bin/kf/service_state/get",
    "/cgi-bin/kf/send_msg",
)


def fixture(name: str) -> Any:
    return json.loads((FIXTURES / "wecom" / f"{name}.json").read_text())


def raw(value: Any) -> Answer:
    return Answer(json.dumps(value).encode())


class Corp:
    """WeCom, with `pages` by cursor ("" for none)."""

    def __init__(self) -> None:
        self.pages: dict[str, Any] = {"": fixture("sync_msg__every_type")}
        self.refused: dict[tuple[str | None, str | None], int] = {}
        self.names: Any = fixture("customer_batchget__page")
        self.codes: list[int] = []
        self.tokens = 0
        self.accounts: list[Any] = [{"open_kfid": KFID, "name": "Lumo 客服"}]
        self.state: dict[str, Any] = {"service_state": 0}
        self.sent: list[dict[str, Any]] = []

    def say(self, request: Request) -> Answer:
        if request.path == GET_TOKEN:
            if request.query["corpsecret"] != SECRET:
                return answer({"errcode": 40001, "errmsg": "invalid credential"})
            self.tokens += 1
            return answer({"errcode": 0, "access_token": f"corp-{self.tokens}", "expires_in": 7200})
        if self.codes:
            return answer({"errcode": self.codes.pop(0), "errmsg": "hint: [1]"})
        if request.path == NAMES:
            return answer(self.names)
        if request.path == "/cgi-bin/kf/account/list":
            return answer({"errcode": 0, "account_list": self.accounts[request.json()["offset"] :]})
        if request.path == STATE:
            return answer({"errcode": 0, **self.state})
        if request.path == SEND:
            self.sent.append(request.json())
            return answer({"errcode": 0, "errmsg": "ok", "msgid": request.json()["msgid"]})
        assert request.path == SYNC
        asked = request.json()
        assert asked["open_kfid"] == KFID
        assert asked["limit"] <= 1000
        code = self.refused.get((asked.get("cursor"), asked.get("token")))
        if code:
            return answer({"errcode": code, "errmsg": "invalid"})
        return raw(self.pages[asked.get("cursor", "")])


@contextmanager
def corp(keep: MemoryKeep | None = None) -> Iterator[tuple[Corp, Loopback, WeCom, Clock]]:
    told, clock = Corp(), Clock()
    with platform(told.say) as server:
        yield told, server, wecom(keep, clock, base_url=server.base_url), clock


def wecom(keep: MemoryKeep | None = None, clock: Clock | None = None, **more: Any) -> WeCom:
    given = {
        "corp_id": CORP,
        "secret": SECRET,
        "open_kfid": KFID,
        "token": TOKEN,
        "encoding_aes_key": KEY,
        **more,
    }
    return WeCom(WeComOptions(**given), keep=keep or MemoryKeep(), now=clock or Clock())


def message(id: str, text: str = "在吗") -> dict[str, Any]:
    return {
        "msgid": id,
        "open_kfid": KFID,
        "external_userid": PERSON,
        "send_time": 1795229400,
        "origin": 3,
        "msgtype": "text",
        "text": {"content": text},
    }


def page(*messages: Any, next_cursor: str, has_more: int = 0) -> dict[str, Any]:
    told = {"errcode": 0, "errmsg": "ok", "next_cursor": next_cursor, "has_more": has_more}
    return {**told, "msg_list": list(messages)}


def place(cursor: str | None) -> str:
    """The platform's own word in what the connector wants stored."""
    return str(json.loads(cursor or "{}")["cursor"])


# --- messages -----------------------------------------------------------------------------------


def test_customers_and_servicers_are_told_apart_and_events_are_no_messages() -> None:
    with corp() as (_, _, account, _):
        found = account.poll("messages", None)
    by_id = {one.native_id: one for one in found.messages if one.deleted_at is None}
    assert list(by_id) == ["m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "m9", "m10", "m11"]
    first, answered = by_id["m1"], by_id["m10"]
    assert first.kind is Kind.DIRECT_MESSAGE
    assert first.direction is Direction.INBOUND
    assert first.text == "你好，充电宝充不进电 &amp; 发烫 <b>急</b>"
    assert first.person == PERSON
    assert first.author is not None
    assert (first.author.native_id, first.author.name) == (PERSON, "小满")
    assert first.sent_at == datetime(2026, 11, 21, 2, 50, tzinfo=UTC)
    assert answered.direction is Direction.OUTBOUND
    assert answered.person == PERSON
    assert answered.author is not None
    assert answered.author.native_id == "zhaomin"
    assert by_id["m11"].author is not None
    assert by_id["m11"].author.name is None  # the platform knows no name
    assert all(one.marks == () for one in found.messages)
    assert (place(found.cursor), found.more) == ("4gw7MepFLfgF2VC5npN", False)


def test_each_type_has_its_attachment() -> None:
    with corp() as (_, _, account, _):
        found = account.poll("messages", None).messages
    assert [(one.attachments, one.text) for one in found[1:9]] == [
        ((Attachment("image", media_id="media-1"),), None),
        ((Attachment("voice", media_id="media-2"),), None),
        ((Attachment("file", title="发票.pdf", media_id="media-3"),), None),
        ((Attachment("location", title="人民广场 黄浦区人民大道"),), None),
        ((Attachment("link", "https://news.example/a?b=1", "召回公告？"),), None),
        ((Attachment("card", title="Lumo 商城"),), None),
        ((Attachment("card", title="8812"),), None),
        ((Attachment("unknown", title="hologram"),), None),
    ]


def test_a_recall_is_a_tombstone_for_the_message_that_it_takes_back() -> None:
    with corp() as (_, _, account, _):
        found = account.poll("messages", None).messages
    theirs, ours = [one for one in found if one.deleted_at is not None]
    assert (theirs.key, theirs.direction, theirs.text) == (
        "direct_message:m1",
        Direction.INBOUND,
        None,
    )
    assert theirs.deleted_at == datetime.fromtimestamp(1795229480, UTC)
    assert (ours.native_id, ours.direction) == ("m10", Direction.OUTBOUND)


def test_odd_items_are_kept_and_marked_and_never_stop_a_page() -> None:
    with corp() as (told, _, account, _):
        told.pages[""] = fixture("sync_msg__hostile")
        found = account.poll("messages", None)
        again = account.poll("messages", None)
    assert place(found.cursor) == "n2"
    assert [one.key for one in found.messages] == [one.key for one in again.messages]
    number, words, listed, empty, no_id, big, broken, odd_type, later = found.messages
    for odd in (number, words, listed, empty):
        assert odd.attachments == (Attachment("unknown", title="missing"),)
        assert "author.missing" in odd.marks
    assert len({one.native_id for one in found.messages}) == 9
    assert no_id.text == "没有编号"
    assert big.native_id == "22876340532172986123"
    assert (big.text, big.sent_at, big.marks) == (None, None, ("time.missing",))
    assert (broken.text, broken.marks) == ("坏\ufffd字\ufffd", ("text.scrubbed",))
    assert odd_type.attachments[0].kind == "unknown"
    assert later.marks == ("origin.unknown",)
    assert later.direction is Direction.INBOUND
    json.loads(broken.raw)


def test_a_text_of_a_megabyte_is_read_whole() -> None:
    with corp() as (told, _, account, _):
        told.pages[""] = page(message("m", "长" * 350_000), next_cursor="c")
        (one,) = account.poll("messages", None).messages
    assert one.text == "长" * 350_000


# --- the cursor ---------------------------------------------------------------------------------


def test_an_empty_page_with_more_behind_it_is_no_end() -> None:
    with corp() as (told, server, account, _):
        told.pages = {
            "": page(message("a"), next_cursor="c1", has_more=1),
            "c1": page(next_cursor="c2", has_more=1),
            "c2": page(message("b"), next_cursor="c3"),
        }
        cursor, ids, more = None, [], True
        while more:
            found = account.poll("messages", cursor)
            cursor, more = found.cursor, found.more
            ids += [one.native_id for one in found.messages]
        assert (ids, place(cursor)) == (["a", "b"], "c3")
        assert "cursor" not in server.asked(SYNC)[0].json()
        assert server.asked(SYNC)[0].json()["voice_format"] == 0


@pytest.mark.parametrize("following", ["c1", "", None, 7])
def test_a_cursor_that_does_not_move_is_no_endless_walk(following: Any) -> None:
    with corp() as (told, _, account, _):
        told.pages["c1"] = page(message("a"), next_cursor=following, has_more=1)
        found = account.poll("messages", "c1")
    assert (place(found.cursor), found.more, len(found.messages)) == ("c1", False, 1)


def test_a_refused_cursor_begins_anew_without_one() -> None:
    with corp() as (told, _, account, _):
        told.refused = {("expired", None): 40058}
        found = account.poll("messages", "expired")
    assert (len(found.messages), place(found.cursor)) == (13, "4gw7MepFLfgF2VC5npN")


def test_a_parameter_that_stays_refused_is_unavailable() -> None:
    with corp() as (told, server, account, _):
        told.refused = {("c", None): 40058, (None, None): 40058}
        with pytest.raises(Unavailable):
            account.poll("messages", "c")
        assert len(server.asked(SYNC)) == 2


# --- names --------------------------------------------------------------------------------------


def test_names_are_asked_for_once_a_day_and_shared_through_the_keep() -> None:
    keep = MemoryKeep()
    with corp(keep) as (_, server, account, clock):
        account.poll("messages", None)
        other = wecom(keep, clock, base_url=server.base_url)
        assert other.poll("messages", None).messages[0].author == (
            account.poll("messages", None).messages[0].author
        )
        assert len(server.asked(NAMES)) == 1
        assert server.asked(NAMES)[0].json()["external_userid_list"] == [
            PERSON,
            "wmLumoBBBBcust0mer02",
        ]
        clock.on(hours=25)
        account.poll("messages", None)
        assert len(server.asked(NAMES)) == 2


def test_no_more_than_a_hundred_names_are_asked_for_at_once() -> None:
    people = [{**message(f"m{n}"), "external_userid": f"wm{n:03}"} for n in range(250)]
    keep = MemoryKeep()
    with corp(keep) as (told, server, account, _):
        told.pages[""] = page(*people, next_cursor="c")
        told.names = {
            "errcode": 0,
            "customer_list": [{"external_userid": "wm249", "nickname": "末"}],
        }
        found = account.poll("messages", None).messages
        asked = [len(one.json()["external_userid_list"]) for one in server.asked(NAMES)]
    assert asked == [100, 100, 50]
    assert found[249].author is not None
    assert found[249].author.name == "末"
    assert len(json.loads(keep.rows["names"])) == 200


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 500},
        {"kind": "html_ok"},
        {"kind": "cut"},
        {"kind": "truncated"},
        {"kind": "status", "status": 200, "body": b'{"errcode": 48002, "errmsg": "forbidden"}'},
        {
            "kind": "status",
            "status": 200,
            "body": b'{"errcode": 0, "customer_list": [null, 5, {}]}',
        },
        {"kind": "status", "status": 200, "body": b'{"errcode": 0, "customer_list": "none"}'},
    ],
)
def test_a_message_waits_for_a_name_twice_and_not_longer(fault: dict[str, Any]) -> None:
    asked = 0
    with corp() as (_, server, account, _):
        server.fault(path=NAMES, times=9, **fault)
        while True:
            asked += 1
            try:
                found = account.poll("messages", None)
            except Unavailable:
                continue
            break
    assert asked <= 3
    assert len(found.messages) == 13
    assert found.messages[0].author is not None
    assert (found.messages[0].author.native_id, found.messages[0].author.name) == (PERSON, None)


@pytest.mark.parametrize("kept", ["", "nonsense", "[]", '{"wmLumoBBBBcust0mer01": 5}', "null"])
def test_a_damaged_keep_is_written_anew(kept: str) -> None:
    keep = MemoryKeep()
    keep.rows = {"names": kept, "sync_token": kept}
    with corp(keep) as (_, _, account, _):
        author = account.poll("messages", None).messages[0].author
    assert author is not None
    assert author.name == "小满"


# --- outcomes -----------------------------------------------------------------------------------


def test_an_expired_token_is_renewed_once() -> None:
    with corp() as (told, server, account, _):
        told.codes = [42001]
        assert len(account.poll("messages", None).messages) == 13
        assert len(server.asked(GET_TOKEN)) == 2


def test_a_token_refused_for_ever_stops_at_once() -> None:
    with corp() as (told, server, account, _):
        told.codes = [40014] * 50
        with pytest.raises(Unauthorized):
            account.poll("messages", None)
        assert len(server.requests) == 4


@pytest.mark.parametrize(
    ("code", "outcome", "word"),
    [
        (60020, Unauthorized, "whitelist"),
        (95000, Unauthorized, "open_kfid"),
        (45009, RateLimited, "45009"),
        (48002, Rejected, "48002"),
        (-1, Unavailable, "-1"),
    ],
)
def test_each_errcode_says_what_is_to_be_done(
    code: int, outcome: type[Exception], word: str
) -> None:
    with corp() as (told, _, account, _):
        told.codes = [code]
        with pytest.raises(outcome, match=word):
            account.poll("messages", None)


def test_the_frequency_limit_is_a_minutes() -> None:
    with corp() as (told, _, account, _):
        told.codes = [45009]
        with pytest.raises(RateLimited) as caught:
            account.poll("messages", None)
    assert caught.value.retry_after_s == 60


@pytest.mark.parametrize("path", [GET_TOKEN, SYNC])
@pytest.mark.parametrize("kind", ["status", "html", "html_ok", "truncated", "cut", "cut_after"])
def test_trouble_on_the_way_moves_no_cursor_and_tells_no_secret(path: str, kind: str) -> None:
    with corp() as (_, server, account, _):
        server.fault(kind, path=path)
        with pytest.raises(Unavailable) as caught:
            account.poll("messages", None)
        told = "".join(traceback.format_exception(caught.value))
        assert SECRET not in told
        link: BaseException | None = caught.value
        while link is not None:
            assert SECRET not in str(link)
            assert "corp-1" not in str(link)
            link = link.__context__
        assert len(account.poll("messages", None).messages) == 13


def test_an_answer_without_a_list_moves_no_cursor() -> None:
    with corp() as (told, _, account, _):
        told.pages[""] = {"errcode": 0, "next_cursor": "far", "has_more": 0}
        with pytest.raises(Unavailable):
            account.poll("messages", None)


def test_check_names_the_account() -> None:
    with corp() as (_, _, account, _):
        identity = account.check()
    assert (identity.native_id, identity.name) == (KFID, "Lumo 客服")


def test_check_refuses_an_account_that_is_not_listed() -> None:
    with (
        corp() as (_, server, _, clock),
        pytest.raises(Unauthorized, match="open_kfid"),
    ):
        wecom(None, clock, base_url=server.base_url, open_kfid="wkTypo").check()


def test_a_wrong_secret_is_told_without_the_secret() -> None:
    with corp() as (_, server, _, clock):
        account = wecom(None, clock, base_url=server.base_url, secret="wrong-secret")
        with pytest.raises(Unauthorized) as caught:
            account.check()
        assert "wrong-secret" not in "".join(traceback.format_exception(caught.value))


# --- the callback -------------------------------------------------------------------------------


def sign(*parts: str) -> str:
    return hashlib.sha1("".join(sorted(parts)).encode()).hexdigest()


def seal(words: str, receiver: str = CORP) -> str:
    secret = base64.b64decode(KEY + "=")
    plain = b"0123456789abcdef" + struct.pack(">I", len(words.encode())) + words.encode()
    plain += receiver.encode()
    pad = 32 - len(plain) % 32
    encryptor = Cipher(algorithms.AES(secret), modes.CBC(secret[:16])).encryptor()
    return base64.b64encode(encryptor.update(plain + bytes([pad]) * pad)).decode()


def callback(words: str, **more: str) -> Push:
    sealed = seal(words, **more)
    query = {"timestamp": STAMP, "nonce": NONCE, "msg_signature": sign(TOKEN, STAMP, NONCE, sealed)}
    body = f"<xml><ToUserName>{CORP}</ToUserName><Encrypt>{sealed}</Encrypt></xml>"
    return Push("POST", query, {}, body.encode(), Clock()())


EVENT = fixture("callback__kf_msg_or_event")["xml"]


def test_it_receives() -> None:
    assert isinstance(wecom(), Receives)
    assert wecom().pushed == ("callback",)


@pytest.mark.parametrize("spoilt", [False, True])
def test_the_vector_made_by_another_program_opens_the_handshake(spoilt: bool) -> None:
    told = VECTOR["wecom"]
    echo = told["echostr"].replace("+", " ") if spoilt else told["echostr"]
    query = {"msg_signature": told["msg_signature"], "timestamp": STAMP, "nonce": NONCE}
    request = Push("GET", {**query, "echostr": echo}, {}, b"", Clock()())
    assert wecom().verify(request) == Accepted(told["plain"].encode())
    with pytest.raises(Rejected):
        wecom().verify(Push("GET", {**query, "nonce": "1", "echostr": echo}, {}, b"", Clock()()))


def test_a_callback_wakes_the_queue_and_its_token_goes_with_the_next_poll() -> None:
    with corp() as (_, server, account, clock):
        accepted = account.verify(callback(EVENT))
        assert (accepted.answer, accepted.stream) == (b"success", "callback")
        assert accepted.store == (EVENT.encode(),)
        woken = account.read(accepted.store)
        assert (woken.messages, woken.wake, woken.cursor) == ((), ("messages",), None)
        account.poll("messages", None)
        assert server.asked(SYNC)[-1].json()["token"] == HINT
        clock.on(minutes=10)
        account.poll("messages", None)
        assert "token" not in server.asked(SYNC)[-1].json()


def test_a_token_that_is_refused_is_dropped_and_the_cursor_kept() -> None:
    keep = MemoryKeep()
    with corp(keep) as (told, server, account, _):
        account.read([EVENT.encode()])
        told.pages["c"] = page(message("a"), next_cursor="d")
        told.refused = {("c", HINT): 40058}
        assert place(account.poll("messages", "c").cursor) == "d"
        assert [sorted(one.json()) for one in server.asked(SYNC)] == [
            ["cursor", "limit", "open_kfid", "token", "voice_format"],
            ["cursor", "limit", "open_kfid", "voice_format"],
        ]
    assert "sync_token" not in keep.rows


def test_a_token_that_comes_late_is_old_already() -> None:
    with corp() as (_, server, account, clock):
        clock.on(minutes=30)
        account.read([EVENT.encode()])
        account.poll("messages", None)
        assert "token" not in server.asked(SYNC)[-1].json()


@pytest.mark.parametrize(
    "words",
    [
        EVENT.replace("kf_msg_or_event", "kf_account_auth_change"),
        EVENT.replace(KFID, "wkOther"),
        EVENT.replace("[event]", "[text]"),
    ],
)
def test_what_says_nothing_of_our_messages_is_answered_and_not_stored(words: str) -> None:
    assert wecom().verify(callback(words)) == Accepted(b"success")


@pytest.mark.parametrize(
    "words",
    ["", "<xml/>", "<xml><Event>kf_msg_or_event</Event></xml>", "<!DOCTYPE a><xml/>", "订单"],
)
def test_sealed_nonsense_is_refused(words: str) -> None:
    with pytest.raises(Rejected):
        wecom().verify(callback(words))


def test_another_corps_callback_is_refused() -> None:
    with pytest.raises(Rejected):
        wecom().verify(callback(EVENT, receiver="ww0000000000000000"))


def test_a_plain_callback_is_refused() -> None:
    query = {"timestamp": STAMP, "nonce": NONCE, "signature": sign(TOKEN, STAMP, NONCE)}
    with pytest.raises(Rejected):
        wecom().verify(Push("POST", query, {}, EVENT.encode(), Clock()()))


def test_stored_nonsense_wakes_the_queue_all_the_same() -> None:
    assert wecom().read([b"\xff\x00", b"<xml>"]) == wecom().read([b"<xml/>"])
    assert wecom().read([b"<xml/>"]).wake == ("messages",)
