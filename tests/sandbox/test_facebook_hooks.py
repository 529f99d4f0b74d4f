"""The stand-in of Facebook as a platform that pushes, takes writes and knows its app."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import requests

from aggregator.sandbox.base import Person
from aggregator.sandbox.caller import HandshakeFailed
from aggregator.sandbox.facebook import FacebookStandin
from tests.sandbox.facebook_page import Clock, ask, code, proof
from tests.sandbox.receiver import Receiver

ANN = Person(1, "安妮", "ann")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def page(clock: Clock) -> Iterator[FacebookStandin]:
    standin = FacebookStandin(clock, tick=lambda: clock.tick)
    standin.graph.short_pages = False
    standin.start()
    yield standin
    standin.stop()
    assert standin.errors == []


@pytest.fixture
def door(page: FacebookStandin) -> Iterator[Receiver]:
    receiver = Receiver()
    receiver.start()
    receiver.echo = lambda request: request.query["hub.challenge"].encode()
    page.attach(receiver.url)
    yield receiver
    receiver.stop()


def pushed(page: FacebookStandin, door: Receiver) -> list[dict[str, Any]]:
    assert page.settle()
    return [entry for request in door.pushes for entry in request.json()["entry"]]


def post(page: FacebookStandin, path: str, token: str | None = None, **form: object) -> Any:
    token = token or page.gate.page_token
    return requests.post(
        f"{page.base_url}/v26.0/{path}",
        params={"appsecret_proof": proof(page, token)},
        data=form,
        headers={"Authorization": f"Bearer {token}"},
        timeout=5,
    ).json()


def letter(to: str, text: str, **more: str) -> dict[str, str]:
    said = {"recipient": json.dumps({"id": to}), "message": json.dumps({"text": text})}
    return {**said, "messaging_type": "RESPONSE", **more}


# --- pushes ---------------------------------------------------------------------------------------


def test_a_callback_is_taken_only_if_it_echoes_the_challenge(page: FacebookStandin) -> None:
    receiver = Receiver()
    receiver.start()
    receiver.echo = lambda request: b"something else"
    with pytest.raises(HandshakeFailed):
        page.attach(receiver.url)
    receiver.stop()


def test_each_push_is_signed_over_its_raw_body(
    page: FacebookStandin, door: Receiver, clock: Clock
) -> None:
    page.post(page.person(ANN), "没人接电话", clock.at)
    assert page.settle()
    (request,) = door.pushes
    right = hmac.new(page.gate.app_secret.encode(), request.body, hashlib.sha256).hexdigest()
    assert request.headers["x-hub-signature-256"] == f"sha256={right}"


def test_changes_are_timed_in_seconds_and_messages_in_milliseconds(
    page: FacebookStandin, door: Receiver, clock: Clock
) -> None:
    own = page.post(page.page, "新品", clock.at)
    comment = page.comment(page.person(ANN), "多少钱", clock.at, post=own)
    page.change(comment, "多少钱？", clock.pass_(seconds=60))
    page.hide(comment, clock.pass_(seconds=1))
    page.withdraw(comment, clock.pass_(seconds=1))
    sent = page.letter(page.correspondent(ANN), "在吗", clock.at)
    page.letter(page.correspondent(ANN), "在", clock.at, from_page=True, metadata="k")
    page.withdraw(sent, clock.at)
    entries = pushed(page, door)
    changes = [entry["changes"][0]["value"] for entry in entries if "changes" in entry]
    changes.sort(key=lambda value: (value["created_time"], value["item"] == "comment"))
    assert [value["verb"] for value in changes] == ["add", "add", "edited", "hide", "remove"]
    assert "message" not in changes[-1]
    assert changes[2]["created_time"] == changes[1]["created_time"] + 60  # of the event
    assert all(entry["time"] < 10**10 for entry in entries if "changes" in entry)
    events = [entry["messaging"][0] for entry in entries if "messaging" in entry]
    first, echo, unsent = sorted(
        events, key=lambda one: ("is_echo" in one["message"]) + 2 * ("is_deleted" in one["message"])
    )
    assert first["timestamp"] > 10**12
    assert echo["message"]["is_echo"] is True
    assert (echo["sender"]["id"], echo["message"]["metadata"]) == (page.page.id, "k")
    assert unsent["message"] == {"mid": sent.id, "is_deleted": True}


def test_what_only_tags_the_page_comes_without_its_author(
    page: FacebookStandin, door: Receiver, clock: Clock
) -> None:
    page.post(page.person(ANN), "@Lumo 差评", clock.at, tags_page=True)
    (entry,) = pushed(page, door)
    (change,) = entry["changes"]
    assert change["field"] == "mention"
    assert set(change["value"]) == {"item", "verb", "post_id", "created_time", "message"}


def test_pushes_come_in_batches_twice_and_backwards_if_told_so(
    page: FacebookStandin, door: Receiver, clock: Clock
) -> None:
    page.hooks.batch, page.hooks.twice, page.hooks.backwards = 3, True, True
    page.hooks.standby = page.hooks.numeric_ids = True
    for text in ("一", "二", "三", "四"):
        page.letter(page.correspondent(ANN), text, clock.pass_(seconds=1))
    entries = pushed(page, door)
    bodies = [
        [entry["standby"][0]["message"]["text"] for entry in request.json()["entry"]]
        for request in door.pushes
    ]
    assert sorted(bodies) == sorted([["三", "二", "一"]] * 2 + [["四"]] * 2)
    assert all(entry["id"] == int(page.page.id) for entry in entries)


def test_a_field_that_one_side_does_not_want_is_not_pushed(
    page: FacebookStandin, door: Receiver, clock: Clock
) -> None:
    assert page.apps.page_fields is not None
    page.apps.page_fields.remove("message_echoes")
    page.letter(page.correspondent(ANN), "在", clock.at, from_page=True)
    page.apps.app_fields = None
    page.letter(page.correspondent(ANN), "在吗", clock.at)
    assert pushed(page, door) == []


# --- writes ---------------------------------------------------------------------------------------


def test_a_comment_on_a_comment_answers_it_and_a_post_to_the_comment_edits(
    page: FacebookStandin, clock: Clock
) -> None:
    own = page.post(page.page, "新品", clock.at)
    asked = page.comment(page.person(ANN), "多少钱", clock.at, post=own)
    told = post(page, f"{asked.id}/comments", message="299")
    assert page.edges.comments[-1].id == told["id"]
    assert page.edges.comments[-1].parent is asked
    assert code(post(page, asked.id, message="299")) == (200, None)
    assert post(page, told["id"], message="399") == {"success": True}
    assert page.edges.comments[-1].message == "399"
    assert code(post(page, f"{asked.id}/comments", message=" ")) == (100, 1349125)
    assert code(post(page, f"{asked.id}/comments", page.user_token, message="x")) == (200, None)
    assert code(post(page, "77/comments", message="x")) == (100, 33)


def test_a_message_goes_to_who_wrote_within_a_day_and_echoes_do_not_count(
    page: FacebookStandin, clock: Clock
) -> None:
    ann = page.correspondent(ANN)
    assert code(post(page, "me/messages", **letter(ann.id, "hi"))) == (100, 2018001)
    page.letter(ann, "在吗", clock.at)
    assert post(page, "me/messages", **letter(ann.id, "在"))["recipient_id"] == ann.id
    clock.pass_(hours=20)
    page.letter(ann, "还在", clock.at, from_page=True)
    clock.pass_(hours=5)
    assert code(post(page, "me/messages", **letter(ann.id, "在"))) == (10, 2018278)
    agent = letter(ann.id, "在", messaging_type="MESSAGE_TAG", tag="HUMAN_AGENT")
    assert code(post(page, "me/messages", **agent)) == (10, 2018278)
    page.writes.human_agent = True
    assert "message_id" in post(page, "me/messages", **agent)
    clock.pass_(days=7)
    assert code(post(page, "me/messages", **agent)) == (10, 2018278)


def test_writes_may_be_done_and_refused(page: FacebookStandin, clock: Clock) -> None:
    own = page.post(page.page, "新品", clock.at)
    page.writes.ambiguous = 1
    assert code(post(page, f"{own.id}/comments", message="一")) == (20, 1772107)
    assert code(post(page, f"{own.id}/comments", message="二", fields="id")) == (20, 1772107)
    assert [one.message for one in page.edges.comments] == ["一", "二"]


@pytest.mark.parametrize(
    ("knob", "wanted"), [("restricted", (10, 1893063)), ("unreachable", (551, 1545041))]
)
def test_sends_can_be_stopped(
    page: FacebookStandin, clock: Clock, knob: str, wanted: tuple[int, int]
) -> None:
    ann = page.correspondent(ANN)
    page.letter(ann, "在吗", clock.at)
    setattr(page.writes, knob, {ann.id} if knob == "unreachable" else True)
    assert code(post(page, "me/messages", **letter(ann.id, "在"))) == wanted


@pytest.mark.parametrize(
    "form",
    [
        {"messaging_type": "SHOUT"},
        {"message": "{"},
        {"message": json.dumps({"text": "长" * 2001})},
        {"message": json.dumps({"text": "x", "metadata": "m" * 1001})},
    ],
)
def test_a_message_that_breaks_the_rules_is_refused(
    page: FacebookStandin, clock: Clock, form: dict[str, str]
) -> None:
    ann = page.correspondent(ANN)
    page.letter(ann, "在吗", clock.at)
    assert code(post(page, "me/messages", **{**letter(ann.id, "在"), **form}))[0] == 100
    assert len(page.edges.threads[0].letters) == 1


# --- the app --------------------------------------------------------------------------------------


def test_the_way_from_a_code_to_a_page_token_that_does_not_end(page: FacebookStandin) -> None:
    ids = {"client_id": page.gate.app_id, "client_secret": page.gate.app_secret}

    def exchange(**query: str) -> Any:
        url = f"{page.base_url}/v26.0/oauth/access_token"
        return requests.get(url, params={**ids, **query}, timeout=5).json()

    led_to = "https://www.facebook.com/connect/login_success.html"
    right = page.apps.agree(led_to)
    assert code(exchange(code=page.apps.agree(led_to), redirect_uri="https://x")) == (100, 36008)
    short = exchange(code=right, redirect_uri=led_to)["access_token"]
    assert code(exchange(code=right, redirect_uri=led_to)) == (100, 36009)
    assert code(exchange(client_secret="no", code=right))[0] == 1
    long = exchange(grant_type="fb_exchange_token", fb_exchange_token=short)
    assert long["expires_in"] > 59 * 86_400

    def of_the_page(token: str) -> str:
        told = ask(page, "me/accounts", token)["data"]
        return str(next(one for one in told if one["id"] == page.page.id)["access_token"])

    assert of_the_page(long["access_token"]) == page.gate.page_token
    assert of_the_page(short) != page.gate.page_token
    assert code(ask(page, "me/accounts"))[0] == 100


def test_subscriptions_have_two_sides(page: FacebookStandin) -> None:
    me = page.page.id
    assert post(page, f"{me}/subscribed_apps", subscribed_fields="feed,messages") == {
        "success": True
    }
    (app,) = ask(page, "me/subscribed_apps")["data"]
    assert app["subscribed_fields"] == ["feed", "messages"]
    assert code(post(page, f"{me}/subscribed_apps", subscribed_fields="feeds"))[0] == 100
    assert ask(page, "app")["id"] == page.gate.app_id
    (told,) = ask(page, f"{page.gate.app_id}/subscriptions", page.gate.app_token)["data"]
    assert told["object"] == "page"
    assert code(ask(page, f"{page.gate.app_id}/subscriptions"))[0] == 15


def test_a_token_that_ends_says_when_and_why_it_died(page: FacebookStandin) -> None:
    page.apps.expires_in_s = int(timedelta(days=3).total_seconds())
    token = page.gate.page_token
    told = ask(page, "debug_token", page.gate.app_token, input_token=token)["data"]
    assert told["expires_at"] == int(page.now().timestamp()) + 3 * 86_400
    page.gate.trouble = 460
    told = ask(page, "debug_token", page.gate.app_token, input_token=token)["data"]
    assert (told["is_valid"], told["error"]["subcode"]) == (False, 460)
