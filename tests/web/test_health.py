"""What operators' machines ask: alive, ready, measured; and a server that strangers cannot occupy."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

import pytest
from prometheus_client.parser import text_string_to_metric_families

from aggregator.app import Daemon
from aggregator.errors import Unavailable
from aggregator.leases import TTL_S, Leases
from aggregator.settings import Settings, load
from aggregator.web.connection import Connection
from aggregator.web.server import Server
from storage.engine import Database
from tests.conftest import NOW
from tests.web.site import TOKEN, Site, serving, signed, words

ROOT = Path(__file__).parents[2]

# Units that Prometheus wants written out, as its own checker lists them.
ABBREVIATED = {"ms", "s", "sec", "secs", "us", "ns", "min", "mins", "hr", "kb", "mb", "b", "pct"}


def test_health_answers_get_and_head(door: Site) -> None:
    answer = door.ask("GET", "/healthz")
    assert (answer.status, answer.text) == (200, "ok\n")
    assert door.ask("HEAD", "/healthz").status == 200
    assert door.ask("HEAD", "/readyz").status == 200
    assert door.ask("POST", "/healthz").status == 405


def test_ready_until_the_database_is_gone(here: Site) -> None:
    assert here.ask("GET", "/readyz").text == "ready\n"
    here.db.close()
    answer = here.ask("GET", "/readyz")
    assert answer.status == 503
    assert "closed" in answer.text
    assert here.ask("GET", "/healthz").status == 200


def test_a_database_that_does_not_answer_is_not_ready(
    db: Database, now: Callable[[], datetime], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aggregator.web.server.PROBE_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:

        def hangs() -> str | None:
            with socket.create_connection(silent.getsockname()) as connection:
                connection.settimeout(5)
                with suppress(TimeoutError):
                    connection.recv(1)
            return None

        with serving(db, now, hangs) as site:
            answer = site.ask("GET", "/readyz")
            assert answer.status == 503
            assert "no answer" in answer.text
            assert site.ask("GET", "/healthz").status == 200


def test_the_daemon_says_why_it_is_not_ready(tmp_path: Path, db_url: str) -> None:
    daemon = Daemon(_settings(tmp_path, db_url), now=lambda: NOW, roles=("web",))
    daemon.leases.release_all()
    later = [0.0]
    daemon.leases = Leases(daemon.db, "lumo", monotonic=lambda: time.monotonic() + later[0])
    try:
        daemon.start()
        site = Site(daemon.server.port, daemon.db, daemon.metrics, {})
        assert site.ask("GET", "/readyz").status == 200
        daemon.ticker.stop()
        later[0] = TTL_S
        answer = site.ask("GET", "/readyz")
        assert (answer.status, answer.text) == (503, "leases are not renewing\n")
        daemon.leases.release_all()
        daemon.db.close()
        answer = site.ask("GET", "/readyz")
        assert (answer.status, answer.text) == (503, "database: closed\n")
        assert site.ask("GET", "/metrics").status in (200, 503)
    finally:
        daemon.server.stop(5.0)
        daemon.db.close()


# --- metrics ------------------------------------------------------------------------------------


def test_metrics_are_clean_under_the_conventions(tmp_path: Path, db_url: str) -> None:
    daemon = Daemon(_settings(tmp_path, db_url), now=lambda: NOW)
    try:
        daemon.start()
        site = Site(daemon.server.port, daemon.db, daemon.metrics, {})
        body = words("还没发货，客服也不理人", NOW).encode()
        site.ask("POST", "/callbacks/shop", signed(TOKEN, NOW), body=body)
        until = time.monotonic() + 20
        while "inboxd_messages_ingested_total{" not in site.ask("GET", "/metrics").text:
            assert time.monotonic() < until
            daemon.pollers["shop"].drain()
        answer = site.ask("GET", "/metrics")
    finally:
        daemon.stop()
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = list(text_string_to_metric_families(answer.text))
    seen = {sample.name for family in families for sample in family.samples}
    assert "inboxd_messages_ingested_total" in seen
    for family in families:
        assert family.name.startswith("inboxd_")
        assert family.name == family.name.lower()
        assert family.documentation.endswith(".")
        assert ABBREVIATED.isdisjoint(family.name.split("_"))
        assert f"# TYPE {family.name}" in answer.text
        for sample in family.samples:
            if sample.name.endswith("_total"):
                assert family.type == "counter"
            if family.type == "counter":
                assert sample.name.endswith(("_total", "_created"))


def test_a_strangers_words_are_never_a_label(door: Site) -> None:
    for path in ("精灵", 'a"b\nc', "weibo/x", "../wp-login.php"):
        door.ask("GET", f"/callbacks/{quote(path)}", "token=lumoGuess")
    door.ask("GET", "/callbacks/weibo", signed("lumoGuess", NOW))
    text = door.ask("GET", "/metrics").text
    labels = {
        tuple(sorted(sample.labels.items()))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "inboxd_callbacks_total"
    }
    assert labels == {
        (("account", "unknown"), ("status", "404")),
        (("account", "weibo"), ("status", "401")),
    }
    for word in ("lumoGuess", "wp-login", "精灵"):
        assert word not in text


# --- bounds -------------------------------------------------------------------------------------


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch, door: Site) -> Site:
    monkeypatch.setattr(Connection, "read_s", 0.3)
    return door


@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        b"POST /callbacks/weibo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
    ],
)
def test_a_request_that_never_ends_is_cut_off(hasty: Site, beginning: bytes) -> None:
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", hasty.port), timeout=20) as connection:
        connection.sendall(beginning)
        with suppress(ConnectionResetError):
            while connection.recv(4096):
                pass
    assert time.monotonic() - started < 4.0
    assert hasty.stored() == []


def test_many_requests_on_one_connection_are_no_slow_one(hasty: Site) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", hasty.port, timeout=20)
    until = time.monotonic() + 0.8
    while time.monotonic() < until:
        connection.request("GET", "/healthz")
        assert connection.getresponse().read() == b"ok\n"
    connection.close()


def test_a_head_that_is_too_large_is_refused(door: Site) -> None:
    with socket.create_connection(("127.0.0.1", door.port), timeout=20) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 40_000)
        assert connection.recv(4096).startswith(b"HTTP/1.1 400 ")


def test_the_answer_names_no_server_and_no_version(door: Site) -> None:
    for path in ("/healthz", "/nothing", "/callbacks/nobody"):
        assert "server" not in door.ask("GET", path).headers


def test_a_port_that_is_taken_is_said_so(door: Site) -> None:
    second = Server(lambda *_: None, host="127.0.0.1", port=door.port)
    with pytest.raises(Unavailable, match=f"cannot listen on 127.0.0.1:{door.port}"):
        second.start()


def _settings(folder: Path, url: str) -> Settings:
    path = folder / "settings.yaml"
    path.write_text(
        f"database: '{url}'\nrules: {ROOT / 'rules'}\nhttp: {{listen: '127.0.0.1:0'}}\n"
        "accounts:\n  shop: {connector: wechat, app_id: wx7d2f1c0b9a8e6f54, "
        f"app_secret: lumo-wechat-secret, token: {TOKEN}, base_url: 'http://127.0.0.1:9'}}\n"
        "destinations:\n"
        + "".join(f"  {name}: {{kind: console}}\n" for name in ("social", "leads", "desk", "ops")),
        "utf-8",
    )
    return load(path, {})
