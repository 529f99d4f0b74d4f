"""Instagram's side of the stand-in of a Page: media, comments in two levels, and what names the account."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from aggregator.sandbox.facebook import FacebookStandin
from aggregator.sandbox.facebook_objects import Who
from tests.sandbox.facebook_page import Clock, ask, code, ids, page_of

YUKI = Who("61", "yuki")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def page(clock: Clock) -> Iterator[FacebookStandin]:
    with page_of(clock) as standin:
        yield standin


def test_the_account_is_found_through_the_page_and_lists_its_own_media(
    page: FacebookStandin, clock: Clock
) -> None:
    old = page.gram.post("旧", clock.at - timedelta(days=1))
    new = page.gram.post("新", clock.at)
    page.gram.post("别人的", clock.at, by=YUKI)
    told = ask(page, "me", fields="instagram_business_account{id}")
    us = told["instagram_business_account"]["id"]
    listed = ask(page, f"{us}/media", fields="id,comments_count,permalink,timestamp")
    assert ids(listed) == [new.id, old.id]
    assert listed["data"][0]["comments_count"] == 0


def test_comments_come_newest_first_and_answers_only_inside_what_they_answer(
    page: FacebookStandin, clock: Clock
) -> None:
    media = page.gram.post("新品", clock.at)
    first = page.gram.remark(YUKI, "多少钱？", clock.at, under=media)
    second = page.gram.remark(YUKI, "有货吗？", clock.pass_(seconds=1), under=media)
    answer = page.gram.remark(page.instagram, "请看私信", clock.pass_(seconds=1), under=first)
    beside = page.gram.remark(YUKI, "好的", clock.pass_(seconds=1), under=answer)
    fields = "id,text,from,parent_id,hidden,replies.limit(25){id,text,parent_id}"
    listed = ask(page, f"{media.id}/comments", fields=fields)
    assert ids(listed) == [second.id, first.id]
    inside = listed["data"][1]["replies"]["data"]
    assert [one["id"] for one in inside] == [answer.id, beside.id]
    assert {one["parent_id"] for one in inside} == {first.id}
    assert ids(ask(page, f"{first.id}/replies")) == [answer.id, beside.id]
    assert ask(page, media.id, fields="comments_count")["comments_count"] == 4
    page.gram.withdraw(first)
    assert ids(ask(page, f"{media.id}/comments")) == [second.id]
    assert code(ask(page, answer.id)) == (100, 33)


def test_what_names_the_account_is_told_through_itself_alone(
    page: FacebookStandin, clock: Clock
) -> None:
    theirs = page.gram.post("看看 @lumo", clock.at, by=YUKI)
    named = page.gram.remark(YUKI, "@lumo 在吗", clock.at, under=theirs)
    silent = page.gram.remark(YUKI, "路过", clock.at, under=theirs)
    us = page.instagram.id
    told = ask(page, us, fields=f"mentioned_media.media_id({theirs.id}){{id,caption,username}}")
    assert told["mentioned_media"]["caption"] == "看看 @lumo"
    asked = f"mentioned_comment.comment_id({named.id}){{id,text,timestamp,username}}"
    assert ask(page, us, fields=asked)["mentioned_comment"]["text"] == "@lumo 在吗"
    asked = f"mentioned_comment.comment_id({silent.id}){{id}}"
    assert code(ask(page, us, fields=asked)) == (100, 33)


def test_webhooks_tell_of_new_comments_and_mentions_and_of_nothing_else(
    page: FacebookStandin, clock: Clock
) -> None:
    sent: list[dict[str, Any]] = []
    page.gram.push = lambda entry, _: sent.append(entry)
    media = page.gram.post("新品", clock.at)
    asked = page.gram.remark(YUKI, "多少钱？", clock.at, under=media)
    page.gram.withdraw(asked)
    theirs = page.gram.post("看看 @lumo", clock.at, by=YUKI)
    page.gram.remark(YUKI, "路过", clock.at, under=theirs)
    fields = [one["changes"][0]["field"] for one in sent]
    assert fields == ["comments", "mentions"]
    assert sent[0]["changes"][0]["value"]["from"] == {"id": "61", "username": "yuki"}
    assert sent[0]["time"] == int(clock.at.timestamp())


def test_the_headers_may_claim_what_a_test_wants_and_hours_end(
    page: FacebookStandin, clock: Clock
) -> None:
    page.usage.quota, page.usage.told_from = 3, 0
    for _ in range(3):
        assert "error" not in ask(page, "me")
    assert code(ask(page, "me"))[0] == 4  # above the quota, until the hour is over
    clock.pass_(hours=2)
    assert "error" not in ask(page, "me")
    page.usage.told = (96, 25)
    told = page.usage.headers(clock.at)
    assert '"call_count": 96' in told["X-App-Usage"]
    assert '"estimated_time_to_regain_access": 25' in told["X-Business-Use-Case-Usage"]


def test_a_webhook_may_be_late_or_lost(page: FacebookStandin, clock: Clock) -> None:
    sent: list[Any] = []
    page.hooks.caller.url = "http://127.0.0.1:9/"
    page.hooks.caller.post = lambda *told: sent.append(told)  # type: ignore[method-assign]
    late = iter([timedelta(), timedelta(minutes=5), None])
    page.hooks.mail = lambda _: next(late)
    for n in range(3):
        page.post(YUKI, f"第 {n} 条", clock.at)
    assert len(sent) == 1
    clock.pass_(minutes=6)
    page.hooks.flush()
    assert len(sent) == 2
