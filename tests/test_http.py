"""The one HTTP session: hosts, bounds, outcomes, and nothing secret in what it raises."""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from urllib.parse import quote, unquote

import pytest
import requests
from requests.structures import CaseInsensitiveDict
from requests_oauthlib import OAuth1

from aggregator.errors import RateLimited, Rejected, Unauthorized, Unavailable
from aggregator.http import Http, body, outcome, place, retry_after_s
from aggregator.sandbox.base import Answer, Request, Standin, answer

NOW = datetime(2026, 11, 21, 4, 0, tzinfo=UTC)
SECRET = "EAAB-very-secret"
DATE = "Sat, 21 Nov 2026 04:00:00 GMT"


class Echo(Standin):
    """Answers with what it was asked, and remembers it."""

    def __init__(self) -> None:
        super().__init__(lambda: NOW)
        self.seen: list[Request] = []
        self.peers: list[str] = []

    def handle(self, request: Request) -> Answer:
        self.seen.append(request)
        if request.path == "/away":
            return Answer(b"", 302, {"Location": "http://[::1/elsewhere?access_token=" + SECRET})
        if request.path == "/zipped":
            packed = gzip.compress("你好，客服".encode() * 1000)
            return Answer(packed, 200, {"Content-Encoding": "gzip"})
        if request.path == "/bomb":
            return Answer(gzip.compress(b"0" * 50_000_000), 200, {"Content-Encoding": "gzip"})
        if request.path == "/large":
            return Answer(b"x" * 300_000)
        return answer({"path": request.path, "words": "退款"})


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    server.start()
    yield server
    server.stop()


