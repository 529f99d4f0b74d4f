"""People, times, durations, and how long is left."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from aggregator.destinations.example import NOW, story
from aggregator.destinations.render import (
    State,
    attachments,
    credentials,
    duration,
    local_time,
    person,
    standing,
    state_of,
    words_of,
)
from aggregator.model import (
    Attachment,
    Author,
    Card,
    ClockKind,
    ConversationState,
    Notice,
    Outcome,
)
from tests.destinations.rooms import card


def words(notice: Notice, given: Card) -> str:
    stand = standing(given, notice, lambda at: local_time(at, notice.timezone, notice.now))
    return " · ".join([stand.word, *stand.rest])


@pytest.mark.parametrize(
    ("seconds", "zh", "en"),
    [
        (0, "不到 1 分钟", "under 1 min"),
        (59.9, "不到 1 分钟", "under 1 min"),
        (60, "1 分钟", "1 min"),
        (12 * 60 + 59, "12 分钟", "12 min"),
        (3600, "1 小时", "1 h"),
        (3900, "1 小时 5 分钟", "1 h 5 min"),
        (86400, "1 天", "1 d"),
        (2 * 86400 + 3 * 3600 + 59 * 60, "2 天 3 小时", "2 d 3 h"),
        (-480, "8 分钟", "8 min"),
    ],
)
def test_a_duration_reads_like_speech(seconds: float, zh: str, en: str) -> None:
    assert duration(timedelta(seconds=seconds), "zh") == zh
    assert duration(timedelta(seconds=seconds), "en") == en


def test_a_time_says_its_day_only_when_it_is_another() -> None:
    now = datetime(2026, 3, 4, 15, 30, tzinfo=UTC)  # 23:30 in Shanghai
    assert local_time(now, "Asia/Shanghai", now) == "23:30"
    assert local_time(now + timedelta(minutes=31), "Asia/Shanghai", now) == "03-05 00:01"
    assert local_time(now - timedelta(days=100), "Asia/Shanghai", now) == "2025-11-24 23:30"
    assert local_time(now, "No/Where", now) == "15:30"
    assert local_time(datetime.max.replace(tzinfo=UTC), "Asia/Shanghai", now) == "9999-12-31 23:59"


def test_while_a_clock_runs_the_deadline_comes_first() -> None:
    notice = card("zh")
    assert notice.card is not None
    assert state_of(notice.card, NOW) is State.WAITING
    assert words(notice, notice.card) == "14:26 前首次回复 · 14:20 时还剩 6 分钟"
    english = card("en")
    assert english.card is not None
    assert words(english, english.card) == "first reply by 14:26 · 6 min left at 14:20"


def test_a_deadline_that_has_passed_is_said_to_have_passed() -> None:
    notice = card("zh", now=NOW + timedelta(minutes=14))
    assert notice.card is not None
    assert state_of(notice.card, notice.now) is State.OVERDUE
    assert words(notice, notice.card) == "已超时 · 应在 14:26 前首次回复 · 14:34 时已超 8 分钟"


def test_at_the_deadline_itself_it_is_not_yet_late() -> None:
    given = card().card
    assert given is not None and given.clock is not None
    assert state_of(given, given.clock.due_at) is State.WAITING


def test_an_answer_is_told_with_who_when_and_how_long() -> None:
    answered = story("zh")[3]
    assert answered.card is not None
    assert words(answered, answered.card) == "已回复 · 小李 14:24 · 用时 13 分钟 · 在目标内"


def test_business_time_is_told_where_it_differs() -> None:
    answered = story("en")[3]
    assert answered.card is not None and answered.card.clock is not None
    clock = replace(
        answered.card.clock, wall_ms=14 * 3_600_000, business_ms=300_000, outcome=Outcome.BREACHED
    )
    given = replace(answered.card, clock=clock)
    assert words(answered, given).endswith("after 14 h (5 min in business hours) · past the target")


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Outcome.NOT_NEEDED, State.NOT_NEEDED),
        (Outcome.UNANSWERED_CLOSED, State.UNANSWERED_CLOSED),
        (Outcome.WITHDRAWN, State.WITHDRAWN),
        (Outcome.MET, State.ANSWERED),
        (Outcome.BREACHED, State.ANSWERED),
    ],
)
def test_how_a_clock_ended_is_the_state(outcome: Outcome, state: State) -> None:
    given = card().card
    assert given is not None and given.clock is not None
    clock = replace(given.clock, stopped_at=NOW, outcome=outcome)
    assert state_of(replace(given, clock=clock), NOW) is state


def test_without_a_clock_the_conversation_speaks() -> None:
    given = card().card
    assert given is not None
    bare = replace(given, clock=None)
    assert state_of(bare, NOW) is State.NO_TARGET
    for conversation_state, state in (
        (ConversationState.CLOSED, State.CLOSED),
        (ConversationState.RESOLVED, State.RESOLVED),
    ):
        conversation = replace(given.conversation, state=conversation_state)
        assert state_of(replace(bare, conversation=conversation), NOW) is state


def test_every_kind_of_clock_has_its_words() -> None:
    notice = card()
    assert notice.card is not None and notice.card.clock is not None
    for kind, expected in ((ClockKind.NEXT_RESPONSE, "前回复"), (ClockKind.RESOLUTION, "前解决")):
        clock = replace(notice.card.clock, kind=kind)
        assert expected in words(notice, replace(notice.card, clock=clock))


def test_somebody_has_a_name_whatever_is_missing() -> None:
    assert person(None, "zh") == "未知用户"
    assert person(Author(), "en") == "Somebody"
    assert person(Author(name=" \u200b\n"), "zh") == "未知用户"
    assert person(Author(handle="lin"), "zh") == "lin"
    assert person(Author(native_id="kf2001@acme"), "zh") == "kf2001@acme"
    openid = "oab77f8380000000000000000045"
    assert person(Author(native_id=openid), "zh") == "客户 …000045"
    assert person(Author(native_id=openid), "en") == "Customer …000045"
    assert person(Author(name="换\n行\x1b[31m"), "zh") == "换 行"
    assert len(person(Author(name="长" * 10_000), "zh")) == 80


@pytest.mark.parametrize(
    ("followers", "zh", "en"),
    [
        (9_999, None, None),
        (10_000, "1 万粉丝", "10K followers"),
        (123_456, "12.3 万粉丝", "123.4K followers"),
        (2_000_000, "200 万粉丝", "2M followers"),
        (310_000_000, "3.1 亿粉丝", "310M followers"),
    ],
)
def test_a_following_is_told_when_it_matters(
    followers: int, zh: str | None, en: str | None
) -> None:
    for language, expected in (("zh", zh), ("en", en)):
        facts = credentials(Author(name="林", followers=followers), language)
        assert facts == ([expected] if expected else [])


def test_what_was_withdrawn_is_not_shown() -> None:
    given = card().card
    assert given is not None
    gone = replace(given.latest, deleted=True)
    assert words_of(gone, "zh") == "（作者已撤回）"
    assert attachments(gone, "zh") is None


def test_attachments_are_counted_and_an_unknown_kind_keeps_its_name() -> None:
    given = card().card
    assert given is not None
    kinds = ("image", "image", "voice", "mini_program")
    said = replace(given.latest, attachments=tuple(Attachment(kind) for kind in kinds))
    assert attachments(said, "zh") == "图片 ×2、语音、mini_program"
