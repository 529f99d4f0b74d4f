"""What WeCom's refusals mean, what `check` tells, and the names that are asked for beside."""

from __future__ import annotations

import json
import traceback
from datetime import timedelta
from typing import Any

import pytest

from aggregator.errors import RateLimited, Rejected, Unauthorized, Unavailable
from aggregator.model import Direction
from tests.connectors.loopback import MemoryKeep
from tests.connectors.wecom_place import (
    GET_TOKEN,
    KFID,
    NAMES,
    PERSON,
    SECRET,
    SYNC,
    corp,
    message,
    page,
    wecom,
)

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


# --- windows and check -------------------------------------------------------------------------


def test_a_customers_message_opens_five_answers_in_48_hours_and_ours_opens_none() -> None:
    with corp() as (_, _, account, _):
        found = account.poll("messages", None).messages
    for one in found:
        if one.direction is Direction.OUTBOUND or one.deleted_at is not None:
            assert one.reply_window is None
        else:
            assert one.sent_at is not None
            assert one.reply_window is not None
            assert one.reply_window.closes_at == one.sent_at + timedelta(hours=48)
            assert one.reply_window.left == 5


def test_check_looks_through_all_accounts_and_at_the_queue() -> None:
    with corp() as (told, server, account, _):
        others = [{"open_kfid": f"wk{number}", "name": "别的"} for number in range(150)]
        told.accounts = [*others, {"open_kfid": KFID, "name": "Lumo", "manage_privilege": True}]
        identity = account.check()
        assert server.asked(SYNC)[0].json()["limit"] == 1
    assert (identity.name, dict(identity.streams)) == ("Lumo", {"messages": "ok"})
    assert identity.token_expires_at is None


def test_check_refuses_an_account_that_the_app_may_only_see() -> None:
    with corp() as (told, _, account, _):
        told.accounts = [{"open_kfid": KFID, "name": "Lumo", "manage_privilege": False}]
        with pytest.raises(Unauthorized, match="可调用接口的应用"):
            account.check()


@pytest.mark.parametrize(
    ("code", "word"), [(45009, "quota: "), (48002, "denied: "), (60011, "denied: ")]
)
def test_check_says_of_the_queue_what_is_the_matter(code: int, word: str) -> None:
    with corp() as (_, server, account, _):
        body = b'{"errcode": %d, "errmsg": "x"}' % code
        server.fault("status", path=SYNC, status=200, body=body)
        identity = account.check()
        assert identity.streams["messages"].startswith(word)
        if code == 45009:
            asked = len(server.asked(SYNC))
            assert "not asked" in account.check().streams["messages"]
            assert len(server.asked(SYNC)) == asked
            assert "asked again at" in (account.check().note or "")


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (60020, "203.0.113.9"),
        (95000, "open_kfid"),
        (95004, "open_kfid"),
        (95011, "by hand"),
        (95017, "turn the API"),
        (40201, "banned"),
    ],
)
def test_what_a_person_must_mend_is_told_with_the_remedy(code: int, remedy: str) -> None:
    with corp() as (_, server, account, _):
        body = b'{"errcode": %d, "errmsg": "not allow to access from your ip 203.0.113.9"}' % code
        server.fault("status", path=SYNC, status=200, body=body, times=2)
        with pytest.raises(Unauthorized) as caught:
            account.poll("messages", None)
        assert remedy in caught.value.remedy
        with pytest.raises(Unauthorized):
            account.check()
