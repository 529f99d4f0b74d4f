"""What a platform pushes is verified, stored once and answered; everything else leaves nothing behind."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from aggregator.app import Daemon
from aggregator.settings import load
from storage import history
from storage.writer import MAX_WAITING
from tests.conftest import NOW
from tests.web.site import (
    AES_KEY,
    APP,
    APP_SECRET,
    CORP,
    SECRETS,
    TOKEN,
    Answered,
    Site,
    direct,
    kf_event,
    sealed,
    signature,
    signed,
    words,
)

ROOT = Path(__file__).parents[2]
TEXT = "充电宝到手就鼓包了，怎么退？"
JSON = {"Content-Type": "application/json"}


def refused(site: Site, answer: Answered, status: int = 400) -> None:
    assert answer.status == status, answer.text
    assert len(answer.body) < 200
    assert answer.body.count(b"\n") == 1
    assert b"Traceback" not in answer.body
    for secret in SECRETS:
        assert secret.encode() not in answer.body
    assert site.stored() == []
    assert site.woken == []


# --- handshakes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("account", ["wechat_plain", "wechat_sealed"])
def test_an_official_account_echoes_the_handshake(door: Site, account: str) -> None:
    query = {**signed(TOKEN, NOW), "echostr": "7360418294416152"}
    answer = door.ask("GET", f"/callbacks/{account}", query)
    assert (answer.status, answer.body) == (200, b"7360418294416152")


def test_weibo_echoes_the_handshake(door: Site) -> None:
    query = {**signed(APP_SECRET, NOW), "echostr": "Kq7pLumo"}
    answer = door.ask("GET", "/callbacks/weibo", query)
    assert (answer.status, answer.body) == (200, b"Kq7pLumo")


def test_wecom_gets_its_handshake_decrypted(door: Site) -> None:
    query, body = sealed("4198273650018273", NOW, CORP)
    query["echostr"] = body.decode().partition("<Encrypt>")[2].partition("</Encrypt>")[0]
    answer = door.ask("GET", "/callbacks/wecom", query)
    assert (answer.status, answer.body) == (200, b"4198273650018273")


# --- pushes -------------------------------------------------------------------------------------


def test_a_plain_push_is_stored_answered_and_wakes_the_poller(here: Site) -> None:
    body = words(TEXT, NOW).encode()
    answer = here.ask("POST", "/callbacks/wechat_plain", signed(TOKEN, NOW), body=body)
    assert (answer.status, answer.body) == (200, b"success")
    assert here.stored() == [("wechat_plain", "messages", body)]
    assert here.woken == ["wechat_plain"]


def test_an_encrypted_push_is_stored_in_the_clear(here: Site) -> None:
    inner = words(TEXT, NOW)
    query, body = sealed(inner, NOW)
    assert here.ask("POST", "/callbacks/wechat_sealed", query, body=body).body == b"success"
    assert here.stored() == [("wechat_sealed", "messages", inner.encode())]


def test_of_a_compatible_push_only_the_sealed_half_is_believed(door: Site) -> None:
    query, body = sealed(words(TEXT, NOW), NOW, beside="<Content>别人改过的话</Content>")
    assert door.ask("POST", "/callbacks/wechat_sealed", query, body=body).status == 200
    ((_, _, stored),) = door.stored()
    assert TEXT in stored.decode()
    assert "别人改过的话" not in stored.decode()


def test_wecoms_event_is_stored_for_the_poller_to_come(here: Site) -> None:
    query, body = sealed(kf_event(NOW), NOW, CORP)
    assert here.ask("POST", "/callbacks/wecom", query, body=body).body == b"success"
    assert [row[:2] for row in here.stored()] == [("wecom", "callback")]


def test_weibos_direct_message_is_answered_with_nothing(here: Site) -> None:
    body = direct(TEXT, NOW)
    answer = here.ask("POST", "/callbacks/weibo", signed(APP_SECRET, NOW), body=body, headers=JSON)
    assert (answer.status, answer.body) == (200, b"")
    assert here.stored() == [("weibo", "direct_messages", body)]


def test_the_same_request_three_times_at_once_waits_once(here: Site) -> None:
    body, answers = words(TEXT, NOW).encode(), []

    def send() -> None:
        query = signed(TOKEN, NOW)
        answers.append(here.ask("POST", "/callbacks/wechat_plain", query, body=body))

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.body for answer in answers] == [b"success"] * 3
    assert len(here.stored()) == 1


def test_a_replay_after_the_message_was_read_makes_no_second_one(
    db_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(
        f"database: '{db_url}'\nrules: {ROOT / 'rules'}\nhttp: {{listen: '127.0.0.1:0'}}\n"
        f"accounts:\n  shop: {{connector: wechat, app_id: {APP}, app_secret: lumo-wechat-secret, "
        f"token: {TOKEN}, base_url: 'http://127.0.0.1:9'}}\n"
        "destinations:\n"
        + "".join(f"  {name}: {{kind: console}}\n" for name in ("social", "leads", "desk", "ops")),
        "utf-8",
    )
    daemon = Daemon(load(path, {}), now=lambda: NOW)
    try:
        daemon.start()
        site = Site(daemon.server.port, daemon.db, daemon.metrics, {})
        for _ in range(2):
            answer = site.ask(
                "POST",
                "/callbacks/shop",
                signed(TOKEN, NOW),
                body=words(TEXT, NOW).encode(),
            )
            assert answer.status == 200
            until = time.monotonic() + 20
            while site.stored():
                assert time.monotonic() < until
                daemon.pollers["shop"].drain()
        with daemon.db.read() as connection:
            assert [row["text"] for row in history.messages(connection)] == [TEXT]
    finally:
        daemon.stop()


def test_the_answer_comes_only_after_the_commit(here: Site) -> None:
    started, go_on, answers = threading.Event(), threading.Event(), []

    def slow(_: Connection) -> None:
        started.set()
        assert go_on.wait(20)

    waiting = here.db.submit(slow)
    assert started.wait(20)

    def send() -> None:
        body = words(TEXT, NOW).encode()
        answers.append(here.ask("POST", "/callbacks/wechat_plain", signed(TOKEN, NOW), body=body))

    sender = threading.Thread(target=send)
    sender.start()
    sender.join(0.3)
    assert sender.is_alive()
    assert here.stored() == []
    go_on.set()
    sender.join(20)
    waiting.result(20)
    assert answers[0].body == b"success"
    assert len(here.stored()) == 1


def test_a_full_queue_is_told_to_come_again(door: Site) -> None:
    started, go_on = threading.Event(), threading.Event()

    def slow(_: Connection) -> None:
        started.set()
        assert go_on.wait(20)

    futures = [door.db.submit(slow)]
    assert started.wait(20)
    futures += [door.db.submit(lambda _: None) for _ in range(MAX_WAITING)]
    answer = door.ask(
        "POST", "/callbacks/wechat_plain", signed(TOKEN, NOW), body=words(TEXT, NOW).encode()
    )
    go_on.set()
    for future in futures:
        future.result(20)
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) > 0
    assert door.stored() == []


def test_a_closed_database_is_no_lost_message(door: Site) -> None:
    door.db.close()
    answer = door.ask(
        "POST", "/callbacks/wechat_plain", signed(TOKEN, NOW), body=words(TEXT, NOW).encode()
    )
    assert answer.status == 503
    assert "retry-after" in answer.headers


# --- hostile signatures -------------------------------------------------------------------------

ODD_SIGNATURES = {
    "missing": None,
    "empty": "",
    "wrong": "0" * 40,
    "upper case": "ABCDEF0123456789ABCDEF0123456789ABCDEF01",
    "short": "abc",
    "not ascii": "é" * 40,
    "full-width digits": "１" * 40,
    "5000 digits": "1" * 5000,
    "NUL": "\0" * 40,
    "with a line feed": "0" * 40 + "\n",
}
ODD_STAMPS = {
    "missing": None,
    "empty": "",
    "words": "abc",
    "NaN": "NaN",
    "float": "1e9",
    "negative": "-1",
    "5000 digits": "1" * 5000,
    "full-width": "１７７２５８９６００",
    "zero": "0",
}


@pytest.mark.parametrize("account", ["wechat_plain", "wechat_sealed", "wecom", "weibo"])
@pytest.mark.parametrize("odd", ODD_SIGNATURES)
def test_no_odd_signature_gets_in(door: Site, account: str, odd: str) -> None:
    query, body = _right(account)
    name = "msg_signature" if "msg_signature" in query else "signature"
    query.pop(name)
    if (value := ODD_SIGNATURES[odd]) is not None:
        query[name] = value
    answer = door.ask("POST", f"/callbacks/{account}", query, body=body, headers=JSON)
    refused(door, answer, 401 if odd == "wrong" else 400)


@pytest.mark.parametrize("odd", ODD_STAMPS)
@pytest.mark.parametrize("account", ["wechat_plain", "weibo"])
def test_no_odd_timestamp_gets_in(door: Site, account: str, odd: str) -> None:
    secret = TOKEN if account == "wechat_plain" else APP_SECRET
    stamp = ODD_STAMPS[odd]
    query, body = _right(account)
    query["signature"] = signature(secret, stamp or "", query["nonce"])
    query.pop("timestamp")
    if stamp is not None:
        query["timestamp"] = stamp
    answer = door.ask("POST", f"/callbacks/{account}", query, body=body, headers=JSON)
    refused(door, answer, 401 if odd == "zero" else 400)


@pytest.mark.parametrize("account", ["wechat_plain", "wechat_sealed", "wecom", "weibo"])
@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_stale_or_early_timestamp_is_refused(door: Site, account: str, minutes: int) -> None:
    query, body = _right(account, timedelta(minutes=minutes))
    answer = door.ask("POST", f"/callbacks/{account}", query, body=body, headers=JSON)
    refused(door, answer, 401)


@pytest.mark.parametrize("name", ["signature", "timestamp", "nonce"])
def test_a_name_that_comes_twice_is_refused(door: Site, name: str) -> None:
    query, body = _right("wechat_plain")
    twice = [*query.items(), (name, query[name])]
    refused(door, door.ask("POST", "/callbacks/wechat_plain", twice, body=body))


def test_the_same_answer_whatever_half_of_a_secret_is_right(door: Site) -> None:
    bodies = set()
    for secret in (TOKEN[:-1], TOKEN[1:], "x", AES_KEY, TOKEN.upper()):
        answer = door.ask(
            "POST",
            "/callbacks/wechat_plain",
            signed(secret, NOW),
            body=words(TEXT, NOW).encode(),
        )
        refused(door, answer, 401)
        bodies.add(answer.body)
    assert len(bodies) == 1


def _right(account: str, off: timedelta = timedelta(0)) -> tuple[dict[str, str], bytes]:
    """A request that would be taken if it were sent `off` ago."""
    at = NOW + off
    made: dict[str, Any] = {
        "wechat_plain": lambda: (signed(TOKEN, at), words(TEXT, at).encode()),
        "wechat_sealed": lambda: sealed(words(TEXT, at), at),
        "wecom": lambda: sealed(kf_event(at), at, CORP),
        "weibo": lambda: (signed(APP_SECRET, at), direct(TEXT, at)),
    }
    query, body = made[account]()
    return query, body
