"""Logs: no secret in a line, and no line that a text from outside could forge."""

from __future__ import annotations

import base64
import io
import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.errors import SettingsError
from aggregator.logs import PINNED, Redactor, configure

Lines = Callable[[], list[str]]


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Logging as it was is put back: pytest has handlers of its own on the root logger."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    pinned = {name: logging.getLogger(name).level for name in PINNED}
    yield io.StringIO()
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, was in pinned.items():
        logging.getLogger(name).setLevel(was)


def written(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_readable_chinese(stream: io.StringIO) -> None:
    configure({}, stream=stream)
    structlog.get_logger("aggregator.poller").info("poll.finished", account="微博_官方", new=3)
    assert "微博_官方" in stream.getvalue()
    (line,) = written(stream)
    assert (line["event"], line["account"], line["new"]) == ("poll.finished", "微博_官方", 3)
    assert (line["level"], line["logger"]) == ("info", "aggregator.poller")
    assert line["at"].endswith("Z")


def test_the_standard_librarys_logging_goes_the_same_way(stream: io.StringIO) -> None:
    configure({}, stream=stream)
    logging.getLogger("alembic").info("running %s", "升级", extra={"token": "abc", "revision": "7"})
    (line,) = written(stream)
    assert (line["event"], line["logger"]) == ("running 升级", "alembic")
    assert (line["token"], line["revision"]) == ("***", "7")


def test_the_sdks_stay_quiet_however_talkative_the_log_is(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure({"INBOXD_LOG_LEVEL": "debug"}, stream=stream)
    for name in PINNED:
        # A server that another test of this process started may have cut its logger off.
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)
        logging.getLogger(name).info("token in here")
        logging.getLogger(f"{name}.child").debug("and here")
        logging.getLogger(name).warning("heard")
    assert [line["event"] for line in written(stream)] == ["heard"] * len(PINNED)


def test_the_level_is_what_the_environment_says(stream: io.StringIO) -> None:
    configure({"INBOXD_LOG_LEVEL": "WARNING"}, stream=stream)
    log = structlog.get_logger()
    log.info("quiet")
    log.warning("loud")
    assert [line["event"] for line in written(stream)] == ["loud"]


def test_configuring_again_does_not_write_twice(stream: io.StringIO) -> None:
    configure({}, stream=stream)
    configure({}, stream=stream)
    structlog.get_logger().info("once")
    assert len(written(stream)) == 1


def test_what_the_environment_cannot_mean_is_told() -> None:
    with pytest.raises(SettingsError) as raised:
        configure({"INBOXD_LOG_LEVEL": "chatty", "INBOXD_LOG_FORMAT": "xml"}, stream=io.StringIO())
    assert raised.value.problems == (
        "INBOXD_LOG_LEVEL: cannot be 'chatty'; use debug, info, warning, error, critical",
        "INBOXD_LOG_FORMAT: cannot be 'xml'; use json or console",
    )


@pytest.mark.parametrize(
    "name",
    [
        "token",
        "access_token",
        "clientSecret",
        "Authorization",
        "password",
        "api-key",
        "apiKey",
        "set-cookie",
    ],
)
def test_values_are_redacted_by_their_key_wherever_they_stand(
    stream: io.StringIO, name: str
) -> None:
    configure({}, stream=stream)
    structlog.get_logger().info("x", **{name: "值abc"}, deep={"a": [{name: ["值abc"]}]})
    assert "值abc" not in stream.getvalue()


def test_a_number_under_such_a_key_is_a_figure_and_stays(stream: io.StringIO) -> None:
    configure({}, stream=stream)
    structlog.get_logger().info("x", token_days_left=7, keyboard="qwerty", tokens=None)
    (line,) = written(stream)
    assert (line["token_days_left"], line["keyboard"], line["tokens"]) == (7, "qwerty", None)


SECRETS = [
    "https://graph.facebook.com/me?access_token={}&fields=id",
    "Authorization: Bearer {}",
    "{{'client_secret': '{}', 'a': 1}}",
    '{{"appsecret": "{}"}}',
    'OAuth oauth_consumer_key="{}", oauth_signature="{}"',
    "postgresql://inboxd:{}@db/inboxd",
    "corpsecret={}",
    "consumer_key={}",
]


@pytest.mark.parametrize("shape", SECRETS)
def test_secrets_are_known_by_where_they_stand(shape: str) -> None:
    assert "s3cr3t-value" not in Redactor().text(shape.replace("{}", "s3cr3t-value"))


@pytest.mark.parametrize(
    "secret",
    [
        "xoxb-1234567-abcdef",
        "xapp-1-A0-99",
        "whsec_MfKQ9r8GKYqr",
        "EAABsbCS1iHgBAKZCxyz0123456",
        "xoxe.xoxp-1-Mi0y",
    ],
)
def test_secrets_are_known_by_their_shape(secret: str) -> None:
    assert Redactor().text(f"发往 {secret} 失败") == "发往 *** 失败"


def test_a_registered_value_is_found_everywhere(stream: io.StringIO) -> None:
    redactor = configure({}, stream=stream)
    redactor.redact(["p@ss/字word", "other-secret", "short"])
    log = structlog.get_logger()
    log.info(
        "p@ss/字word",
        about="x other-secret y",
        url=f"?a={quote('p@ss/字word', safe='')}",
        short="short",
    )
    try:
        raise ValueError("with other-secret") from KeyError("p@ss/字word")
    except ValueError as error:
        log.exception("failed", error=error)
        logging.getLogger("library").exception("failed too: %s", error)
    text = stream.getvalue()
    assert "p@ss" not in text
    assert "other-secret" not in text
    assert quote("p@ss/字word", safe="") not in text
    assert '"short": "short"' in text


def test_a_secret_is_not_hidden_by_control_characters(stream: io.StringIO) -> None:
    redactor = configure({}, stream=stream)
    redactor.redact(["other-secret"])
    structlog.get_logger().info("x", text="other-\x00sec\u202eret")
    assert "ret" not in written(stream)[0]["text"]


def test_no_value_can_forge_a_line_on_the_console(stream: io.StringIO) -> None:
    configure({"INBOXD_LOG_FORMAT": "console"}, stream=stream)
    hostile = "好\r\n2026-01-01 [error] forged\x1b[2J\u202e\u2028next\x85"
    structlog.get_logger().info("x", text=hostile)
    logging.getLogger("library").warning(hostile)
    assert len(stream.getvalue().splitlines()) == 2
    assert not set("\x1b\u202e\u2028\x85\r") & set(stream.getvalue())


def test_a_traceback_is_set_off_so_that_it_cannot_pass_for_a_line(stream: io.StringIO) -> None:
    configure({"INBOXD_LOG_FORMAT": "console"}, stream=stream)
    try:
        raise ValueError("怎么办\n2026-01-01T00:00:00Z [error] forged\x1b[2J")
    except ValueError:
        structlog.get_logger().exception("failed")
    first, *rest = stream.getvalue().splitlines()
    assert "failed" in first
    assert rest
    assert all(line.startswith("    | ") for line in rest)
    assert "\x1b" not in stream.getvalue()


def test_odd_values_are_printed_all_the_same(stream: io.StringIO) -> None:
    configure({}, stream=stream)
    deep: dict[str, Any] = {}
    deep["again"] = deep
    structlog.get_logger().info(
        "x",
        surrogate="a\ud800b",
        raw=b"\xff\xfe",
        deep=deep,
        odd=object(),
        many={1, 2},
        long="长" * 10_000,
    )
    (line,) = written(stream)
    assert (line["surrogate"], line["raw"]) == ("ab", "2 bytes")
    assert len(line["long"]) == 4_001
    stream.getvalue().encode()


@settings(max_examples=100, deadline=None)
@given(st.text(), st.text(alphabet="abcdef0123456789=&:'\" Bearertoken_-", max_size=60))
def test_redacting_twice_changes_nothing(one: str, two: str) -> None:
    redactor = Redactor()
    once = redactor.text(one + two)
    assert redactor.text(once) == once


def test_a_hostile_text_does_not_hold_up_the_log() -> None:
    redactor = Redactor()
    redactor.redact(base64.b64encode(bytes([n]) * 12).decode() for n in range(50))
    begin = time.perf_counter()
    for text in (
        "a-" * 500_000,
        "oauth_" * 200_000,
        "token" * 200_000,
        "://" * 300_000,
        "=" * 10**6,
    ):
        redactor.text(text)
    assert time.perf_counter() - begin < 3
