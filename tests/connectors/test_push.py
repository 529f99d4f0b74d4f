"""What a script hands in: which of it becomes which message, and what is said of the rest."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from aggregator.errors import Rejected, SettingsError
from aggregator.model import Accepted, Attachment, Author, Direction, Kind, Message, Page, Push
from aggregator.settings import load
from connectors.base import Receives
from connectors.push import PushAccount, PushOptions
from connectors.push.item import ATTACHMENT, ATTACHMENTS, AUTHOR, FIELDS
from tests.connectors.loopback import MemoryKeep

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests" / "fixtures" / "push"
AT = datetime(2026, 3, 4, 2, 0, tzinfo=UTC)
TOKEN = "露沫-token-7Q"
KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
RIGHT = {"native_id": "m-1", "kind": "comment", "author": {"native_id": "u-1"}, "text": "还没发货"}


def account(**words: Any) -> PushAccount:
    options = PushOptions.model_validate(words or {"token": TOKEN})
    return PushAccount(options, keep=MemoryKeep(), now=lambda: AT)


def bearer(token: str = TOKEN) -> dict[str, str]:
    """As the server hands headers on: their bytes read as Latin-1."""
    return {"authorization": f"Bearer {token}".encode().decode("latin-1")}


def signed(
    body: bytes, *, key: bytes = KEY, at: datetime = AT, name: str = "msg_1"
) -> dict[str, str]:
    stamp = str(int(at.timestamp()))
    digest = hmac.digest(key, f"{name}.{stamp}.".encode() + body, hashlib.sha256)
    return {
        "webhook-id": name,
        "webhook-timestamp": stamp,
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }


def knock(told: Any, headers: dict[str, str] | None = None, **words: Any) -> Accepted:
    body = told if isinstance(told, bytes) else json.dumps(told).encode()
    push = Push("POST", {}, bearer() if headers is None else headers, body, AT)
    return account(**words).verify(push)


def errors(told: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(knock(told).answer)["errors"]
    return found


def only(**more: Any) -> Message:
    """The message that RIGHT becomes with these fields; None takes one away."""
    accepted = knock({key: value for key, value in {**RIGHT, **more}.items() if value is not None})
    assert accepted.status == 202, accepted.answer
    (message,) = account().read(accepted.store).messages
    return message


def wrong(**more: Any) -> list[tuple[str, str, str]]:
    accepted = knock({key: value for key, value in {**RIGHT, **more}.items() if value is not ...})
    assert (accepted.status, accepted.store) == (400, ())
    return [
        (one["field"], one["problem"], one["remedy"])
        for one in json.loads(accepted.answer)["errors"]
    ]


def fixture(name: str) -> tuple[Message, ...]:
    accepted = knock(
        (FIXTURES / f"messages__{name}.json").read_bytes(), platform="论坛", token=TOKEN
    )
    return account(token=TOKEN, platform="论坛").read(accepted.store).messages


def short(value: Any) -> str:
    """What a test's name says of a value that may be a megabyte."""
    return repr(value)[:32]


# --- the contract -------------------------------------------------------------------------------


def test_it_is_pushed_to_and_polls_nothing() -> None:
    one = account(platform="forum", token=TOKEN)
    assert isinstance(one, Receives)
    assert one.streams == one.pushed == ("messages",)
    assert one.poll("messages", "7") == Page((), "7")
    assert one.check().native_id == "forum"


def test_every_field_arrives_as_it_was_sent() -> None:
    mention, comment, ours, direct, answer, review, edit, gone = fixture("every_kind")
    assert mention.author == Author("u-1", "阿宁", "aning", 52000, True)
    assert (mention.platform, mention.kind, mention.lang) == ("论坛", Kind.MENTION, "zh")
    assert (mention.root, mention.person) == ("p-1", "u-1")
    assert mention.sent_at == AT
    assert mention.url == "https://forum.example/t/1"
    assert (comment.root, comment.reply_to, comment.person) == ("p-1", "p-1", "u-2")
    assert comment.sent_at == AT + timedelta(minutes=1, milliseconds=250)
    assert (ours.direction, ours.root, ours.reply_to) == (Direction.OUTBOUND, None, "p-1")
    assert ours.author == Author(native_id="论坛")
    assert direct.native_id == "9007199254740993"
    assert direct.person == "18446744073709551617"
    assert (direct.text, direct.root) == (None, None)
    assert direct.attachments == (
        Attachment("image", "https://cdn.forum.example/a.jpg"),
        Attachment("voice", None, "8 秒", "v-77"),
        Attachment("unknown", title="红包"),
    )
    assert (answer.person, answer.author) == ("18446744073709551617", Author("agent-4", "小客服"))
    assert review.kind is Kind.REVIEW
    assert review.attachments == (Attachment("rating", title="1.5"),)
    assert (edit.key, edit.edited_at) == (mention.key, AT + timedelta(minutes=30))
    assert (gone.key, gone.deleted_at) == (comment.key, AT + timedelta(minutes=40))
    for one in (mention, comment, ours, direct, answer, review, edit, gone):
        assert json.loads(one.raw)["native_id"] in (one.native_id, int_or(one.native_id))


