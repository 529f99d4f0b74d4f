"""Every destination of the registry against one table of what can go wrong, and one of what may never be told."""

from __future__ import annotations

import json
import socket
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from aggregator.destinations.base import Finds
from aggregator.destinations.console import Console
from aggregator.destinations.example import NOW
from aggregator.destinations.registry import DESTINATIONS, destination_class
from aggregator.errors import RateLimited, Rejected, Unauthorized, Unavailable
from aggregator.model import Notice, Receipt
from aggregator.sandbox.base import Standin
from tests.destinations.desk import EMAIL, KEY, Desk
from tests.destinations.rooms import ROOM, TOKEN, Room, card, every_kind, message, running

OUTCOMES = (Unavailable, RateLimited, Unauthorized, Rejected)


@dataclass(frozen=True, slots=True)
class Place:
    """How to reach a kind of destination: its server, its options for a base URL, its secret, a good receipt."""

    server: Callable[[], Standin]
    options: Callable[[str], dict[str, Any]]
    secret: str
    receipt: str


PLACES = {
    "slack": Place(
        Room,
        lambda url: {"token": TOKEN, "room": ROOM, "base_url": f"{url}/api/"},
        TOKEN,
        f"{ROOM}:{int(NOW.timestamp())}.000000",
    ),
    "zendesk": Place(Desk, lambda url: {"url": url, "email": EMAIL, "token": KEY}, KEY, "1"),
}
OFFLINE = {"console"}  # calls nobody


def test_every_kind_of_the_registry_is_in_these_tables() -> None:
    assert set(DESTINATIONS) == set(PLACES) | OFFLINE


@pytest.fixture(params=sorted(PLACES))
def place(request: Any) -> Place:
    return PLACES[request.param]


@pytest.fixture
def server(place: Place) -> Iterator[Standin]:
    made = place.server()
    with running(made):
        yield made


def reach(place: Place, url: str, secret: str | None = None, patience_s: float = 5) -> Any:
    kind = next(kind for kind, one in PLACES.items() if one is place)
    made = destination_class(kind)
    values = place.options(url) | ({"token": secret} if secret else {})
    return made(made.options(**values), now=lambda: NOW, timeout_s=(5, patience_s))


def calls(place: Place) -> list[tuple[str, Callable[[Any], Any]]]:
    """Every way of talking to a destination."""
    earlier = Receipt(place.receipt)
    return [
        ("check", lambda to: to.check()),
        ("create", lambda to: to.send(card())),
        ("edit", lambda to: to.send(card(earlier=earlier))),
        ("thread", lambda to: to.send(message(earlier=earlier))),
        ("find", lambda to: to.find(card(since=NOW))),
        ("find in thread", lambda to: to.find(message(earlier=earlier))),
    ]


def failure(call: Callable[[Any], Any], destination: Any) -> Exception:
    with pytest.raises(OUTCOMES) as raised:
        call(destination)
    return raised.value


@pytest.mark.parametrize("number", range(6), ids=[name for name, _ in calls(PLACES["slack"])])
@pytest.mark.parametrize(
    ("fault", "expected", "maybe_done"),
    [
        ({"kind": "status", "status": 401}, Unauthorized, None),
        ({"kind": "status", "status": 403}, Unauthorized, None),
        ({"kind": "status", "status": 429, "headers": {"Retry-After": "17"}}, RateLimited, None),
        ({"kind": "status", "status": 429}, RateLimited, None),
        ({"kind": "status", "status": 500}, Unavailable, True),
        ({"kind": "status", "status": 502, "body": b"\xff\xfe<html>"}, Unavailable, True),
        ({"kind": "status", "status": 408}, Unavailable, False),
        ({"kind": "status", "status": 200, "body": b"[]"}, Unavailable, True),
        ({"kind": "status", "status": 200, "body": b""}, Unavailable, True),
        ({"kind": "status", "status": 200, "body": b"[" * 100_000}, Unavailable, True),
        ({"kind": "html"}, Unavailable, True),
        ({"kind": "html_ok"}, Unavailable, True),
        ({"kind": "truncated"}, Unavailable, True),
        ({"kind": "cut"}, Unavailable, True),
        ({"kind": "cut_after"}, Unavailable, True),
        ({"kind": "slow", "seconds": 0.4}, Unavailable, True),
    ],
    ids=lambda value: str(value.get("status", value["kind"])) if isinstance(value, dict) else None,
)
def test_trouble_has_the_same_meaning_everywhere(
    place: Place,
    server: Standin,
    number: int,
    fault: dict[str, Any],
    expected: type[Exception],
    maybe_done: bool | None,
) -> None:
    reach(place, server.base_url).send(
        card()
    )  # so that there is something to edit and to thread under
    _, call = calls(place)[number]
    server.fault(**fault)
    patience_s = 0.1 if fault["kind"] == "slow" else 5
    error = failure(call, reach(place, server.base_url, patience_s=patience_s))
    assert type(error) is expected
    if maybe_done is not None:
        assert isinstance(error, Unavailable) and error.maybe_done is maybe_done
    if isinstance(error, RateLimited):
        assert error.retry_after_s in (17, 30)
    assert place.secret not in everything(error)


