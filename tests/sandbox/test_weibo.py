"""The stand-in of Weibo's open API, asked as its documentation says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from email.utils import parsedate_to_datetime
from html import unescape

import pytest
import requests

from aggregator.sandbox.base import Line
from aggregator.sandbox.weibo import WeiboStandin
from tests.sandbox.receiver import LI, MEI, NOON, Clock


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


def get(weibo: WeiboStandin, path: str, **query: object) -> dict:
    query.setdefault("access_token", weibo.gate.token)
    return requests.get(f"{weibo.base_url}/2/{path}.json", params=query, timeout=5).json()


def ids(page: dict) -> list[str]:
    return [item["idstr"] for item in page.get("statuses", page.get("comments"))]


class Story:
    """Plays lines a minute apart and keeps what was told."""

    def __init__(self, weibo: WeiboStandin) -> None:
        self.weibo = weibo
        self.told: dict = {}

    def add(self, label, kind, who, text, **more):
        at = NOON + timedelta(minutes=len(self.told))
        line = Line(0, "weibo", kind, label, who, text, **more)
        self.told[label] = self.weibo.play(line, at, self.told)
        return self.told[label]


@pytest.fixture
def story(weibo: WeiboStandin) -> Story:
    return Story(weibo)


def test_a_mention_is_told_as_the_truth_says(weibo, story):
    truth = story.add("a", "mention", LI, '@青山家电 <坏了> & "退款"', attachment="image")
    (post,) = get(weibo, "statuses/mentions")["statuses"]
    assert post["text"] == "@青山家电 &lt;坏了&gt; &amp; &quot;退款&quot;"
    assert unescape(post["text"]) == truth.text
    assert (post["idstr"], int(post["idstr"])) == (truth.native_id, post["id"])
    assert parsedate_to_datetime(post["created_at"]) == truth.sent_at
    assert post["created_at"] == "Wed Mar 04 12:00:00 +0800 2026"
    assert post["user"]["idstr"] == truth.author["native_id"]
    assert post["user"]["screen_name"] == truth.author["name"] == "李雷"
    assert len(post["pic_urls"]) == 1
    assert truth.attachments == ("image",)
    assert truth.root == truth.native_id


def test_an_id_holds_its_time_and_belongs_to_one_instance(clock):
    first, second = WeiboStandin(clock, salt=1), WeiboStandin(clock, salt=2)
    seen = set()
    for standin in (first, second):
        for number in range(1500):
            line = Line(0, "weibo", "mention", str(number), MEI, "@青山家电")
            truth = standin.play(line, NOON, {})
            seen |= {truth.native_id, truth.author["native_id"]}
            second_of_id = (int(truth.native_id) >> 22) + 515483463
            assert 0 <= second_of_id - int(NOON.timestamp()) <= 3
    assert len(seen) == 2 * 1500 + 2


def test_each_comment_stands_in_the_streams_that_it_belongs_to(weibo, story):
    story.add("post", "own_post", None, "新品上市")
    story.add("a", "mention", LI, "@青山家电 客服在吗")
    story.add("b", "comment", MEI, "多少钱？", under="post")
    story.add("c", "comment", None, "在的，请私信", to="a")
    story.add("d", "comment", LI, "好的", to="c")
    story.add("e", "comment", MEI, "@青山家电 来看看")
    story.add("f", "comment", MEI, "@青山家电 还有货吗", under="post")
    story.add("g", "comment", None, "有货", to="f")
    names = {truth.native_id: label for label, truth in story.told.items()}
    streams = {
        stream: [names[one] for one in ids(get(weibo, path))]
        for stream, path in (
            ("mentions", "statuses/mentions"),
            ("to_me", "comments/to_me"),
            ("at", "comments/mentions"),
            ("by_me", "comments/by_me"),
            ("timeline", "comments/timeline"),
        )
    }
    assert streams == {
        "mentions": ["a"],
        "to_me": ["f", "d", "b"],
        "at": ["f", "e"],
        "by_me": ["g", "c"],
        "timeline": ["g", "f", "d", "c", "b"],
    }
    told = story.told
    assert not told["post"].exported
    assert told["d"].text == "回复@青山家电:好的"
    assert [told[label].reply_to for label in "bcdg"] == [
        None,
        told["a"].native_id,
        told["c"].native_id,
        told["f"].native_id,
    ]
    assert told["c"].conversation == told["d"].conversation == told["a"].conversation
    assert told["f"].conversation == told["g"].conversation == told["b"].conversation
    assert told["e"].conversation != told["f"].conversation
    post = told["post"].native_id
    under = get(weibo, "comments/show", id=post)
    assert [names[one] for one in ids(under)] == ["g", "f", "b"]


def test_a_comment_carries_its_status_its_parent_and_its_root(weibo, story):
    story.add("post", "own_post", None, "新品上市")
    story.add("a", "comment", LI, "坏了", under="post")
    story.add("b", "comment", None, "请 <私信>", to="a")
    (said,) = get(weibo, "comments/by_me")["comments"]
    assert said["text"] == "回复@李雷:请 &lt;私信&gt;"
    assert said["reply_original_text"] == "请 &lt;私信&gt;"
    assert said["reply_comment"]["idstr"] == story.told["a"].native_id
    assert said["rootid"] == int(story.told["a"].native_id)
    assert said["status"]["idstr"] == story.told["post"].native_id
    assert said["user"]["id"] == weibo.uid
    assert said["floor_number"] == 2


def test_since_is_exclusive_and_max_is_inclusive(weibo, story):
    truths = [story.add(str(n), "mention", LI, f"@青山家电 {n}") for n in range(5)]
    native = [truth.native_id for truth in truths]
    page = get(weibo, "statuses/mentions", since_id=native[1])
    assert ids(page) == native[:1:-1]
    page = get(weibo, "statuses/mentions", since_id=native[0], max_id=native[3])
    assert ids(page) == [native[3], native[2], native[1]]
    assert ids(get(weibo, "statuses/mentions", count=2, page=2)) == [native[2], native[1]]


def test_a_short_page_is_not_the_last_one(weibo, story):
    truths = [story.add(str(n), "mention", LI, f"@青山家电 {n}") for n in range(3)]
    for _ in range(2):
        weibo.ghost("mentions", NOON + timedelta(minutes=5))
    truths += [story.add(str(n), "mention", LI, f"@青山家电 {n}") for n in range(3, 12)]
    found, until, sizes = [], 0, []
    while True:
        page = get(weibo, "statuses/mentions", count=5, max_id=until)
        found += ids(page)
        sizes.append(len(ids(page)))
        if not page["next_cursor"]:
            break
        assert page["total_number"] > len(ids(page))
        assert page["next_cursor"] < min(map(int, ids(page)))
        until = page["next_cursor"]
    assert found == [truth.native_id for truth in reversed(truths)]
    assert sizes == [5, 3, 4]


def test_pages_have_a_greatest_size(weibo):
    for number in range(230):
        weibo.play(Line(0, "weibo", "mention", str(number), LI, "@青山家电"), NOON, {})
        weibo.play(Line(0, "weibo", "comment", f"c{number}", LI, "@青山家电"), NOON, {})
    assert len(ids(get(weibo, "statuses/mentions"))) == 20
    assert len(ids(get(weibo, "statuses/mentions", count=500))) == 200
    assert len(ids(get(weibo, "comments/mentions", count=500))) == 50


@pytest.mark.parametrize("query", [{"since_id": "很大"}, {"count": -1}, {"page": 0}])
def test_bad_parameters_are_refused(query, weibo):
    assert get(weibo, "statuses/mentions", **query)["error_code"] in (10008, 10017)


def test_a_late_item_appears_below_newer_ones(weibo, story, clock):
    weibo.late["a"] = 600
    late = story.add("a", "mention", LI, "@青山家电 先审后发")
    newer = story.add("b", "mention", MEI, "@青山家电 在吗")
    assert ids(get(weibo, "statuses/mentions")) == [newer.native_id]
    clock.now += timedelta(seconds=601)
    assert ids(get(weibo, "statuses/mentions")) == [newer.native_id, late.native_id]
    assert ids(get(weibo, "statuses/mentions", since_id=newer.native_id)) == []


def test_what_was_withdrawn_is_counted_but_not_shown(weibo, story):
    story.add("a", "mention", LI, "@青山家电 骂人的话")
    story.add("post", "own_post", None, "新品")
    story.add("b", "comment", LI, "骂人", under="post")
    gone = [
        story.add(f"x{label}", "mention", LI, None, action="delete", to=label) for label in "ab"
    ]
    assert [truth.native_id for truth in gone] == [story.told[one].native_id for one in "ab"]
    assert [(truth.label, truth.deleted) for truth in gone] == [("a", True), ("b", True)]
    for path in ("statuses/mentions", "comments/to_me"):
        page = get(weibo, path)
        assert (ids(page), page["total_number"]) == ([], 1)
    assert get(weibo, "statuses/show", id=gone[0].native_id)["error_code"] == 20101


def test_comments_are_had_by_their_numbers_unless_they_are_gone_or_hidden(weibo, story):
    story.add("post", "own_post", None, "新品")
    said = [story.add(one, "comment", LI, f"第{one}条", under="post").native_id for one in "abc"]
    story.add("x", "comment", LI, None, action="delete", to="a")
    weibo.hide(said[1])
    asked = ",".join(said)
    shown = [one["idstr"] for one in get(weibo, "comments/show_batch", cids=asked)]
    assert shown == ids(get(weibo, "comments/to_me")) == said[2:]
    weibo.hide(said[1], hidden=False)
    assert len(get(weibo, "comments/show_batch", cids=asked)) == 2
    for odd in ("", "很", ",".join(["1"] * 21)):
        assert get(weibo, "comments/show_batch", cids=odd)["error_code"] == 10017


def test_a_hidden_post_is_in_no_list_and_can_be_had_by_its_number(weibo, story):
    truth = story.add("a", "mention", LI, "@青山家电 先审后发")
    weibo.hide(truth.native_id)
    assert get(weibo, "statuses/mentions")["statuses"] == []
    assert get(weibo, "statuses/show", id=truth.native_id)["idstr"] == truth.native_id


@pytest.mark.parametrize("attachment", ["image", "video", "location", "link"])
def test_a_post_may_have_something_beside_its_words(attachment, weibo, story):
    truth = story.add("a", "mention", LI, "@青山家电 看", attachment=attachment)
    (post,) = get(weibo, "statuses/mentions")["statuses"]
    field = {"image": "pic_urls", "location": "geo"}.get(attachment, "page_info")
    assert post[field]
    assert truth.attachments == (attachment,)


def test_a_repost_carries_the_original_and_its_tombstone(weibo, story):
    story.add("post", "own_post", None, "新品上市")
    story.add("a", "mention", LI, "转发微博 @青山家电", under="post")
    original = get(weibo, "statuses/mentions")["statuses"][0]["retweeted_status"]
    assert original["text"] == "新品上市"
    assert "deleted" not in original
    story.add("x", "own_post", None, None, action="delete", to="post")
    original = get(weibo, "statuses/mentions")["statuses"][0]["retweeted_status"]
    assert (original["deleted"], original["text"]) == ("1", "此微博已被原作者删除。")
    assert original["user"]["id"] == weibo.uid


def test_a_long_text_is_cut_in_lists_and_whole_when_asked_for(weibo, story):
    truth = story.add("a", "mention", LI, "@青山家电 " + "很长的投诉。" * 60)
    (post,) = get(weibo, "statuses/mentions")["statuses"]
    assert post["isLongText"] is True
    assert post["text"].startswith("@青山家电 很长的投诉。")
    assert "全文： http://m.weibo.cn/" in post["text"]
    assert len(post["text"]) < 220
    whole = get(weibo, "statuses/show", id=truth.native_id, isGetLongText=1)
    assert whole["longText"]["longTextContent"] == whole["text"] == truth.text
    assert get(weibo, "statuses/show", id=truth.native_id)["text"] == post["text"]


# --- who may call, and how often ------------------------------------------------------------------


def test_the_token_comes_by_query_or_by_header(weibo, clock):
    url = f"{weibo.base_url}/2/account/get_uid.json"
    header = {"Authorization": f"OAuth2 {weibo.gate.token}"}
    assert requests.get(url, headers=header, timeout=5).json() == {"uid": weibo.uid}
    assert get(weibo, "account/get_uid") == {"uid": weibo.uid}
    none = requests.get(url, timeout=5)
    wrong = requests.get(url, headers={"Authorization": "OAuth2 2.00x"}, timeout=5)
    clock.now = weibo.gate.expires_at
    old = requests.get(url, headers=header, timeout=5)
    codes = [(one.status_code, one.json()["error_code"]) for one in (none, wrong, old)]
    assert codes == [(403, 10006), (403, 21332), (400, 21327)]
    assert old.json() == {
        "error": "expired_token",
        "error_code": 21327,
        "request": "/2/account/get_uid.json",
    }


def test_an_error_code_is_a_number_or_a_text(weibo):
    seen = []
    for codes in ("int", "str", "both", "both"):
        weibo.gate.codes = codes
        seen.append(get(weibo, "statuses/show", id=1)["error_code"])
    assert seen[:2] == [20101, "20101"]
    assert {type(one) for one in seen[2:]} == {int, str}


def test_the_days_quota_agrees_with_what_is_told_of_it_and_ends_at_midnight(weibo, clock):
    weibo.gate.quota = 3
    for left in (3, 2, 1, 0):
        limits = get(weibo, "account/rate_limit_status")
        assert (limits["user_limit"], limits["remaining_user_hits"]) == (3, left)
        answer = get(weibo, "statuses/mentions")
    assert answer["error_code"] == 10023
    assert get(weibo, "remind/unread_count")["mention_status"] == 0
    assert limits["reset_time"] == "2026-03-05 00:00:00"
    assert limits["reset_time_in_seconds"] == 12 * 3600 - 1
    assert "statuses" in get(weibo, "statuses/mentions/biz")
    clock.now += timedelta(seconds=limits["reset_time_in_seconds"] + 1)
    assert "statuses" in get(weibo, "statuses/mentions")


def test_an_address_has_an_hours_quota(weibo):
    weibo.gate.ip_quota = 1
    assert "statuses" in get(weibo, "statuses/mentions")
    assert get(weibo, "comments/to_me")["error_code"] == 10022


def test_unread_counters_move_with_news_and_start_again_when_staff_reads(weibo, story):
    story.add("post", "own_post", None, "新品")
    story.add("a", "mention", LI, "@青山家电")
    story.add("b", "comment", LI, "@青山家电 好用吗", under="post")
    counters = get(weibo, "remind/unread_count", uid=weibo.uid)
    assert [counters[name] for name in ("mention_status", "mention_cmt", "cmt", "dm")] == [
        1,
        1,
        1,
        0,
    ]
    weibo.staff_reads()
    assert set(get(weibo, "remind/unread_count").values()) == {0}
    assert get(weibo, "remind/unread_count", uid=1)["error_code"] == 21335


def test_a_token_tells_how_long_it_lives(weibo, clock):
    url = f"{weibo.base_url}/oauth2/get_token_info"
    clock.now += timedelta(days=23)
    info = requests.post(url, data={"access_token": weibo.gate.token}, timeout=5).json()
    assert (info["uid"], info["expire_in"]) == (weibo.uid, 7 * 86400)
    weibo.gate.revoke()
    options = {"access_token": "2.00旧"}
    assert requests.post(url, data=options, timeout=5).json()["error_code"] == 21332


def test_users_are_found_by_number_and_by_name(weibo, story):
    story.add("a", "mention", MEI, "@青山家电")
    by_name = get(weibo, "users/show", screen_name="韩梅梅")
    assert by_name["verified"] is True
    assert get(weibo, "users/show", uid=by_name["id"]) == by_name
    assert get(weibo, "users/show", uid=weibo.uid)["screen_name"] == "青山家电"
    assert get(weibo, "users/show", uid=9)["error_code"] == 20003
    assert get(weibo, "nothing/here")["error_code"] == 10020


@pytest.mark.parametrize(
    "line",
    [
        Line(0, "weibo", "review", "a", LI, "好评"),
        Line(0, "weibo", "mention", "a", None, "@青山家电"),
        Line(0, "weibo", "own_post", "a", LI, "不是我们"),
        Line(0, "weibo", "mention", "a", LI, "@青山家电", attachment="voice"),
        Line(0, "weibo", "comment", "a", LI, "图", attachment="image", under="post"),
        Line(0, "weibo", "comment", "a", LI, "自言自语"),
        Line(0, "weibo", "comment", "a", MEI, "路过", under="other"),
        Line(0, "weibo", "comment", "a", None, "没人问", under="post"),
        Line(0, "weibo", "mention", "a", LI, "改", action="edit", to="other"),
        Line(0, "weibo", "direct_message", "a", None, "我们的私信"),
    ],
)
def test_what_no_api_would_show_cannot_be_played(line, weibo, story):
    story.add("post", "own_post", None, "新品")
    story.add("other", "mention", LI, "@青山家电")
    with pytest.raises(ValueError, match="a:"):
        weibo.play(line, NOON, story.told)
    assert get(weibo, "comments/timeline")["comments"] == []
    assert len(get(weibo, "statuses/mentions")["statuses"]) == 1
