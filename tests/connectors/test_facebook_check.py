"""What `check` tells of a Page: its token, its permissions, its streams, and what keeps webhooks from coming."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from aggregator.errors import Unauthorized
from aggregator.model import Identity
from tests.connectors.test_facebook_quota import NOON, Stage


@pytest.fixture
def stage() -> Iterator[Stage]:
    one = Stage()
    one.page.start()
    yield one
    one.page.stop()
    assert one.page.errors == []


def check(stage: Stage, **more: str) -> Identity:
    stage.clock.on(seconds=1)
    return stage.connect(**more).check()


def test_a_page_that_is_well_says_ok_and_how_long_its_data_may_be_read(stage: Stage) -> None:
    told = check(stage, verify_token="暗号")
    assert dict(told.streams) == {
        **dict.fromkeys(("posts", "comments", "reviews", "messages", "webhook"), "ok")
    }
    assert told.name == "Lumo"
    assert told.token_expires_at == NOON + timedelta(days=60, seconds=1)
    assert told.note is None
    assert "webhook" not in check(stage).streams


def test_the_end_of_data_access_is_told_before_the_end_of_the_token(stage: Stage) -> None:
    stage.page.apps.data_days = 5
    told = check(stage)
    assert told.token_expires_at == NOON + timedelta(days=5, seconds=1)
    assert "log in to the app" in (told.note or "")
    stage.page.apps.expires_in_s = 3600
    assert check(stage).token_expires_at == NOON + timedelta(hours=1, seconds=2)


def test_a_missing_permission_is_told_by_its_name_and_use(stage: Stage) -> None:
    stage.page.apps.scopes.remove("pages_manage_engagement")
    stage.page.apps.scopes.remove("pages_manage_metadata")
    note = check(stage).note or ""
    assert "pages_manage_engagement (answering comments)" in note
    assert "pages_manage_metadata" not in note  # only webhooks need it
    assert "pages_manage_metadata" in (check(stage, verify_token="暗号").note or "")


@pytest.mark.parametrize(
    ("subcode", "remedy"),
    [(458, "add it again"), (460, "password"), (463, "expired"), (492, "will not help")],
)
def test_a_dead_token_is_told_with_how_it_died(stage: Stage, subcode: int, remedy: str) -> None:
    stage.page.gate.trouble = subcode
    with pytest.raises(Unauthorized) as caught:
        check(stage)
    assert remedy in caught.value.remedy
    assert stage.page.gate.page_token not in str(caught.value)


def test_a_users_token_is_told_as_such(stage: Stage) -> None:
    with pytest.raises(Unauthorized, match="me/accounts"):
        check(stage, access_token=stage.page.user_token)


def test_each_stream_says_ok_denied_or_quota_for_itself(stage: Stage) -> None:
    me = stage.page.page.id
    stage.page.refuse(10, "(#10) dropped after 90 idle days", path=f"/v26.0/{me}/conversations")
    stage.page.refuse(32, "Page request limit reached", path=f"/v26.0/{me}/ratings")
    stage.page.fault("html", path=f"/v26.0/{me}/feed")
    streams = check(stage, verify_token="暗号").streams
    assert streams["webhook"].startswith("not told: ")  # the Page's quota is everybody's
    assert streams["messages"].startswith("denied: ")
    assert "pages_messaging" in streams["messages"]
    assert streams["reviews"].startswith("quota: ")
    assert streams["posts"].startswith("unavailable: ")


@pytest.mark.parametrize(
    ("version", "word"),
    [("v20.0", "ended on 2026-09-24"), ("v21.0", "v21.0 ends on 2027-01-21"), ("v26.0", "")],
)
def test_a_graph_version_that_ends_soon_is_told(stage: Stage, version: str, word: str) -> None:
    stage.clock.on(days=5)
    note = check(stage, graph_version=version).note or ""
    assert word in note
    assert bool(note) is bool(word)


def test_a_page_that_does_not_send_a_field_is_asked_to(stage: Stage) -> None:
    for sends in (["feed", "messaging_handovers"], None):
        stage.page.apps.page_fields = sends
        told = check(stage, verify_token="暗号")
        assert told.streams["webhook"] == "ok"
        assert "message_edits from now on" in (told.note or "")
        fields = stage.page.apps.page_fields
        assert fields is not None
        assert {"feed", "mention", "ratings", "messages", "message_echoes"} <= set(fields)
        assert ("messaging_handovers" in fields) is bool(sends)  # what others asked for stays
    assert check(stage, verify_token="暗号").note is None


def test_a_field_that_the_page_will_not_send_is_named(stage: Stage) -> None:
    stage.page.apps.page_fields = ["feed"]
    path = f"/v26.0/{stage.page.page.id}/subscribed_apps"
    stage.page.refuse(200, "(#200) pages_manage_metadata", path=path, after=1)
    told = check(stage, verify_token="暗号")
    assert "does not send mention, ratings" in told.streams["webhook"]
    assert "subscribed_fields=feed,mention" in told.streams["webhook"]
    assert told.note is None


def test_the_apps_side_is_told_apart_from_the_pages(stage: Stage) -> None:
    assert stage.page.apps.app_fields is not None
    stage.page.apps.app_fields.remove("mention")
    assert "tick them" in check(stage, verify_token="暗号").streams["webhook"]
    stage.page.apps.active = False
    assert "switched off" in check(stage, verify_token="暗号").streams["webhook"]
    stage.page.apps.app_fields = None
    assert "callback address" in check(stage, verify_token="暗号").streams["webhook"]


def test_no_secret_is_in_a_url_of_ours(stage: Stage) -> None:
    check(stage, verify_token="暗号")
    for _, path in stage.page.calls:
        assert stage.page.gate.app_secret not in path
        assert stage.page.gate.page_token not in path