def int_or(text: str) -> int | None:
    return int(text) if text.isdigit() else None


def test_what_no_database_takes_is_taken_out_and_marked() -> None:
    nul, bare, odd = fixture("hostile")
    assert nul.native_id == "��坏"
    assert nul.text == "半个字�和空�字符，还有 <@U123> & =1+1"
    assert nul.author == Author(name="零�宽")
    assert "text.scrubbed" in nul.marks
    assert (bare.native_id, bare.text, bare.author) == ("0", None, None)
    assert set(bare.marks) == {"author.missing", "time.missing"}
    assert (odd.native_id, odd.person, odd.text) == ("带空格", "某人", "  ")
    for one in (nul, bare, odd):
        json.loads(one.raw.decode())


def test_what_is_right_is_stored_although_other_items_are_wrong() -> None:
    accepted = knock((FIXTURES / "messages__with_errors.json").read_bytes())
    told = json.loads(accepted.answer)
    assert (accepted.status, accepted.stream) == (202, "messages")
    assert told["accepted"] == 2
    assert [json.loads(one)["native_id"] for one in accepted.store] == ["ok-1", "ok-2"]
    assert [(one["index"], one["field"]) for one in told["errors"]] == [
        (1, "sent_at"),
        (2, "txt"),
        (2, "kind"),
        (4, None),
    ]
    assert told["errors"][1]["remedy"] == "did you mean text?"
    assert told["errors"][2]["remedy"] == "did you mean comment?"


def test_where_nothing_is_right_the_status_is_400_and_nothing_is_stored() -> None:
    accepted = knock([{"kind": "comment"}, 7])
    assert (accepted.status, accepted.store) == (400, ())
    told = json.loads(accepted.answer)
    assert (told["accepted"], len(told["errors"])) == (0, 2)


def test_a_script_that_has_nothing_to_send_is_not_wrong() -> None:
    accepted = knock([])
    assert (accepted.status, accepted.store) == (202, ())


# --- one field after the other ------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        "2026-03-04T10:00:00+08:00",
        "2026-03-04 02:00:00Z",
        "2026-03-03T18:30:00.000000001-07:30",
        " 2026-03-04t02:00:00z ",
        1772589600,
        1772589600.0,
        1772589600000,
        "1772589600",
    ],
)
def test_a_time_is_read_in_all_its_shapes(value: Any) -> None:
    assert only(sent_at=value).sent_at == AT


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("2026-03-04T10:00:00", "is a time without its zone"),
        ("昨天下午", "is no time"),
        ("2026-02-30T10:00:00Z", "is no time"),
        ("0001-01-01T00:00:00+14:00", "is no time"),
        ("Tue May 31 17:46:55 +0800 2011", "is no time"),
        ("2026-03-04", "is no time"),
        (0, "is no time"),
        (-5, "is no time"),
        (True, "is no time"),
        (1e308, "is no time"),
        (10**400, "is no time"),
        (1772589600000000, "is no time"),
        (1772589, "is before the year 2000"),
        ({}, "is no time"),
        ("", "is no time"),
    ],
    ids=short,
)
@pytest.mark.parametrize("field", ["sent_at", "edited_at", "deleted_at"])
def test_a_time_that_cannot_be_read_is_told(field: str, value: Any, problem: str) -> None:
    ((where, what, remedy),) = wrong(**{field: value})
    assert (where, what) == (field, problem)
    assert "08:00" in remedy


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("native_id", ..., "is missing"),
        ("native_id", None, "is missing"),
        ("native_id", "  ", "is no id"),
        ("native_id", 1.5, "is a number that has lost digits"),
        ("native_id", True, "is no id"),
        ("native_id", ["m-1"], "is no id"),
        ("native_id", "退" * 201, "has more than 200 characters"),
        ("root", 1e30, "is a number that has lost digits"),
        ("kind", ..., "is missing"),
        ("kind", "评论", "is none of ours"),
        ("direction", "out", "is none of ours"),
        ("author", "张三", "is no object"),
        ("author.native_id", {"author": {"native_id": []}}, "is no id"),
        ("author.followers", {"author": {"followers": -1}}, "is no number of people"),
        ("author.verified", {"author": {"verified": "yes"}}, "is neither true nor false"),
        ("author.nick", {"author": {"nick": "老王"}}, "is unknown"),
        ("text", 7, "is no text"),
        ("text", "长" * 100_001, "has more than 100,000 characters"),
        ("url", "javascript:alert(1)", "is no web address"),
        ("url", "https://", "is no web address"),
        ("url", "https://a.example/ b", "is no web address"),
        ("lang", "z" * 36, "has more than 35 characters"),
        ("attachments", {"kind": "image"}, "is no list of objects"),
        ("attachments", ["image"], "is no list of objects"),
        ("attachments", [{"kind": "image"}] * 51, "has more than 50"),
        ("attachments.0.kind", {"attachments": [{"kind": "photo"}]}, "is none of ours"),
        ("attachments.0.kind", {"attachments": [{}]}, "is missing"),
        ("attachments.0.uri", {"attachments": [{"kind": "link", "uri": "x"}]}, "is unknown"),
        ("conversation_id", "77", "is unknown"),
    ],
    ids=short,
)
def test_what_is_wrong_is_named_by_its_field(field: str, value: Any, problem: str) -> None:
    more = value if "." in field else {field: value}
    ((where, what, remedy),) = wrong(**more)
    assert (where, what) == (field, problem)
    assert remedy


