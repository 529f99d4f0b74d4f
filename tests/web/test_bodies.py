"""Bodies that are too large, cut, nested, mislabelled or no text at all: a 4xx, and nothing stored."""

from __future__ import annotations

import base64
import gzip
import http.client
import json
import re
import socket
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aggregator.web.receiving import JSON_LIMIT, XML_LIMIT
from tests.conftest import NOW
from tests.web.site import (
    APP_SECRET,
    CORP,
    TOKEN,
    Site,
    direct,
    kf_event,
    sealed,
    signature,
    signed,
    words,
)
from tests.web.test_callbacks import refused

JSON = {"Content-Type": "application/json; charset=utf-8"}


def chunks(total: int, size: int = 16 * 1024) -> Iterator[bytes]:
    for _ in range(total // size):
        yield b"<" * size


# --- size ---------------------------------------------------------------------------------------


def test_an_oversize_body_is_refused_by_its_length(door: Site) -> None:
    body = b"<xml>" + b"a" * XML_LIMIT
    answer = door.ask("POST", "/callbacks/wechat_plain", signed(TOKEN, NOW), body=body)
    refused(door, answer, 413)


def test_a_length_that_is_only_claimed_is_refused_before_a_byte_is_read(door: Site) -> None:
    for claimed in (XML_LIMIT + 1, 10**30):
        connection = http.client.HTTPConnection("127.0.0.1", door.port, timeout=20)
        connection.putrequest("POST", "/callbacks/wechat_plain")
        connection.putheader("Content-Length", str(claimed))
        connection.endheaders()
        assert connection.getresponse().status in (400, 413)
        connection.close()
    assert door.stored() == []


def test_an_oversize_body_in_chunks_is_refused(door: Site) -> None:
    answer = door.ask(
        "POST", "/callbacks/wechat_plain", signed(TOKEN, NOW), body=chunks(2 * XML_LIMIT)
    )
    refused(door, answer, 413)


def test_xml_that_says_it_is_json_gets_no_larger_limit(door: Site) -> None:
    for start in (b"<xml>", b"\xef\xbb\xbf<xml>", b" \r\n\t<xml>"):
        body = start + b"a" * XML_LIMIT
        answer = door.ask(
            "POST", "/callbacks/wechat_plain", signed(TOKEN, NOW), body=body, headers=JSON
        )
        refused(door, answer, 413)
        answer = door.ask(
            "POST",
            "/callbacks/wechat_plain",
            signed(TOKEN, NOW),
            body=iter([start, b"a" * XML_LIMIT]),
            headers=JSON,
        )
        refused(door, answer, 413)


def test_json_may_have_a_mebibyte_and_not_a_byte_more(door: Site) -> None:
    body = direct("", NOW)
    fits = direct("退" * ((JSON_LIMIT - len(body)) // 3), NOW)
    query = signed(APP_SECRET, NOW)
    answer = door.ask(
        "POST",
        "/callbacks/weibo",
        query,
        body=fits + b" " * (JSON_LIMIT + 1 - len(fits)),
        headers=JSON,
    )
    refused(door, answer, 413)
    answer = door.ask("POST", "/callbacks/weibo", query, body=fits, headers=JSON)
    assert answer.status == 200
    assert door.stored()[0][2] == fits


# --- content ------------------------------------------------------------------------------------

BOMB = (
    '<!DOCTYPE x [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'
    "<xml><MsgType>text</MsgType><Content>&b;</Content></xml>"
)
ODD_XML = {
    "empty": b"",
    "blank": b" \r\n",
    "doctype": b'<!DOCTYPE xml SYSTEM "http://127.0.0.1:9/x.dtd"><xml><MsgType>text</MsgType></xml>',
    "doctype in small letters": b"<!doctype xml><xml><MsgType>text</MsgType></xml>",
    "entity bomb": BOMB.encode(),
    "entity of a file": (
        b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]>'
        b"<xml><MsgType>text</MsgType><Content>&e;</Content></xml>"
    ),
    "bomb in UTF-16": BOMB.encode("utf-16"),
    "deep": b"<xml>" + b"<a>" * 9000 + b"</a>" * 9000 + b"</xml>",
    "deep and open": b"<a>" * 21000,
    "cut": words("充电宝", NOW).encode()[:-9],
    "wrong root": b"<html><MsgType>text</MsgType></html>",
    "no MsgType": b"<xml><Content>hi</Content></xml>",
    "two MsgType": b"<xml><MsgType>text</MsgType><MsgType>image</MsgType></xml>",
    "not UTF-8": b"<xml><MsgType>text</MsgType><Content>\xff\xfe</Content></xml>",
    "GBK": '<?xml version="1.0" encoding="GBK"?><xml><MsgType>文本</MsgType></xml>'.encode("gbk"),
    "NUL": b"<xml><MsgType>te\0xt</MsgType></xml>",
    "gzip": gzip.compress(words("退款", NOW).encode()),
    "cut JSON": b'{"MsgType": "text"',
    "a JSON list": b'[{"MsgType": "text"}]',
    "a form": b"MsgType=text&Content=hi",
}


@pytest.mark.parametrize("odd", ODD_XML)
@pytest.mark.parametrize("account", ["wechat_plain", "wechat_sealed", "wecom"])
def test_no_odd_xml_gets_in(door: Site, account: str, odd: str) -> None:
    answer = door.ask("POST", f"/callbacks/{account}", signed(TOKEN, NOW), body=ODD_XML[odd])
    refused(door, answer)


@pytest.mark.parametrize("odd", sorted(set(ODD_XML) - {"not UTF-8", "GBK"}))
def test_no_odd_xml_gets_in_where_it_is_sealed(door: Site, odd: str) -> None:
    inner = ODD_XML[odd].decode("latin-1")
    query, body = sealed(inner, NOW)
    if len(body) <= XML_LIMIT:
        refused(door, door.ask("POST", "/callbacks/wechat_sealed", query, body=body))


@pytest.mark.parametrize("cut", [1, 4, 44, 64, -4, -1])
def test_truncated_ciphertext_is_refused(door: Site, cut: int) -> None:
    for account, (query, body) in {
        "wechat_sealed": sealed(words("还没发货", NOW), NOW),
        "wecom": sealed(kf_event(NOW), NOW, CORP),
    }.items():
        ciphertext = re.findall("<Encrypt>(.*)</Encrypt>", body.decode())[0][:cut]
        query["msg_signature"] = signature(TOKEN, query["timestamp"], query["nonce"], ciphertext)
        cut_body = f"<xml><Encrypt>{ciphertext}</Encrypt></xml>".encode()
        refused(door, door.ask("POST", f"/callbacks/{account}", query, body=cut_body))


def test_garbled_or_foreign_ciphertext_is_refused(door: Site) -> None:
    foreign = sealed(words("别家的消息", NOW), NOW, "wx0000000000000000")
    refused(door, door.ask("POST", "/callbacks/wechat_sealed", foreign[0], body=foreign[1]))
    for ciphertext in (base64.b64encode(bytes(64)).decode(), "!!!!", "é", "A" * 60000):
        query = signed(TOKEN, NOW)
        query["msg_signature"] = signature(TOKEN, query["timestamp"], query["nonce"], ciphertext)
        body = f"<xml><Encrypt>{ciphertext}</Encrypt></xml>".encode()
        refused(door, door.ask("POST", "/callbacks/wechat_sealed", query, body=body))


ODD_JSON = {
    "empty": b"",
    "not JSON": b"text=hello",
    "XML of another kind": "<html><body>改成了网页</body></html>".encode(),
    "cut XML": words("改成了 XML 推送", NOW).encode()[:-9],
    "a list": b"[]",
    "a number": b"7",
    "deep": b'{"a":' * 100_000,
    "not UTF-8": b'{"text": "\xff"}',
    "NaN alone": b"NaN",
    "huge number": b"1" * 100_000,
    "cut": direct("还没发货", NOW)[:-3],
    "empty object": b"{}",
}


@pytest.mark.parametrize("odd", ODD_JSON)
def test_no_odd_json_gets_in(door: Site, odd: str) -> None:
    answer = door.ask(
        "POST", "/callbacks/weibo", signed(APP_SECRET, NOW), body=ODD_JSON[odd], headers=JSON
    )
    refused(door, answer)


def test_a_wrong_content_type_changes_nothing_for_a_right_body(door: Site) -> None:
    for kind in ("image/png", "", "text/html; charset=gbk", "multipart/form-data; boundary=x"):
        answer = door.ask(
            "POST",
            "/callbacks/wechat_plain",
            signed(TOKEN, NOW),
            body=words("到底还发不发货", NOW).encode(),
            headers={"Content-Type": kind},
        )
        assert answer.status == 200
    assert len(door.stored()) == 1


# --- methods and paths --------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "BREW"])
def test_callbacks_take_get_and_post_only(door: Site, method: str) -> None:
    answer = door.ask(method, "/callbacks/weibo", signed(APP_SECRET, NOW))
    assert answer.status == 405
    assert door.stored() == []


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("name", ["nobody", "%E7%B2%BE%E7%81%B5", "%FF", "..", "a" * 5000])
def test_an_account_that_is_not_there_is_404_before_its_body_is_read(
    door: Site, method: str, name: str
) -> None:
    answer = door.ask(method, f"/callbacks/{name}", signed(TOKEN, NOW), body=b"<" * 2 * JSON_LIMIT)
    refused(door, answer, 404)


@pytest.mark.parametrize(
    "path", ["/callbacks/weibo/", "/healthz/", "/callbacks", "//evil.example/"]
)
def test_no_path_is_answered_with_a_redirect(door: Site, path: str) -> None:
    assert door.ask("GET", path, headers={"Host": "evil.example"}).status == 404


def test_a_handshake_needs_its_echo_and_its_signature(door: Site) -> None:
    for account, secret in (("wechat_plain", TOKEN), ("weibo", APP_SECRET), ("wecom", TOKEN)):
        refused(door, door.ask("GET", f"/callbacks/{account}", signed(secret, NOW)))
        for echo in ("", "x" * 5000, "a\0b", "<script>alert(1)</script>" * 400):
            query = {**signed(secret, NOW), "echostr": echo}
            answer = door.ask("GET", f"/callbacks/{account}", query)
            assert 400 <= answer.status < 500


def test_a_broken_request_line_is_no_traceback(door: Site) -> None:
    for raw in (
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET /callbacks/\xe7\xb2\xbe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /callbacks/weibo HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /callbacks/weibo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcd",
        b"POST /callbacks/weibo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    ):
        with socket.create_connection(("127.0.0.1", door.port), timeout=20) as connection:
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
            said = b"".join(iter(lambda: connection.recv(65536), b""))
        assert b" 500 " not in said
        assert b"Traceback" not in said
    assert door.ask("GET", "/healthz").status == 200
    assert door.stored() == []


# --- anything -----------------------------------------------------------------------------------

NAMES = st.sampled_from(
    ["signature", "msg_signature", "timestamp", "nonce", "echostr", "encrypt_type", "x", ""]
)
QUERIES = st.lists(st.tuples(NAMES, st.text(max_size=60)), max_size=6)
HEADERS = st.dictionaries(
    st.sampled_from(["Content-Type", "X-Hub-Signature-256", "Accept", "Content-Encoding"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40),
    max_size=3,
)
BODIES = st.one_of(
    st.none(),
    st.binary(max_size=300),
    st.text(max_size=200).map(lambda text: f"<xml><Encrypt>{text}</Encrypt></xml>".encode()),
    st.text(max_size=200).map(
        lambda text: f"<xml><MsgType>{text}</MsgType></xml>".encode("utf-8", "surrogatepass")
    ),
    st.recursive(
        st.none() | st.text(max_size=10) | st.integers(),
        lambda inner: st.dictionaries(st.sampled_from(["type", "text", "data"]), inner, max_size=3),
        max_leaves=5,
    ).map(lambda value: json.dumps(value).encode()),
)


@given(
    account=st.sampled_from(["wechat_plain", "wechat_sealed", "wecom", "weibo", "nobody"]),
    method=st.sampled_from(["GET", "POST", "PUT", "HEAD"]),
    query=QUERIES,
    headers=HEADERS,
    body=BODIES,
    right=st.booleans(),
)
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_nothing_that_a_stranger_sends_is_a_5xx(
    door: Site,
    account: str,
    method: str,
    query: list[tuple[str, str]],
    headers: dict[str, str],
    body: bytes | None,
    right: bool,
) -> None:
    """`right`: even with a signature that fits, as one who knows the token could make it."""
    known = {name: value for name, value in query if name in ("echostr", "x", "encrypt_type")}
    given_query = [*signed(TOKEN, NOW).items(), *known.items()] if right else query
    pairs = [(n.encode("utf-8", "replace"), v.encode("utf-8", "replace")) for n, v in given_query]
    answer = door.ask(method, f"/callbacks/{account}", pairs, body=body, headers=headers)  # type: ignore[arg-type]
    assert answer.status < 500
    assert b"Traceback" not in answer.body
