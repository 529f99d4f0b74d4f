"""Odd values out of payloads."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.fields import digest, parse_time, raw_json, scrub, text_id

AT = datetime(2026, 11, 21, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-11-21T03:04:05.000Z", AT),
        ("2026-11-21T11:04:05+0800", AT),
        ("2026-11-21T03:04:05", AT),
        ("2026-11-21 03:04:05Z", AT),
        (" 2026-11-21T03:04:05Z ", AT),
        (1795230245, AT),
        (1795230245.0, AT),
        ("1795230245", AT),
        (1795230245000, AT),
        ("1795230245000", AT),
        ("Sat Nov 21 11:04:05 +0800 2026", AT),
        ("Sat Nov 21 00:04:05 -0300 2026", AT),
        ("Tue May 31 17:46:55 +0800 2011", datetime(2011, 5, 31, 9, 46, 55, tzinfo=UTC)),
        ("2999-01-01T00:00:00Z", datetime(2999, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_in_every_shape_the_platforms_write(
    value: object, expected: datetime
) -> None:
    found = parse_time(value)
    assert found == expected
    assert found is not None
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    "value",
    [
        *(
            None,
            "",
            "昨天",
            "yesterday",
            True,
            False,
            0,
            -1,
            "0",
            [],
            {},
            b"1",
            "2026-13-01T00:00:00Z",
        ),
        *(float("nan"), float("inf"), 10**40, "9" * 19, "٣٣٣", "0001-01-01T00:00:00+14:00"),
        *("Sat Foo 21 11:04:05 +0800 2026", "Sat Nov 41 11:04:05 +0800 2026", "nan", "1e9"),
        "Sat Nov 21 11:04:05 +9959 2026",
    ],
)
def test_what_is_no_time_is_none_and_never_an_error(value: object) -> None:
    assert parse_time(value) is None


@given(st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.binary()))
def test_no_value_at_all_makes_reading_a_time_or_an_id_fail(value: object) -> None:
    found = parse_time(value)
    assert found is None or found.tzinfo is UTC
    assert text_id(value) is None or isinstance(text_id(value), str)


def test_text_that_no_database_takes_is_replaced_and_said() -> None:
    assert scrub("退款\x00了\ud83d") == ("退款\ufffd了\ufffd", True)
    assert scrub("退款 😀\n\t") == ("退款 😀\n\t", False)


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_scrubbed_text_can_always_be_stored(text: str) -> None:
    clean, changed = scrub(text)
    assert "\x00" not in clean.encode().decode()
    assert len(clean) == len(text)
    assert changed == (clean != text)


def test_an_id_keeps_every_digit() -> None:
    assert text_id(json.loads("9007199254740993")) == "9007199254740993"
    assert text_id(2**63 - 1) == "9223372036854775807"
    assert text_id(" 12 ") == "12"
    for nothing in ("", "  ", None, True, 1.5, 9007199254740993.0, [], {}):
        assert text_id(nothing) is None


def test_a_digest_is_the_same_for_the_same_parts_only() -> None:
    assert digest({"a": 1, "b": "差评"}) == digest({"b": "差评", "a": 1})
    assert digest("a", "b") != digest("ab", "")
    assert len(digest(None, AT, "\ud800")) == 32


def test_raw_keeps_chinese_readable_and_lone_surrogates_escaped() -> None:
    assert raw_json({"词": "退款"}) == '{"词":"退款"}'.encode()
    assert json.loads(raw_json({"t": "\ud83d"})) == {"t": "\ud83d"}