def test_a_text_of_the_greatest_length_is_kept_whole() -> None:
    text = "退" * 100_000
    assert only(text=text).text == text


def test_more_than_five_problems_of_one_item_help_nobody() -> None:
    assert len(wrong(**{f"字段{n}": n for n in range(4000)})) == 5
    ((name, _, _), *_) = wrong(**{"x" * 100_000: 1})
    assert len(name) == 64


def test_a_direct_message_needs_to_know_the_customer() -> None:
    ((field, what, _),) = wrong(kind="direct_message", author={"name": "无名"})
    assert (field, what) == ("person", "is missing")
    assert only(kind="direct_message", person="u-7").person == "u-7"
    assert only(kind="direct_message", direction="outbound", reply_to="m-0").person is None
    ((field, _, remedy),) = wrong(kind="direct_message", direction="outbound")
    assert field == "person"
    assert "reply_to" in remedy


def test_an_answer_of_ours_says_what_it_answers() -> None:
    ((field, what, _),) = wrong(direction="outbound")
    assert (field, what) == ("reply_to", "is missing")
    assert wrong(direction="outbound", root="m-1")[0][0] == "reply_to"
    assert only(direction="outbound", root="p-1").person is None
    assert only(direction="outbound", root="m-1", reply_to="c-0").root is None


def test_to_withdraw_a_message_takes_its_id_and_no_more() -> None:
    for kind in Kind:
        for direction in Direction:
            gone = only(
                kind=kind, direction=direction, author=None, text=None, deleted_at=1772589600
            )
            assert gone.deleted_at == AT


def test_a_customer_nobody_knows_has_a_public_message_all_the_same() -> None:
    message = only(author=None)
    assert (message.person, message.root) == (None, "m-1")
    assert "author.missing" in message.marks


# --- the body -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"native_id=1",
        b"[",
        b"\xff\xfe",
        b"7",
        b'"text"',
        b"null",
        b"NaN",
        b'[{"a":NaN}]',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"1" * 100_000,
        b"[1" + b"1" * 5000 + b"]",
        b"[" * 900 + b"]" * 900,
        b'[{"native_id":' + b"[" * 900 + b"]" * 900 + b"}]",
    ],
    ids=short,
)
def test_no_odd_body_gets_in(body: bytes) -> None:
    accepted = knock(body)
    assert (accepted.status, accepted.store) == (400, ())
    assert json.loads(accepted.answer)["errors"][0]["remedy"]


def test_too_many_at_once_are_refused_and_five_hundred_are_not() -> None:
    many = [{**RIGHT, "native_id": n} for n in range(501)]
    assert json.loads(knock(many).answer)["errors"][0]["problem"].startswith("501 messages")
    assert len(knock(many[:500]).store) == 500
    with pytest.raises(Rejected, match="too large") as told:
        knock(b" " * (1024 * 1024 + 1))
    assert told.value.status == 413


