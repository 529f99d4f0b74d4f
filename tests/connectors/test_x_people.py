"""Who wrote on X: asked for once and kept for a week, since a profile costs ten times what a mention does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aggregator.errors import Unavailable
from aggregator.model import Author
from connectors import budget
from tests.connectors.loopback import MemoryKeep
from tests.connectors.x_place import ANN, BEN, Place, place


@pytest.fixture
def x() -> Iterator[Place]:
    with place(rate_factor=100) as made:
        yield made


def billed(x: Place) -> int:
    return sum(1 for _, kind, _ in x.x.billed if kind == "user")


def author(x: Place, cursor: str | None) -> tuple[Author | None, str | None]:
    """Of the newest mention."""
    found, cursor = x.walk("mentions", cursor)
    return found[-1].author, cursor


def test_a_customer_who_writes_every_day_is_asked_for_once_a_week(x: Place) -> None:
    _, cursor = x.walk("mentions", None)
    for day in range(7):
        x.mention(f"第 {day} 天，还没发货")
        told, cursor = author(x, cursor)
        assert told is not None
        assert (told.name, told.handle, told.followers) == ("安妮", "ann_reads", 120)
        x.clock.on(hours=23)
    assert (billed(x), x.calls("/2/users")) == (1, x.calls("/2/users/") + 1)


def test_a_profile_is_refreshed_when_its_person_writes_again_after_a_week(x: Place) -> None:
    _, cursor = x.walk("mentions", None)
    x.mention("你好")
    _, cursor = author(x, cursor)
    before = billed(x)
    x.x.users.clear()
    x.clock.on(days=8)
    ann = x.x.user(type(ANN)(ANN.number, "安妮 · 搬家中", "annie", 9))
    x.x.post(ann, "@lumo 又是我", x.clock())
    told, _ = author(x, cursor)
    assert told is not None
    assert (told.name, told.handle, told.followers) == ("安妮 · 搬家中", "annie", 9)
    assert billed(x) == before + 1


def test_a_page_waits_three_times_for_its_authors_and_not_longer(x: Place) -> None:
    _, cursor = x.walk("mentions", None)
    x.mention("在吗")
    account = x.connect()
    x.x.fault("html", path="/2/users", after=1)  # the list itself is well
    for _ in range(3):
        with pytest.raises(Unavailable):
            account.poll("mentions", cursor)
        x.x.fault("status", path="/2/users", status=401, after=1)
    (found,) = account.poll("mentions", cursor).messages
    assert found.author == Author(str(x.x.user(ANN).id))
    assert found.text == "@lumo 在吗"


def test_without_a_call_left_a_message_has_the_id_of_who_wrote(x: Place) -> None:
    _, cursor = x.walk("mentions", None)
    x.mention("在吗")
    budget.shut(x.keep, "x:users", x.clock(), seconds=600, why="no call left")
    told, cursor = author(x, cursor)
    assert told == Author(str(x.x.user(ANN).id))
    x.clock.on(minutes=11)
    x.mention("还在吗")
    told, _ = author(x, cursor)
    assert told is not None
    assert told.name == "安妮"


def test_a_limit_that_is_over_in_a_minute_is_waited_out(x: Place) -> None:
    _, cursor = x.walk("mentions", None)
    x.mention("在吗")
    account = x.connect()
    soon = {"x-rate-limit-reset": str(int(x.clock().timestamp()) + 30)}
    x.x.fault("status", path="/2/users", status=429, after=1, headers=soon)
    with pytest.raises(Unavailable):
        account.poll("mentions", cursor)
    x.clock.on(minutes=1)
    (found,) = account.poll("mentions", cursor).messages
    assert found.author is not None
    assert found.author.name == "安妮"


def test_a_message_without_a_name_comes_again_with_it_once_x_tells_it(x: Place) -> None:
    _, cursor = x.walk("mentions", None)
    x.mention("在吗")
    account = x.connect()
    budget.shut(x.keep, "x:users", x.clock(), seconds=7200, why="no call left")
    page = account.poll("mentions", cursor)
    assert [one.author and one.author.name for one in page.messages] == [None]
    cursor = page.cursor
    for _ in range(5):  # until the overlap shows it no more
        x.clock.on(minutes=10)
        x.mention("下一条")
        cursor = account.poll("mentions", cursor).cursor
    assert [one.text for one in account.poll("mentions", cursor).messages] == ["@lumo 下一条"]
    x.clock.on(minutes=90)
    told = [one for one in account.poll("mentions", cursor).messages if one.text == "@lumo 在吗"]
    assert [one.author and one.author.name for one in told] == ["安妮"]
    assert told[0].native_id == page.messages[0].native_id


def test_who_has_no_profile_is_not_asked_for_again_that_day(x: Place) -> None:
    _, cursor = x.walk("mentions", None)
    x.x.nameless.add(x.x.user(BEN).id)
    for _ in range(3):
        x.mention("Where is my parcel?", who=BEN)
        told, cursor = author(x, cursor)
        assert told == Author(str(x.x.user(BEN).id))
        x.clock.on(minutes=30)
    asked = x.calls("/2/users") - x.calls("/2/users/")
    assert asked == 1


def test_whom_a_direct_message_brought_along_is_known_when_they_post(x: Place) -> None:
    _, mentions = x.walk("mentions", None)
    _, direct = x.walk("direct_messages", None)
    x.direct("私信里说")
    x.walk("direct_messages", direct)
    x.mention("公开再说一遍")
    told, _ = author(x, mentions)
    assert told is not None
    assert told.name == "安妮"
    assert x.calls("/2/users") == x.calls("/2/users/")


def test_what_was_kept_of_people_is_bounded_and_may_be_nonsense(x: Place) -> None:
    keep: MemoryKeep = x.keep
    _, cursor = x.walk("mentions", None)
    x.mention("你好")
    for row in range(64):
        keep.rows[f"people:{row}"] = '{"1": [1, 2], "2": "坏的"' if row % 2 else '["坏"]'
    told, _ = author(x, cursor)
    assert told is not None
    assert told.handle == "ann_reads"