@contextmanager
def raw_server(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that says whatever `talk` writes, one connection after another."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                try:
                    talk(connection)
                except OSError:
                    continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def whole_text(error: BaseException) -> str:
    """Everything that a log could print of an error: its text, and the errors behind it."""
    printed = "".join(traceback.format_exception(error))
    chained, seen = error, ""
    while chained is not None:
        seen += repr(chained)
        chained = chained.__cause__ or chained.__context__  # type: ignore[assignment]
    return printed + seen


def test_the_platforms_hosts_are_rewritten_and_others_are_not(echo: Echo) -> None:
    http = Http(base_url=echo.base_url, hosts=("api.twitter.com",))
    prepared = http.prepare_request(
        requests.Request("GET", "https://api.twitter.com/2/users?a=1&b=%E4%BD%A0")
    )
    assert prepared.url == f"{echo.base_url}/2/users?a=1&b=%E4%BD%A0"
    other = http.prepare_request(requests.Request("GET", "https://other.example/2/users"))
    assert other.url == "https://other.example/2/users"
    assert http.get("https://API.twitter.com:443/2/users", timeout=None).status_code == 200


def test_an_oauth1_signature_covers_the_rewritten_host(echo: Echo) -> None:
    http = Http(base_url=echo.base_url, hosts=("api.twitter.com",))
    auth = OAuth1("ck", client_secret="cs", resource_owner_key="at", resource_owner_secret="ats")
    http.get("https://api.twitter.com/2/x", params={"query": "退款 @acme"}, auth=auth)
    request = echo.seen[0]
    given = {
        name: unquote(value.strip('"'))
        for name, value in (
            part.strip().split("=", 1)
            for part in request.headers["authorization"].removeprefix("OAuth ").split(",")
        )
    }
    signature = given.pop("oauth_signature")
    pairs = sorted(
        (quote(name, "~"), quote(value, "~")) for name, value in {**given, **request.query}.items()
    )
    base = "&".join(
        quote(part, "~")
        for part in ("GET", f"{echo.base_url}/2/x", "&".join(f"{n}={v}" for n, v in pairs))
    )
    expected = base64.b64encode(hmac.digest(b"cs&ats", base.encode(), hashlib.sha1)).decode()
    assert signature == expected


def test_a_timeout_is_given_where_the_caller_gives_none() -> None:
    hung = threading.Event()

    def hang(_: socket.socket) -> None:
        hung.wait(5)

    with raw_server(hang) as url:
        http = Http(timeout_s=(1, 0.1))
        with pytest.raises(Unavailable) as caught:
            http.get(url + "/slow", timeout=None)
        hung.set()
    assert caught.value.maybe_done
    assert "/slow" in caught.value.reason


def test_a_server_that_drips_its_body_is_cut_off_at_the_deadline() -> None:
    stop = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not stop.wait(0.01):
            connection.sendall(b" ")

    with raw_server(drip) as url:
        http = Http(timeout_s=(1, 1), deadline_s=0.15)
        with pytest.raises(Unavailable, match="ReadTimeout") as caught:
            http.get(url)
        stop.set()
    assert caught.value.maybe_done


def test_a_body_over_the_limit_is_refused_also_when_it_is_compressed(echo: Echo) -> None:
    http = Http(max_body=200_000)
    for path in ("/large", "/bomb"):
        with pytest.raises(Unavailable, match="ContentDecodingError"):
            http.get(echo.base_url + path)
    assert http.get(echo.base_url + "/fits").status_code == 200


def test_a_compressed_answer_is_read_whole(echo: Echo) -> None:
    response = Http().get(echo.base_url + "/zipped")
    assert response.content == "你好，客服".encode() * 1000
    assert response.text.startswith("你好")


def test_one_connection_serves_many_requests(echo: Echo) -> None:
    http = Http()
    http.get(echo.base_url + "/1")
    pools = http.get_adapter(echo.base_url).poolmanager.pools  # type: ignore[attr-defined]
    http.get(echo.base_url + "/2")
    http.get(echo.base_url + "/zipped")
    http.get(echo.base_url + "/3")
    assert [pools[key].num_connections for key in pools.keys()] == [1]  # noqa: SIM118


def test_a_redirect_is_not_followed_and_its_target_not_even_read(echo: Echo) -> None:
    response = Http().get(echo.base_url + "/away", allow_redirects=True)
    assert response.status_code == 302
    assert [request.path for request in echo.seen] == ["/away"]
    with pytest.raises(Unavailable):
        outcome(response, remedy="")


@pytest.mark.parametrize(
    ("answered", "name"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}", "ChunkedEncodingError"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", "ChunkedEncodingError"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "ChunkedEncodingError"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", "Chunked"),
        (b"", "ConnectionError"),
        (b"\xff\xfe nonsense\r\n\r\n", "ConnectionError"),
    ],
)
def test_a_broken_answer_may_have_been_acted_on(answered: bytes, name: str) -> None:
    with (
        raw_server(lambda connection: connection.sendall(answered)) as url,
        pytest.raises(Unavailable) as caught,
    ):
        Http().post(url + "/tickets?token=" + SECRET, data="退款")
    assert caught.value.maybe_done
    assert name in caught.value.reason
    assert SECRET not in whole_text(caught.value)


def test_what_was_never_sent_is_not_maybe_done() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Unavailable) as refused:
        Http().post(f"http://127.0.0.1:{port}/tickets?access_token={SECRET}")
    assert not refused.value.maybe_done
    with pytest.raises(Unavailable) as unknown:
        Http().post(f"http://no-such-host.invalid/?access_token={SECRET}")
    assert not unknown.value.maybe_done
    for error in (refused.value, unknown.value):
        assert SECRET not in whole_text(error)
        assert "?" not in str(error)


@pytest.mark.parametrize(
    "url",
    [
        f"http://[::1/?access_token={SECRET}",
        f"no-scheme?access_token={SECRET}",
        f"ftp://host/?access_token={SECRET}",
        f"http://ho st/?access_token={SECRET}",
        f"http://{'a' * 70}.example/?access_token={SECRET}",
        f"http://?access_token={SECRET}",
    ],
)
def test_a_url_that_cannot_be_asked_is_unavailable_and_tells_no_secret(url: str) -> None:
    http = Http(base_url="http://127.0.0.1:9", hosts=("graph.facebook.com",))
    with pytest.raises(Unavailable) as caught:
        http.get(url)
    assert not caught.value.maybe_done
    assert SECRET not in whole_text(caught.value)