def test_a_body_with_a_byte_order_mark_is_read() -> None:
    assert knock(b"\xef\xbb\xbf" + json.dumps(RIGHT).encode()).status == 202


def test_what_an_older_version_let_in_is_kept_as_unreadable() -> None:
    page = account().read([b'{"native_id": "m-1", "kind": "whisper"}', b"\xff", b"[" * 100_000])
    assert [one.marks[0] for one in page.messages] == ["unreadable"] * 3
    assert len({one.native_id for one in page.messages}) == 3


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
)
WORDS = st.sampled_from(
    [*FIELDS, *AUTHOR, *ATTACHMENT, *Kind, *Direction, *ATTACHMENTS, "2026-03-04T10:00:00Z"]
)
JSON = st.recursive(
    SCALARS | WORDS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(), inner, max_size=6)
    ),
    max_leaves=20,
)
ITEMS = st.fixed_dictionaries(
    {"native_id": SCALARS, "kind": st.sampled_from([*Kind])},
    optional={name: JSON for name in FIELDS if name not in ("native_id", "kind")},
)


@given(told=st.lists(ITEMS | JSON, max_size=4) | JSON)
@examples(max_examples=120, deadline=None)
def test_whatever_is_sent_is_stored_or_named(told: Any) -> None:
    accepted = knock(told)
    answer = json.loads(accepted.answer)
    count = len(told) if isinstance(told, list) else 1
    assert answer["accepted"] == len(accepted.store) == len(account().read(accepted.store).messages)
    named = {one["index"] for one in answer["errors"]}
    assert answer["accepted"] + len(named) == count
    assert accepted.status == (400 if named and not accepted.store else 202)
    for message in account().read(accepted.store).messages:
        assert "unreadable" not in message.marks
        (message.text or "").encode()
        message.native_id.encode()


# --- who may push -------------------------------------------------------------------------------

BODY = json.dumps(RIGHT, ensure_ascii=False).encode()
BOTH = {"token": TOKEN, "secret": SECRET}


@pytest.mark.parametrize(
    "headers",
    [
        bearer(),
        {"authorization": f"bearer   {TOKEN}"},
        signed(BODY),
        signed(BODY, at=AT + timedelta(seconds=299)),
        signed(BODY, name="消息-1".encode().decode("latin-1")) | {"authorization": "Basic eA=="},
        {
            **signed(BODY),
            "webhook-signature": f"v1,AAAA v1a,xyz {signed(BODY)['webhook-signature']}",
        },
    ],
)
def test_either_proof_opens(headers: dict[str, str]) -> None:
    if headers.get("webhook-id", "msg_1") != "msg_1":
        stamp = headers["webhook-timestamp"].encode()
        digest = hmac.digest(KEY, b".".join(("消息-1".encode(), stamp, BODY)), hashlib.sha256)
        headers = {**headers, "webhook-signature": "v1," + base64.b64encode(digest).decode()}
    assert knock(BODY, headers, **BOTH).status == 202


OTHER_KEY = b"another key altogether 0123456789"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer"},
        {"authorization": "Bearer "},
        {"authorization": TOKEN},
        {"authorization": f"Basic {TOKEN}"},
        bearer(TOKEN + "x"),
        bearer(TOKEN[:-1]),
        {"authorization": "Bearer \ud800\x00退"},
        signed(BODY + b" "),
        signed(BODY, key=OTHER_KEY),
        signed(BODY, at=AT - timedelta(seconds=301)),
        signed(BODY, at=AT + timedelta(seconds=301)),
        {**signed(BODY), "webhook-id": "msg_2"},
        {**signed(BODY), "webhook-id": ""},
        {**signed(BODY), "webhook-timestamp": "１７７２５８９６００"},
        {**signed(BODY), "webhook-timestamp": "9" * 5000},
        {**signed(BODY), "webhook-timestamp": "-1"},
        {**signed(BODY), "webhook-timestamp": "1772589600.0"},
        {**signed(BODY), "webhook-signature": "\ud800 é \x00 v1, v1"},
        {
            **signed(BODY),
            "webhook-signature": signed(BODY)["webhook-signature"].replace("v1,", "v2,"),
        },
        {**signed(BODY), "webhook-signature": signed(BODY)["webhook-signature"][3:]},
        {**signed(BODY), "webhook-signature": " ".join(["v1,AAAA"] * 5000)},
    ],
    ids=short,
)
def test_nothing_else_opens(headers: dict[str, str]) -> None:
    with pytest.raises(Rejected) as told:
        knock(BODY, headers, **BOTH)
    assert told.value.status == 401
    assert TOKEN not in told.value.reason
    assert SECRET not in told.value.reason


