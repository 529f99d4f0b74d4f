"""The loopback server under every stand-in: bounded, quiet, and as faulty as it is told to be."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import requests

from aggregator.sandbox.base import MAX_BODY, Answer, Fault, Request, Standin, answer

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


class Echo(Standin):
    name = "echo"

    def __init__(self) -> None:
        super().__init__(lambda: NOON)
        self.bodies: list[bytes] = []
        self.route("GET", "/hello", lambda request, match: answer({"说": "你好 & 再见"}))
        self.route("POST", "/keep", self._keep)
        self.route("GET", "/bug", lambda request, match: answer({}["退款"]))
        self.route("GET", "/half", lambda request, match: answer({"text": "退款\ud83d"}))

    def headers(self, request: Request, given: Answer) -> dict[str, str]:
        return {"x-platform": "echo"}

    def _keep(self, request: Request, match: re.Match[str]) -> Answer:
        self.bodies.append(request.body)
        return answer({"bytes": len(request.body)}, 201)


@pytest.fixture
def echo() -> Iterator[Echo]:
    standin = Echo()
    standin.start()
    yield standin
    standin.stop()


def raw(standin: Standin, sent: bytes) -> bytes:
    """What comes back for bytes that no HTTP library would send."""
    port = int(standin.base_url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        got = b""
        while part := connection.recv(65536):
            got += part
    return got


def test_every_answer_has_the_clock_of_the_standin_and_the_headers_of_the_platform(
    echo: Echo,
) -> None:
    response = requests.get(f"{echo.base_url}/hello", timeout=5)
    assert response.json() == {"说": "你好 & 再见"}
    assert response.headers["Date"] == "Wed, 04 Mar 2026 12:00:00 GMT"
    assert response.headers["x-platform"] == "echo"
    assert echo.calls == [("GET", "/hello")]


def test_head_has_the_length_and_no_body(echo: Echo) -> None:
    with requests.Session() as session:
        response = session.head(f"{echo.base_url}/hello", timeout=5)
        assert response.status_code == 200
        assert int(response.headers["Content-Length"]) > 0
        assert response.content == b""
        assert session.get(
            f"{echo.base_url}/hello", timeout=5
        ).ok  # the connection is still in step


def test_a_chunked_body_arrives_whole(echo: Echo) -> None:
    parts = ["第一段 ".encode(), b"x" * 70_000, "最后一段".encode()]
    response = requests.post(f"{echo.base_url}/keep", data=iter(parts), timeout=5)
    assert response.status_code == 201
    assert echo.bodies == [b"".join(parts)]


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"Content-Length: -1\r\n\r\n", b"400"),
        (b"Content-Length: many\r\n\r\n", b"400"),
        (b"Content-Length: 10\r\n\r\nshort", b"400"),
        (b"Content-Length: %d\r\n\r\n" % (MAX_BODY + 1), b"413"),
        (b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", b"400"),
        (b"Transfer-Encoding: chunked\r\n\r\nfffffff\r\n", b"413"),
        (b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n", b"400"),
    ],
)
def test_a_body_that_is_wrong_or_too_large_is_refused_unread(
    echo: Echo, head: bytes, status: bytes
) -> None:
    got = raw(echo, b"POST /keep HTTP/1.1\r\nHost: a\r\n" + head)
    assert got.split(b" ")[1] == status
    assert echo.bodies == []
    assert echo.calls == []
    assert echo.errors == []


def test_a_client_that_hangs_up_leaves_no_trace(
    echo: Echo, capfd: pytest.CaptureFixture[str]
) -> None:
    port = int(echo.base_url.rsplit(":", 1)[1])
    for sent in (b"", b"GET /hel", b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"):
        connection = socket.create_connection(("127.0.0.1", port), timeout=5)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.sendall(sent)
        connection.close()  # a reset, not a goodbye
    assert requests.get(f"{echo.base_url}/hello", timeout=5).ok
    assert echo.errors == []
    assert capfd.readouterr().err == ""


def test_a_bug_in_a_standin_is_a_500_and_is_kept(
    echo: Echo, capfd: pytest.CaptureFixture[str]
) -> None:
    assert requests.get(f"{echo.base_url}/bug", timeout=5).status_code == 500
    assert "KeyError" in echo.errors[0]
    assert capfd.readouterr().err == ""


def test_half_a_surrogate_pair_goes_out_as_an_escape(echo: Echo) -> None:
    response = requests.get(f"{echo.base_url}/half", timeout=5)
    assert response.json() == {"text": "退款\ud83d"}


def test_faults_of_each_kind_do_what_they_say(echo: Echo) -> None:
    url = f"{echo.base_url}/hello"
    echo.fault("status", status=429, body=b"slow down", headers={"Retry-After": "3"})
    echo.fault("html")
    echo.fault("html_ok")
    echo.fault("truncated")
    response = requests.get(url, timeout=5)
    assert (response.status_code, response.headers["Retry-After"]) == (429, "3")
    assert response.headers["x-platform"] == "echo"
    response = requests.get(url, timeout=5)
    assert (response.status_code, response.headers["Content-Type"]) == (503, "text/html")
    assert requests.get(url, timeout=5).status_code == 200
    with pytest.raises(requests.JSONDecodeError):
        requests.get(url, timeout=5).json()
    for kind in ("cut", "cut_after", "cut_body"):
        echo.fault(kind)
        with pytest.raises(requests.RequestException):
            requests.get(url, timeout=5)
    assert requests.get(url, timeout=5).json() == {"说": "你好 & 再见"}
    assert not echo.faults


def test_a_cut_before_does_nothing_and_a_cut_after_has_done_it(echo: Echo) -> None:
    for kind, done in (("cut", 0), ("cut_after", 1), ("cut_body", 2)):
        echo.fault(kind)
        with pytest.raises(requests.RequestException):
            requests.post(f"{echo.base_url}/keep", data=b"x", timeout=5)
        assert len(echo.bodies) == done


def test_a_slow_answer_holds_up_nobody_else(echo: Echo) -> None:
    echo.fault("slow", seconds=0.5, path="/keep")
    slow = threading.Thread(
        target=requests.post, args=(f"{echo.base_url}/keep",), kwargs={"data": b"x", "timeout": 5}
    )
    slow.start()
    began = time.monotonic()
    assert requests.get(f"{echo.base_url}/hello", timeout=5).ok
    assert time.monotonic() - began < 0.4
    slow.join()
    assert len(echo.bodies) == 1


def test_a_fault_waits_for_its_path_and_its_turn(echo: Echo) -> None:
    echo.fault("status", path="/hello", status=500, times=2, after=1)
    statuses = [requests.get(f"{echo.base_url}/hello", timeout=5).status_code for _ in range(4)]
    assert statuses == [200, 500, 500, 200]
    assert not echo.faults


def test_faults_taken_by_many_threads_are_each_taken_once(echo: Echo) -> None:
    echo.faults.extend(Fault("status", times=5) for _ in range(20))
    taken: list[Fault] = []

    def take() -> None:
        while (fault := echo.take_fault("/x")) is not None:
            taken.append(fault)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 100


def test_a_stopped_standin_ends_the_connections_that_are_open(echo: Echo) -> None:
    with requests.Session() as session:
        url = f"{echo.base_url}/hello"
        assert session.get(url, timeout=5).ok
        echo.stop()
        with pytest.raises(requests.ConnectionError):
            session.get(url, timeout=5)