@pytest.mark.parametrize("value", [f"Bearer {SECRET}\n", f"Bearer {SECRET}令牌"])
def test_a_header_that_cannot_be_sent_tells_no_secret(echo: Echo, value: str) -> None:
    with pytest.raises(Unavailable) as caught:
        Http().get(echo.base_url, headers={"Authorization": value})
    assert SECRET not in whole_text(caught.value)


def test_the_observer_sees_every_answer_and_its_outcome_comes_out_unchanged(echo: Echo) -> None:
    seen: list[int] = []

    def judge(response: requests.Response) -> None:
        seen.append(response.status_code)
        if response.status_code == 302:
            raise Rejected("no redirect expected", status=302)

    http = Http(on_response=judge)
    http.get(echo.base_url + "/fine")
    with pytest.raises(Rejected, match="no redirect"):
        http.get(echo.base_url + "/away")
    assert seen == [200, 302]


def test_the_environment_brings_no_proxy_and_no_netrc(
    echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert Http().get(echo.base_url + "/direct").status_code == 200


def answered(status: int, content: bytes = b"{}", **headers: str) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response.url = f"https://api.weibo.com/2/comments.json?access_token={SECRET}"
    response._content = content
    response.headers = CaseInsensitiveDict({k.replace("_", "-"): v for k, v in headers.items()})
    return response


def test_json_is_read_and_anything_else_is_unavailable() -> None:
    assert body(answered(200, '{"词":"退款"}'.encode())) == {"词": "退款"}
    assert body(answered(200, b"\xef\xbb\xbf[1]")) == [1]
    assert body(answered(200, b'"\xe4\xbd"')) == "\ufffd"
    for content in (b"", b"<html>", b'{"data": [', b"[" * 100_000):
        with pytest.raises(Unavailable) as caught:
            body(answered(200, content))
        assert caught.value.maybe_done
        assert SECRET not in whole_text(caught.value)


def test_each_status_has_one_outcome() -> None:
    outcome(answered(201), remedy="")
    for status, error in {
        301: Unavailable,
        400: Rejected,
        401: Unauthorized,
        403: Unauthorized,
        404: Rejected,
        408: Unavailable,
        409: Unavailable,
        422: Rejected,
        429: RateLimited,
        500: Unavailable,
        503: Unavailable,
    }.items():
        with pytest.raises(error) as caught:
            outcome(answered(status), remedy="换一个令牌")
        assert SECRET not in whole_text(caught.value)


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        ("7", DATE, 7.0),
        ("0.5", DATE, 0.5),
        ("Sat, 21 Nov 2026 04:00:20 GMT", DATE, 20.0),
        ("Sat, 21 Nov 2026 04:00:20 UTC", "Sat, 21 Nov 2026 04:00:00 UTC", 20.0),
        ("Sat, 21 Nov 2026 03:00:00 GMT", DATE, 1.0),
        ("Sat, 21 Nov 2026 04:00:20 GMT", None, 30.0),
        ("0", DATE, 1.0),
        ("-5", DATE, 1.0),
        ("nan", DATE, 1.0),
        ("inf", DATE, 3600.0),
        ("99999999999999999999", DATE, 3600.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", DATE, 3600.0),
        ("Sat, 21 Nov 2026 04:00:20 +9999999999999999", DATE, 30.0),
        ("很快", DATE, 30.0),
        ("", DATE, 30.0),
        (None, DATE, 30.0),
    ],
)
def test_retry_after_is_read_against_the_answers_own_date(
    value: str | None, date: str | None, seconds: float
) -> None:
    headers: CaseInsensitiveDict[str] = CaseInsensitiveDict()
    if value is not None:
        headers["retry-after"] = value
    if date is not None:
        headers["date"] = date
    assert retry_after_s(headers) == seconds


def test_a_place_is_host_and_path_only() -> None:
    assert place(f"https://u:p@graph.facebook.com/v26.0/me?access_token={SECRET}#x") == (
        "graph.facebook.com/v26.0/me"
    )
    assert place(b"https://api.x.com/2/users") == "api.x.com/2/users"
    assert SECRET not in place(f"http://[::1/?{SECRET}")
    assert place(None) == "?"