def test_a_proof_that_the_settings_do_not_name_opens_nothing() -> None:
    for words, headers in (({"token": TOKEN}, signed(BODY)), ({"secret": SECRET}, bearer())):
        with pytest.raises(Rejected) as told:
            knock(BODY, headers, **words)
        assert told.value.status == 401


@given(
    values=st.lists(st.text(max_size=40), min_size=4, max_size=4),
    words=st.sampled_from([BOTH, {"token": TOKEN}, {"secret": SECRET}]),
)
@examples(max_examples=300, deadline=None)
def test_a_strangers_headers_only_ever_lead_to_401(
    values: list[str], words: dict[str, str]
) -> None:
    names = ("authorization", "webhook-id", "webhook-timestamp", "webhook-signature")
    with pytest.raises(Rejected) as told:
        knock(BODY, dict(zip(names, values, strict=True)), **words)
    assert told.value.status == 401


def test_the_proof_is_asked_for_before_the_body_is_looked_at() -> None:
    began = time.process_time()
    for _ in range(200):
        with pytest.raises(Rejected, match="Bearer"):
            knock(b"[" * 1_000_000, bearer("猜的"))
    assert time.process_time() - began < 1.0


def test_only_posts_are_taken() -> None:
    with pytest.raises(Rejected) as told:
        account().verify(Push("GET", {"echostr": "1"}, bearer(), b"", AT))
    assert told.value.status == 405


# --- settings -----------------------------------------------------------------------------------


def problems(folder: Path, *lines: str) -> str:
    path = folder / "settings.yaml"
    path.write_text(
        "accounts:\n  forum:\n    connector: push\n" + "".join(f"    {one}\n" for one in lines),
        "utf-8",
    )
    with pytest.raises(SettingsError) as told:
        load(path, {})
    return str(told.value)


def test_an_account_that_anybody_could_push_to_is_refused(tmp_path: Path) -> None:
    told = problems(tmp_path, "platform: forum")
    assert re.search(r"settings\.yaml:\d+.*token.*secret", told)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("secret: abcdefghijklmnop", "whsec_"),
        ("secret: whsec_短", "whsec_"),
        ("secret: whsec_c2hvcnQ=", "16 bytes"),
        ('token: "a\\u0007b-secret"', "one line"),
        ("platform: 论 坛", "letters"),
    ],
)
def test_what_is_wrong_in_the_settings_is_told_without_the_secret(
    tmp_path: Path, line: str, words: str
) -> None:
    told = problems(tmp_path, line, *(() if "token" in line else ("token: any-token",)))
    assert words in told
    value = line.partition(": ")[2]
    assert "platform" in line or value not in told


def test_a_secret_without_its_padding_is_the_same_secret() -> None:
    assert knock(BODY, signed(BODY), secret=SECRET.rstrip("=")).status == 202


# --- the page -----------------------------------------------------------------------------------

PAGES = ("docs/push.md", "docs/push.zh-CN.md")


@pytest.mark.parametrize("page", PAGES)
def test_the_page_has_every_field_and_no_other(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    lines = re.findall(r"^\| `(\w+)` \| (.*) \|$", text, re.M)
    assert [name for name, _ in lines] == list(FIELDS)
    words = {name: set(re.findall(r"`(\w+)`", told)) for name, told in lines}
    assert words["author"] == set(AUTHOR)
    assert words["attachments"] == {*ATTACHMENTS, *ATTACHMENT}
    assert words["kind"] == set(Kind)


def test_both_languages_show_the_same() -> None:
    english, chinese = ((ROOT / page).read_text("utf-8") for page in PAGES)
    blocks = re.compile(r"^```.*?^```$", re.S | re.M)
    assert blocks.findall(english) == blocks.findall(chinese)
    spans = [set(re.findall(r"`([^`\n]+)`", blocks.sub("", one))) for one in (english, chinese)]
    assert spans[0] == spans[1]


def test_the_shown_answer_is_the_one_that_is_given() -> None:
    text = (ROOT / PAGES[0]).read_text("utf-8")
    shown = json.loads(re.findall(r"^```json\n(.*?)^```$", text, re.S | re.M)[0])
    given = [RIGHT, {**RIGHT, "native_id": "m-2", "sent_at": "2026-03-04T10:00:00"}]
    assert json.loads(knock(given).answer) == shown
