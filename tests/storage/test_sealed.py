"""A token in the database can be read with the key only."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from sqlalchemy import select

from aggregator.errors import SettingsError, Unauthorized
from storage.engine import Database
from storage.keep import AccountKeep
from storage.schema import keep as keep_table
from storage.sealed import Seal

WORDS = "correct horse 电池 staple"
TOKEN = '{"access_token": "令牌-abc123"}'


def stored(db: Database) -> str:
    with db.read() as conn:
        return str(conn.execute(select(keep_table.c.value)).scalar_one())


def test_a_token_comes_back_and_does_not_stand_in_the_database(db: Database) -> None:
    keep = AccountKeep(db, "x_acme", Seal((WORDS,)))
    assert keep.swap("token", None, TOKEN)
    assert "abc123" not in stored(db)
    assert "令牌" not in stored(db)
    assert keep.get("token") == TOKEN
    assert keep.swap("token", TOKEN, "second")
    assert not keep.swap("token", TOKEN, "third")
    assert keep.get("token") == "second"
    assert keep.swap("token", "second", None)
    assert keep.get("token") is None


def test_without_a_key_no_token_is_stored_and_the_remedy_is_told(db: Database) -> None:
    keep = AccountKeep(db, "x_acme")
    with pytest.raises(Unauthorized, match="set INBOXD_KEY") as told:
        keep.swap("token", None, TOKEN)
    assert "abc123" not in str(told.value)
    assert keep.swap("budget", None, "7")
    assert stored(db) == "7"


def test_a_sealed_token_without_its_key_is_unauthorized_not_absent(db: Database) -> None:
    AccountKeep(db, "x_acme", Seal((WORDS,))).swap("token", None, TOKEN)
    for other in (Seal(()), Seal(("another passphrase",))):
        with pytest.raises(Unauthorized, match="INBOXD_KEY"):
            AccountKeep(db, "x_acme", other).get("token")


def test_a_key_is_changed_by_putting_the_new_one_first(db: Database) -> None:
    AccountKeep(db, "x_acme", Seal((WORDS,))).swap("token", None, TOKEN)
    both = AccountKeep(db, "x_acme", Seal(("新的口令，足够长的一句话！！！！", WORDS)))
    assert both.get("token") == TOKEN
    assert both.swap("token", TOKEN, "newer")
    assert (
        AccountKeep(db, "x_acme", Seal(("新的口令，足够长的一句话！！！！",))).get("token")
        == "newer"
    )


def test_a_token_moved_to_another_account_opens_nothing() -> None:
    seal = Seal((WORDS,))
    with pytest.raises(Unauthorized):
        seal.open(seal.close(TOKEN, "x_acme/token"), "x_other/token")


def test_the_same_key_may_be_written_in_hex_or_base64() -> None:
    raw = bytes(range(32))
    first = Seal((raw.hex(),)).close("令牌", "a/token")
    for form in (base64.b64encode(raw), base64.urlsafe_b64encode(raw).rstrip(b"=")):
        assert Seal((form.decode(),)).open(first, "a/token") == "令牌"


@pytest.mark.parametrize(
    "text", ["sealed:1:", "sealed:1:!!!", "sealed:1:AAAA", "sealed:1:" + "A" * 40]
)
def test_what_was_tampered_with_is_refused(text: str) -> None:
    with pytest.raises(Unauthorized):
        Seal((WORDS,)).open(text, "a/token")


def test_keys_come_from_the_environment_and_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{WORDS}\n旧口令旧口令旧口令旧口令旧口令旧\n", "utf-8")
    of_file = Seal.of({"INBOXD_KEY_FILE": str(file)})
    assert Seal.of({"INBOXD_KEY": WORDS}).open(of_file.close("x", "a"), "a") == "x"
    assert not Seal.of({})
    for env in ({"INBOXD_KEY": "short"}, {"INBOXD_KEY_FILE": str(tmp_path / "none")}):
        with pytest.raises(SettingsError, match="INBOXD_KEY") as told:
            Seal.of(env)
        assert "short\n" not in str(told.value)


def test_a_seal_shows_no_key() -> None:
    assert WORDS not in repr(Seal((WORDS,)))
