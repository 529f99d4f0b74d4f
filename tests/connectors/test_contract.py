"""Every connector of the registry against the contract: what may go wrong, what may never be told, what was ever seen."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr, ValidationError

from aggregator.errors import RateLimited, Rejected, Unauthorized, Unavailable
from aggregator.model import Identity, Page, Push
from aggregator.sandbox.base import Answer, Request, answer
from connectors.base import Receives
from connectors.registry import CONNECTORS, connector_class
from tests.connectors.loopback import T0, Clock, MemoryKeep, platform
from tests.destinations.test_every_destination import everything

OUTCOMES = (Unavailable, RateLimited, Unauthorized, Rejected)
FIXTURES = Path(__file__).parent.parent / "fixtures"
CANARY = "CANARY0secret0of0ours"
MOST_POLLS = 30
MOST_CALLS = 12  # that one poll may make


@dataclass(frozen=True, slots=True)
class Place:
    """Options that are good; `doors`: path → the answer that lets a client in, before it may ask for anything."""

    options: dict[str, str]
    doors: dict[str, Any] = field(default_factory=dict)


PLACES = {
    "x": Place(
        {
            "user_id": "880000000000000001",
            **dict.fromkeys(
                ("consumer_key", "consumer_secret", "access_token", "access_token_secret"), CANARY
            ),
        }
    ),
    "facebook": Place(
        {"page_id": "104000000000777", "access_token": CANARY, "app_secret": CANARY},
        {"/me": {"id": "104000000000777", "name": "Acme 香港"}},
    ),
    "weibo": Place({"uid": "1655548273", "access_token": CANARY, "app_secret": CANARY}),
    "wechat": Place(
        {"app_id": "wx7d2f90c1b4e8a653", "app_secret": CANARY, "token": CANARY},
        {"token": {"access_token": CANARY, "expires_in": 7200}},
    ),
    "wecom": Place(
        {
            "corp_id": "ww3b9e61a0cd4f7728",
            "secret": CANARY,
            "open_kfid": "wkLumoAAAAq7HhCt7IFSvLKtMPxyJTw",
            "token": CANARY,
            "encoding_aes_key": (CANARY * 3)[:43],
        },
        {"token": {"errcode": 0, "access_token": CANARY, "expires_in": 7200}},
    ),
    "push": Place({"token": CANARY}),
}

TROUBLE: dict[str, Answer] = {
    "500": answer({"error": "oops"}, 500),
    "502 of bytes": Answer(b"\xff\xfe<html>", 502),
    "html": Answer("<html>系统繁忙</html>".encode(), 200, content_type="text/html"),
    "truncated": Answer(b'{"data": [{"id": "1'),
    "empty": Answer(b""),
    "{}": answer({}),
    "[]": answer([]),
    "null": answer(None),
    "a number": answer(7),
    "nested": Answer(b"[" * 100_000),
    "wrong shapes": answer(
        {"data": {"id": 1}, "statuses": 5, "comments": "x", "msg_list": {}, "recordlist": "无"}
    ),
    "301": Answer(b"", 301, {"Location": "http://127.0.0.1:1/?access_token=elsewhere"}),
    "400": answer({"error": {"code": 100, "message": "参数错误"}}, 400),
    "401": answer({"error": "invalid"}, 401),
    "403": answer({"error": "forbidden"}, 403),
    "404": answer({}, 404),
    "429": answer({}, 429, {"Retry-After": "17"}),
}


def made(name: str, base_url: str = "http://127.0.0.1:9") -> Any:
    kind = connector_class(name)
    options = kind.options(**PLACES[name].options, base_url=base_url)
    return kind(options, keep=MemoryKeep(), now=Clock())


def polled(connector: Any) -> list[str]:
    pushed = connector.pushed if isinstance(connector, Receives) else ()
    return [stream for stream in connector.streams if stream not in pushed]


def walk(connector: Any, stream: str) -> int:
    """Poll as the poller does until there is no more. Returns how many polls that took."""
    cursor = None
    for number in range(1, MOST_POLLS + 1):
        page = connector.poll(stream, cursor)
        assert isinstance(page, Page)
        assert page.cursor is None or isinstance(page.cursor, str)
        if not page.more:
            return number
        assert page.cursor != cursor or page.messages, "asks again for the same, for ever"
        cursor = page.cursor
    return MOST_POLLS


def test_every_connector_of_the_registry_is_in_this_table() -> None:
    assert set(CONNECTORS) == set(PLACES)


@pytest.mark.parametrize("name", sorted(PLACES))
def test_a_connector_is_made_and_asked_as_the_contract_says(name: str) -> None:
    kind = connector_class(name)
    signature = inspect.signature(kind)
    assert list(signature.parameters) == ["options", "keep", "now"]
    for keyword in ("keep", "now"):
        assert signature.parameters[keyword].kind is inspect.Parameter.KEYWORD_ONLY
    assert list(inspect.signature(kind.poll).parameters) == ["self", "stream", "cursor"]
    assert list(inspect.signature(kind.check).parameters) == ["self"]
    connector = made(name)
    streams = connector.streams
    assert streams
    assert len(set(streams)) == len(streams)
    if isinstance(connector, Receives):
        assert set(connector.pushed) <= set(streams)


@pytest.mark.parametrize("name", sorted(PLACES))
def test_unknown_options_are_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="colour"):
        connector_class(name).options(**PLACES[name].options, colour="red")


@pytest.mark.parametrize("name", sorted(PLACES))
def test_secrets_are_hidden_whatever_is_printed_of_the_options(name: str) -> None:
    kind: type[BaseModel] = connector_class(name).options
    good = PLACES[name].options
    options = kind(**good)
    secret = {key for key, value in dict(options).items() if isinstance(value, SecretStr)}
    assert {key for key, value in good.items() if CANARY in value} <= secret
    printed = [repr(options), str(options), str(options.model_dump()), options.model_dump_json()]
    printed += [repr(made(name)), str(vars(made(name)).get("_options", ""))]
    for key in sorted(secret):
        for wrong in ([CANARY], {CANARY: CANARY}, f"{CANARY}\n", 7):
            try:
                kind(**{**good, key: wrong})
            except ValidationError as error:
                printed += [str(error), repr(error)]
    assert all(CANARY not in one for one in printed)


@pytest.mark.parametrize("trouble", sorted(TROUBLE))
@pytest.mark.parametrize("name", sorted(PLACES))
def test_whatever_a_platform_answers_only_our_outcomes_come_out(name: str, trouble: str) -> None:
    with platform(lambda _: TROUBLE[trouble]) as server:
        connector = made(name, server.base_url)
        for ask in _every_way(connector):
            before = len(server.requests)
            try:
                ask()
            except OUTCOMES as error:
                assert CANARY not in everything(error)
                assert type(error) in OUTCOMES or isinstance(error, OUTCOMES)
                if trouble in ("500", "502 of bytes", "html", "truncated", "empty", "nested"):
                    assert isinstance(error, Unavailable), "a passing trouble must be tried again"
            assert len(server.requests) - before <= MOST_CALLS * MOST_POLLS


@pytest.mark.parametrize("fault", ["cut", "cut_body", "truncated", "html"])
@pytest.mark.parametrize("name", sorted(set(PLACES) - {"push"}))
def test_a_broken_connection_is_unavailable_and_tells_no_secret(name: str, fault: str) -> None:
    with platform(lambda _: answer({"data": [1, 2, 3], "text": "半句话" * 50})) as server:
        server.fault(fault, times=100_000)
        connector = made(name, server.base_url)
        for ask in _every_way(connector):
            before = len(server.calls)
            try:
                ask()
            except Unavailable as error:
                assert CANARY not in everything(error)
            else:
                assert len(server.calls) == before, "half an answer was taken for a whole one"


def _every_way(connector: Any) -> list[Callable[[], object]]:
    """check, and each stream until it says that there is no more."""
    ways: list[Callable[[], object]] = [lambda: _checked(connector)]
    return ways + [lambda stream=stream: walk(connector, stream) for stream in polled(connector)]


def _checked(connector: Any) -> None:
    assert isinstance(connector.check(), Identity)


def _fixtures() -> list[tuple[str, Path]]:
    return [
        (folder.name, path)
        for folder in sorted(FIXTURES.iterdir())
        if folder.name in CONNECTORS
        for path in sorted(folder.iterdir())
    ]


@pytest.mark.parametrize(
    ("name", "path"), _fixtures(), ids=[f"{name}-{path.stem}" for name, path in _fixtures()]
)
def test_every_fixture_is_read_without_a_defect_by_poll_and_by_push(name: str, path: Path) -> None:
    body = path.read_bytes()
    doors = PLACES[name].doors

    def say(request: Request) -> Answer:
        for door, told in doors.items():
            if request.path.endswith(door):
                return answer(told)
        return Answer(body)

    with platform(say) as server:
        connector = made(name, server.base_url)
        for stream in polled(connector):
            try:
                walk(connector, stream)
            except OUTCOMES as error:
                assert CANARY not in everything(error)
        if isinstance(connector, Receives):
            page = connector.read([body, body[: len(body) // 2], b""])
            assert isinstance(page, Page)
            for message in page.messages:
                assert message.native_id and message.platform
            push = Push("POST", {}, {"content-type": "application/json"}, body, T0)
            with pytest.raises(Rejected) as refused:
                connector.verify(push)  # it is not signed
            assert 400 <= refused.value.status < 500
            assert CANARY not in everything(refused.value)


@pytest.mark.parametrize("name", sorted(set(PLACES)))
@pytest.mark.parametrize(
    "cursor", ["", "{}", "[]", "null", "7", '{"high": "x", "walk": 3}', "\x00\ud800", "中" * 5000]
)
def test_a_cursor_that_nobody_understands_begins_anew_or_is_an_outcome(
    name: str, cursor: str
) -> None:
    with platform(lambda _: answer({})) as server:
        connector = made(name, server.base_url)
        for stream in polled(connector):
            try:
                assert isinstance(connector.poll(stream, cursor), Page)
            except OUTCOMES as error:
                assert CANARY not in everything(error)
