"""The stand-in of Weibo takes answers as its documentation says, and refuses the rest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
import requests

from aggregator.sandbox.base import Line
from aggregator.sandbox.weibo import WeiboStandin
from tests.sandbox.receiver import LI, NOON, Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def weibo(clock: Clock) -> Iterator[WeiboStandin]:
    standin = WeiboStandin(clock, brand="青山家电", codes="int")
    standin.start()
    yield standin
    standin.stop()
    assert standin.errors == []


def post(weibo: WeiboStandin, path: str, **form: object) -> dict:
    form.setdefault("access_token", weibo.gate.token)
    return requests.post(f"{weibo.base_url}/2/{path}.json", data=form, timeout=5).json()


def listed(weibo: WeiboStandin, path: str, **query: object) -> list[str]:
    query.setdefault("access_token", weibo.gate.token)
    answer = requests.get(f"{weibo.base_url}/2/{path}.json", params=query, timeout=5).json()
    return [one["idstr"] for one in answer.get("comments", answer.get("statuses"))]


@pytest.fixture
def complaint(weibo: WeiboStandin) -> dict[str, str]:
    told: dict = {}
    told["p"] = weibo.play(Line(0, "weibo", "own_post", "p", None, "新品"), NOON, told)
    told["c"] = weibo.play(Line(0, "weibo", "comment", "c", LI, "坏了", under="p"), NOON, told)
    return {"cid": told["c"].native_id, "id": told["p"].native_id}


def test_an_answer_is_listed_among_ours_and_counts_as_a_call(weibo, complaint):
    said = post(weibo, "comments/reply", comment="抱歉", **complaint)
    assert said["text"] == "回复@李雷:抱歉"
    assert said["reply_comment"]["idstr"] == complaint["cid"]
    assert weibo.gate.used() == 1
    assert listed(weibo, "comments/by_me") == [said["idstr"]]
    plain = post(weibo, "comments/reply", comment="您好", without_mention=1, **complaint)
    assert plain["text"] == "您好"
    under = post(weibo, "comments/create", id=complaint["id"], comment="谢谢大家")
    assert "reply_comment" not in under


def test_the_same_words_twice_in_a_row_are_refused(weibo, complaint):
    post(weibo, "comments/reply", comment="收到", **complaint)
    assert post(weibo, "comments/reply", comment="收到", **complaint)["error_code"] == 20019
    post(weibo, "comments/reply", comment="收到啦", **complaint)
    assert "idstr" in post(weibo, "comments/reply", comment="收到", **complaint)


def test_length_counts_chinese_characters(weibo, complaint):
    long = post(weibo, "comments/reply", comment="退" * 141, **complaint)
    assert long["error_code"] == 20012
    assert "idstr" in post(weibo, "comments/reply", comment="a" * 280, **complaint)


@pytest.mark.parametrize(
    ("form", "code"),
    [({"cid": "1"}, 20201), ({"id": "1"}, 20101), ({"comment": ""}, 10016), ({"cid": ""}, 20201)],
)
def test_what_is_wrong_is_told(form, code, weibo, complaint):
    answer = post(weibo, "comments/reply", **({"comment": "您好"} | complaint | form))
    assert answer["error_code"] == code


def test_codes_come_once_each_and_a_delayed_answer_appears_later(weibo, complaint, clock):
    weibo.writes.refuse = [20016, 20031]
    codes = [
        post(weibo, "comments/reply", comment="您好", **complaint).get("error_code")
        for _ in range(3)
    ]
    assert codes == [20016, 20031, None]
    weibo.writes.delay_next = 60
    late = post(weibo, "comments/reply", comment="稍等", **complaint)
    assert late["error_code"] == 20032
    assert len(listed(weibo, "comments/by_me")) == 1
    clock.now += timedelta(seconds=61)
    assert len(listed(weibo, "comments/by_me")) == 2


def test_direct_messages_go_out_for_48_hours(weibo, clock):
    them = weibo.member(LI)
    form = {"type": "text", "data": json.dumps({"text": "您好"}), "receiver_id": them.uid}
    assert post(weibo, "messages/reply", **form)["error_code"] == 20033
    weibo.writes.heard[them.uid] = clock.now
    assert post(weibo, "messages/reply", **form)["result"] is True
    assert post(weibo, "messages/reply", **(form | {"data": "%7B"}))["error_code"] == 10017
    clock.now += timedelta(hours=48, seconds=1)
    assert post(weibo, "messages/reply", **form)["error_code"] == 20033
    assert weibo.writes.sent == [(them.uid, "您好")]


def test_commercial_answers_must_name_an_address(weibo, complaint):
    path = "comments/reply/biz"
    assert post(weibo, path, comment="您好", **complaint)["error_code"] == 10016
    assert "idstr" in post(weibo, path, comment="您好", rip="203.0.113.9", **complaint)
    assert weibo.gate.used() == 0


def test_a_short_history_ends_the_list(weibo):
    ids = [
        weibo.play(Line(0, "weibo", "mention", str(n), LI, "@青山家电"), NOON, {}).native_id
        for n in range(9)
    ]
    weibo.history = 4
    assert listed(weibo, "statuses/mentions", since_id=ids[0]) == ids[:4:-1]
    assert listed(weibo, "statuses/mentions", max_id=ids[4]) == []


def test_a_path_that_is_closed_answers_its_code_and_costs_nothing(weibo):
    weibo.gate.closed["/2/comments/to_me"] = 10014
    url = f"{weibo.base_url}/2/comments/to_me.json?access_token={weibo.gate.token}"
    assert requests.get(url, timeout=5).json()["error_code"] == 10014
    assert weibo.gate.used() == 0


def test_a_code_is_good_once_and_for_this_app_only(weibo):
    gate = weibo.gate
    asked = {
        "client_id": gate.app_key,
        "redirect_uri": gate.redirect_uri,
        "response_type": "code",
        "state": "s",
    }
    page = f"{weibo.base_url}/oauth2/authorize"
    back = requests.get(page, params=asked, allow_redirects=False, timeout=5)
    code = back.headers["Location"].partition("code=")[2]
    form = {
        "client_id": gate.app_key,
        "client_secret": gate.app_secret,
        "redirect_uri": gate.redirect_uri,
        "grant_type": "authorization_code",
        "code": code,
    }
    url = f"{weibo.base_url}/oauth2/access_token"
    wrong = requests.post(url, data=form | {"client_secret": "x"}, timeout=5).json()
    good = requests.post(url, data=form, timeout=5).json()
    again = requests.post(url, data=form, timeout=5).json()
    assert (wrong["error_code"], again["error_code"]) == (21324, 21325)
    assert (good["access_token"], good["uid"]) == (gate.token, str(weibo.uid))
    elsewhere = requests.get(page, params=asked | {"redirect_uri": "https://x"}, timeout=5)
    assert elsewhere.json()["error_code"] == 21322