def test_a_refused_connection_has_done_nothing(place: Place) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    for _, call in calls(place):
        error = failure(call, reach(place, f"http://127.0.0.1:{port}"))
        assert isinstance(error, Unavailable) and not error.maybe_done


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("17", 17),
        ("0", 1),
        ("-5", 1),
        ("1e9", 3600),
        ("nan", 1),
        ("soon", 30),
        ("Wed, 04 Mar 2026 06:20:45 GMT", 45),
        ("Wed, 04 Mar 2026 05:00:00 GMT", 1),
    ],
)
def test_retry_after_is_read_in_every_form(
    place: Place, server: Standin, retry_after: str, seconds: float
) -> None:
    server.fault("status", status=429, headers={"Retry-After": retry_after})
    error = failure(lambda to: to.send(card()), reach(place, server.base_url))
    assert isinstance(error, RateLimited) and error.retry_after_s == seconds


def test_a_wrong_secret_stops_the_destination_and_names_a_remedy(
    place: Place, server: Standin
) -> None:
    canary = "CANARY-wrong-93bd"
    error = failure(lambda to: to.send(card()), reach(place, server.base_url, canary))
    assert isinstance(error, Unauthorized) and error.remedy
    assert canary not in everything(error)


def test_a_missing_address_never_loses_a_notice(place: Place, server: Standin) -> None:
    server.fault("status", status=404, times=9)
    error = failure(lambda to: to.send(card()), reach(place, server.base_url))
    assert isinstance(error, Unauthorized) and "check the destination's" in error.remedy


def everything(error: BaseException) -> str:
    """All that a log could print of it, the locals of our own frames aside."""
    texts = ["".join(traceback.format_exception(error)), str(error), repr(error)]
    seen: BaseException | None = error
    while seen is not None:
        texts += [repr(seen.args), repr(vars(seen)) if hasattr(seen, "__dict__") else ""]
        seen = seen.__cause__ or seen.__context__
    return "\n".join(texts)


def test_an_error_carries_no_other_error_that_might_hold_the_secret(
    place: Place, server: Standin
) -> None:
    for fault in ("html", "truncated", "cut", "cut_after"):
        server.fault(fault)
        error = failure(lambda to: to.send(card()), reach(place, server.base_url))
        assert error.__cause__ is None
        assert error.__context__ is None or error.__suppress_context__


def test_no_secret_is_in_what_a_destination_or_its_options_print(place: Place) -> None:
    destination = reach(place, "http://127.0.0.1:9")
    made = type(destination)
    options = made.options(**place.options("http://127.0.0.1:9"))
    for text in (repr(destination), str(destination), repr(options), str(options)):
        assert place.secret not in text
    assert place.secret not in json.dumps(options.model_dump(mode="json"))


def test_unknown_options_are_refused(place: Place) -> None:
    made = type(reach(place, "http://127.0.0.1:9"))
    with pytest.raises(ValueError, match="colour"):
        made.options(**place.options("http://127.0.0.1:9"), colour="red")


@pytest.mark.parametrize("notice", every_kind(), ids=lambda notice: notice.kind)
def test_every_kind_of_notice_gets_a_receipt_and_is_found_again(
    place: Place, server: Standin, notice: Notice
) -> None:
    destination = reach(place, server.base_url)
    receipt = destination.send(notice)
    assert receipt.external_id
    assert isinstance(destination, Finds)
    assert destination.find(notice) == receipt


def test_the_console_gives_a_receipt_for_every_kind(capsys: Any) -> None:
    made = destination_class("console")
    assert made is Console
    destination = made(made.options(), now=lambda: NOW)
    for notice in every_kind():
        assert destination.send(notice).external_id
    assert capsys.readouterr().out.count("\n") == 4
