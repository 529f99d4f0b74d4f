"""settings.yaml: what is read, where values may come from, and how each mistake is told."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from aggregator.destinations.registry import DESTINATIONS
from aggregator.errors import SettingsError
from aggregator.model import Backfill
from aggregator.options import Registry
from aggregator.settings import Settings, find, load, with_sandbox
from connectors.registry import CONNECTORS

CANARY = "canary-7f3a-泄漏"


class Base(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Bird(Base):
    base_url: str | None = None
    user_id: str = Field(pattern=r"^[0-9]+$")
    token: SecretStr
    streams: tuple[str, ...] = ("mentions",)
    tier: Literal["open", "paid"] = "open"
    budget: int = 100


class Room(Base):
    language: str | None = None
    token: SecretStr
    room: str
    threads: bool = True


def _broken(name: str) -> type[BaseModel]:
    if name == "heavy":
        raise ImportError("No module named 'heavy_sdk'")
    return {"bird": Bird, "fish": Bird}[name]


BIRDS = Registry(("bird", "fish", "heavy"), _broken)
ROOMS = Registry(("room", "console"), lambda kind: Room if kind == "room" else Base)

GOOD = """\
sandbox: false
database: sqlite:///data/inboxd.db
timezone: Asia/Shanghai
language: zh
rules: rules/
http: {listen: 0.0.0.0:8080, public_url: "https://客服.example/"}
accounts:
  x_acme:
    connector: bird
    every: 90s
    backfill: alert
    user_id: "2244994945"
    token: ${BIRD_TOKEN}
    streams: [mentions, own]
    base_url: http://127.0.0.1:9000
destinations:
  social: {kind: room, token_file: secrets/room, room: 值班室, threads: no}
  ops: {kind: console}
"""


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "settings.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    (folder / "secrets").mkdir(exist_ok=True)
    (folder / "secrets" / "room").write_text("room-secret-值\n")
    return path


def read(folder: Path, text: str | bytes = GOOD, **env: str) -> Settings:
    env = {"BIRD_TOKEN": CANARY} | env
    return load(write(folder, text), env, connectors=BIRDS, destinations=ROOMS)


def problems(folder: Path, text: str | bytes, env: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        read(folder, text, **(env or {}))
    told = [line.removeprefix(f"{folder}/") for line in raised.value.problems]
    assert CANARY not in "\n".join(told)
    assert "room-secret" not in "\n".join(told)
    return told


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    settings = read(tmp_path)
    assert (settings.sandbox, settings.timezone, settings.language) == (
        False,
        "Asia/Shanghai",
        "zh",
    )
    assert settings.database == f"sqlite:///{tmp_path}/data/inboxd.db"
    assert settings.rules == tmp_path / "rules"
    assert (settings.http.host, settings.http.port) == ("0.0.0.0", 8080)
    assert settings.http.public_url == "https://客服.example"
    account = settings.accounts["x_acme"]
    assert (account.connector, account.every_s, account.backfill, account.paused) == (
        "bird",
        90.0,
        Backfill.ALERT,
        False,
    )
    assert account.options_model is Bird
    assert account.options == Bird(
        user_id="2244994945",
        token=SecretStr(CANARY),
        streams=("mentions", "own"),
        base_url="http://127.0.0.1:9000",
    )
    room = settings.destinations["social"].options
    assert isinstance(room, Room)
    assert (room.token.get_secret_value(), room.threads) == ("room-secret-值", False)


def test_secrets_are_listed_for_the_log_and_shown_nowhere(tmp_path: Path) -> None:
    text = GOOD.replace("sqlite:///data/inboxd.db", "postgresql://u:p%40ss-word@db/inboxd")
    settings = read(tmp_path, text)
    assert settings.secrets() == {CANARY, "room-secret-值", "p%40ss-word", "p@ss-word"}
    for shown in (repr(settings), str(settings)):
        assert not any(secret in shown for secret in settings.secrets())


def test_what_is_left_out_has_a_default(tmp_path: Path) -> None:
    settings = read(tmp_path, "sandbox: true\n")
    assert settings.database == f"sqlite:///{tmp_path}/data/inboxd.db"
    assert (settings.http.host, settings.http.port) == ("127.0.0.1", 8080)
    assert settings.accounts == {}
    assert settings.rules == tmp_path / "rules"


def test_bom_and_crlf_are_read_as_one_would_wish(tmp_path: Path) -> None:
    odd = b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode()
    assert read(tmp_path, odd) == read(tmp_path, GOOD)


@pytest.mark.parametrize(
    ("word", "sandbox"),
    [("yes", True), ("no", False), ("true", True), ("off", False), ("On", True), ("FALSE", False)],
)
def test_yes_and_no_are_read_as_meant(tmp_path: Path, word: str, *, sandbox: bool) -> None:
    assert read(tmp_path, GOOD.replace("sandbox: false", f"sandbox: {word}")).sandbox is sandbox


def test_a_time_of_day_stays_text(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, GOOD.replace("every: 90s", "every: 18:00"))
    assert line == (
        "settings.yaml:10:12: accounts.x_acme.every: '18:00' is no duration; "
        "write it like 90s, 15m, 1h30m or 2d"
    )
    settings = read(tmp_path, GOOD.replace("room: 值班室", "room: 18:00"))
    assert dict(settings.destinations["social"].options)["room"] == "18:00"


def test_null_is_nothing_and_quoted_null_is_a_word(tmp_path: Path) -> None:
    text = GOOD.replace('"https://客服.example/"', "null").replace("room: 值班室", 'room: "null"')
    settings = read(tmp_path, text.replace("alert", "~"))
    assert settings.http.public_url is None
    assert settings.accounts["x_acme"].backfill is Backfill.SILENT
    assert dict(settings.destinations["social"].options)["room"] == "null"


@pytest.mark.parametrize(
    ("written", "share"), [("off", None), ("5%", 0.05), ("0%", 0.0), ("2.5 %", 0.025)]
)
def test_a_guard_of_the_rules_is_a_share_of_messages_or_off(
    tmp_path: Path, written: str, share: float | None
) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(f"sandbox: true\nrules_guard: {written}\n", encoding="utf-8")
    assert load(path, {}).rules_guard == share


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("language: zh", "langage: zh", "settings.yaml:4:1: unknown key langage; did you mean 'language'?"),
        ("    every:", "    evry:", "settings.yaml:10:5: unknown key accounts.x_acme.evry; did you mean 'every'?"),
        ("threads:", "thread:", "settings.yaml:17:61: unknown key destinations.social.thread; did you mean 'threads'?"),
        ("language: zh", "language: cn", "settings.yaml:4:11: language cannot be 'cn'; write one of zh, en"),
        ("language: zh", "language: zh\nrules_guard: 5", "settings.yaml:5:14: rules_guard is off or a share; write it like 5%"),
        ("language: zh", "language: zh\nrules_guard: 500%", "settings.yaml:5:14: rules_guard is off or a share; write it like 5%"),
        ("Asia/Shanghai", "Asia/Shanghi", "settings.yaml:3:11: timezone: 'Asia/Shanghi' is no time zone; did you mean 'Asia/Shanghai'?"),
        ("Asia/Shanghai", "../../etc/passwd", "settings.yaml:3:11: timezone: '../../etc/passwd' is no time zone; write it like Asia/Shanghai"),
        ("connector: bird", "connector: brid", "settings.yaml:9:16: there is no connector 'brid'; did you mean 'bird'?"),
        ("connector: bird", "connector: heavy", "settings.yaml:9:16: connector heavy cannot be loaded (No module named 'heavy_sdk'); install what is missing"),
        ("kind: console", "kind: pager", "settings.yaml:18:15: there is no kind 'pager'; use one of room, console"),
        ("kind: console", "", "settings.yaml:18:8: destinations.ops.kind is missing; add one of room, console"),
        ("  ops:", "  x_acme:", "settings.yaml:18:3: an account is called 'x_acme' too; rename one"),
        ("  x_acme:", "  x-acme:", "settings.yaml:8:3: 'x-acme' is no name; use letters, digits and _ only"),
        ("backfill: alert", "backfill: allert", "settings.yaml:11:15: accounts.x_acme.backfill cannot be 'allert'; did you mean 'alert'?"),
        ("every: 90s", "every: 90", "settings.yaml:10:12: accounts.x_acme.every: '90' is no duration; a number needs a unit; write it like 90s, 15m, 1h30m or 2d"),
        ("every: 90s", "every: 0s", "settings.yaml:10:12: accounts.x_acme.every: '0s' is no time at all; write at least 1s"),
        ("0.0.0.0:8080", '":8080"', "settings.yaml:6:16: http.listen is host:port; write it like 127.0.0.1:8080, or 0.0.0.0:8080"),
        ("0.0.0.0:8080", "0.0.0.0:80800", "settings.yaml:6:16: http.listen is host:port; write it like 127.0.0.1:8080, or 0.0.0.0:8080"),
        ("sqlite:///data/inboxd.db", "data/inboxd.db", "settings.yaml:2:11: database is none we know; write sqlite:///data/inboxd.db or postgresql://user@host/inboxd"),
        ("sqlite:///data/inboxd.db", "'sqlite:///:memory:'", "settings.yaml:2:11: database must outlive the daemon; name a file, as sqlite:///data/inboxd.db"),
        ("http://127.0.0.1:9000", "http://127.0.0.1/2/", "settings.yaml:15:15: base_url is scheme and host only, as https://api.x.com"),
        ('user_id: "2244994945"', "user_id: 马云", "settings.yaml:12:14: accounts.x_acme.user_id: String should match pattern '^[0-9]+$'"),
        ('user_id: "2244994945"', "user_id:", "settings.yaml:12:13: accounts.x_acme.user_id is empty; give a value, or remove the key"),
        ("    token: ${BIRD_TOKEN}\n", "", "settings.yaml:9:5: accounts.x_acme.token is missing; add it as token: ${VARIABLE}, or name a file that holds it in token_file"),
        ("[mentions, own]", "{a: b}", "settings.yaml:14:14: accounts.x_acme.streams: Input should be a valid tuple"),
        ("sandbox: false", "sandbox: maybe", "settings.yaml:1:10: sandbox cannot be 'maybe'; write true or false"),
        ("sandbox: false", "sandbox: [no]", "settings.yaml:1:10: sandbox must be one value, and is a list; write one"),
        ("${BIRD_TOKEN}", "${NOWHERE}", "settings.yaml:13:12: accounts.x_acme.token: the environment variable NOWHERE is not set; set it, or put the value in a file and name that in token_file"),
        ("${BIRD_TOKEN}", "${EMPTY}", "settings.yaml:13:12: accounts.x_acme.token: the environment variable EMPTY is empty; set it, or put the value in a file and name that in token_file"),
        ("${BIRD_TOKEN}", "${BIRD-TOKEN}", "settings.yaml:13:12: accounts.x_acme.token: write ${NAME}, or $${ for a plain ${"),
        ("${BIRD_TOKEN}", "a${BIRD_TOKEN", "settings.yaml:13:12: accounts.x_acme.token: write ${NAME}, or $${ for a plain ${"),
        ("secrets/room", "secrets/none", "settings.yaml:17:36: destinations.social.token_file: secrets/none cannot be read (No such file or directory); check path and permissions"),
        ("secrets/room", "secrets", "settings.yaml:17:36: destinations.social.token_file: secrets cannot be read (Is a directory); check path and permissions"),
        ("token_file: secrets/room", "token: a, token_file: secrets/room", "settings.yaml:17:34: token is given too; keep one of the two"),
    ],
)  # fmt: skip
def test_each_mistake_is_told_with_its_place_and_remedy(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    assert old in GOOD
    assert problems(tmp_path, GOOD.replace(old, new, 1), {"EMPTY": ""}) == [told]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "settings.yaml:1:1: the file is empty; `inboxd init DIR` writes one to begin with"),
        ("# 只有注释\n", "settings.yaml:1:1: the file is empty; `inboxd init DIR` writes one to begin with"),
        ("- a\n", "settings.yaml:1:1: the file must be keys and values; write `key: value` lines"),
        ("language: zh\n", "settings.yaml:1:1: accounts is missing; name one, or write sandbox: true to try inboxd out"),
        ("accounts: none\n", "settings.yaml:1:11: accounts must be keys and values; write `key: value` lines"),
    ],
)  # fmt: skip
def test_a_file_without_settings_says_what_to_do(tmp_path: Path, text: str, told: str) -> None:
    assert problems(tmp_path, text) == [told]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("sandbox: true\n\tlanguage: zh\n", "a tab stands here"),
        ("sandbox: true\nsandbox: false\n", "stands already in line 1"),
        ("destinations:\n  a: {kind: room, token: ${BIRD_TOKEN}}\n", 'inside {} write "${NAME}" in quotes'),
        ("[" * 5_000, "nested deeper than"),
        ("a: &a [x]\nb: *a\n", "anchors"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "anchors"),
        (b"language: \xff\xfe\n", "not UTF-8"),
        ("时区：Asia/Shanghai\nlanguage: zh\n", "："),
        ("language: !!python/object:os.system zh\n", "tag"),
    ],
)  # fmt: skip
def test_what_yaml_itself_refuses_is_told_with_file_line_and_column(
    tmp_path: Path, text: str | bytes, part: str
) -> None:
    told = problems(tmp_path, text)
    assert part in told[0]
    file, line, column, _ = told[0].split(":", 3)
    assert (file, line.isdigit(), column.isdigit()) == ("settings.yaml", True, True)


@pytest.mark.parametrize("name", [".", "no/such.yaml"])
def test_a_directory_or_nothing_at_all_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load(tmp_path / name, {}, connectors=BIRDS, destinations=ROOMS)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("language: zh", "langage: zh").replace("every: 90s", "every: soon")
    text = text.replace("kind: console", "kind: pager").replace("secrets/room", "secrets/none")
    told = problems(tmp_path, text, {"INBOXD_HTTP__LISTN": "x"})
    assert len(told) == 5


def test_a_dollar_may_be_meant(tmp_path: Path) -> None:
    settings = read(tmp_path, GOOD.replace("room: 值班室", 'room: "a$b $${HOME}"'))
    assert dict(settings.destinations["social"].options)["room"] == "a$b ${HOME}"


def test_a_variable_may_stand_inside_a_value(tmp_path: Path) -> None:
    text = GOOD.replace("sqlite:///data/inboxd.db", "postgresql://${USER_}:${PASS_}@db/inboxd")
    settings = read(tmp_path, text, USER_="me", PASS_="secret-pass\n")
    assert settings.database == "postgresql://me:secret-pass@db/inboxd"


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        INBOXD_DATABASE="postgres://db/inboxd",
        INBOXD_HTTP__LISTEN="[::1]:0",
        INBOXD_ACCOUNTS__x_acme__every="5m",
        INBOXD_ACCOUNTS__X_ACME__USER_ID="7",
        INBOXD_DESTINATIONS__social__token="plain ${text}",
        INBOXD_LANGUAGE="",
        INBOXD_SETTINGS="elsewhere.yaml",
        INBOXD_LOG_LEVEL="debug",
        INBOXD_PORT="tcp://10.0.0.1:8080",
        INBOXD_SERVICE_HOST="10.0.0.1",
    )
    assert settings.database == "postgresql://db/inboxd"
    assert (settings.http.host, settings.http.port) == ("::1", 0)
    assert settings.accounts["x_acme"].every_s == 300
    assert dict(settings.accounts["x_acme"].options)["user_id"] == "7"
    token = dict(settings.destinations["social"].options)["token"]
    assert token.get_secret_value() == "plain ${text}"
    assert settings.language == "zh"


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("INBOXD_DATABSE", "x", "INBOXD_DATABSE: sets nothing; did you mean 'INBOXD_DATABASE'?"),
        ("INBOXD_HTTP__LISTN", "x", "INBOXD_HTTP__LISTN: sets nothing; did you mean 'INBOXD_HTTP__LISTEN'?"),
        ("INBOXD_ACCOUNTS__x_acne__every", "5m", "INBOXD_ACCOUNTS__x_acne__every: there is no account 'x_acne'; did you mean 'x_acme'?"),
        ("INBOXD_ACCOUNTS__x_acme__evry", "5m", "INBOXD_ACCOUNTS__x_acme__evry: unknown key accounts.x_acme.evry; did you mean 'every'?"),
        ("INBOXD_ACCOUNTS__x_acme__budget", "many", "INBOXD_ACCOUNTS__x_acme__budget: accounts.x_acme.budget: Input should be a valid integer, unable to parse string as an integer"),
        ("INBOXD_LANGUAGE", "fr", "INBOXD_LANGUAGE: language cannot be 'fr'; write one of zh, en"),
        ("INBOXD_TIMEZONE", "火星", "INBOXD_TIMEZONE: timezone: '火星' is no time zone; write it like Asia/Shanghai"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_environment_is_told_by_its_variable(
    tmp_path: Path, variable: str, value: str, told: str
) -> None:
    assert problems(tmp_path, GOOD, {variable: value}) == [told]


def test_the_sandbox_supplies_what_the_file_does_not_name(tmp_path: Path) -> None:
    text = "sandbox: true\ndestinations:\n  ops: {kind: room, token: mine, room: 我的}\n"
    settings = read(tmp_path, text, INBOXD_ACCOUNTS__x_demo__every="1s")
    merged = with_sandbox(
        settings,
        {"x_demo": {"connector": "bird", "user_id": "1", "token": "demo-token-1", "every": "2s"}},
        {"ops": {"kind": "console"}, "social": {"kind": "console"}},
        connectors=BIRDS,
        kinds=ROOMS,
    )
    assert merged.accounts["x_demo"].every_s == 1
    assert {name: one.kind for name, one in merged.destinations.items()} == {
        "ops": "room",
        "social": "console",
    }
    assert "demo-token-1" in merged.secrets()


def test_the_sandbox_is_checked_like_the_file(tmp_path: Path) -> None:
    settings = read(tmp_path, "sandbox: true\n", INBOXD_ACCOUNTS__x_dmo__every="1s")
    with pytest.raises(SettingsError) as raised:
        with_sandbox(
            settings,
            {"x_demo": {"connector": "bird", "user_id": "一", "token": "demo-token-1"}},
            {"x_demo": {"kind": "console"}},
            connectors=BIRDS,
            kinds=ROOMS,
        )
    assert len(raised.value.problems) >= 2
    assert "demo-token-1" not in str(raised.value)


def test_the_file_is_found_by_argument_then_environment_then_here() -> None:
    env = {"INBOXD_SETTINGS": "/etc/inboxd.yaml"}
    assert find("/tmp/a.yaml", env) == Path("/tmp/a.yaml")
    assert find(None, env) == Path("/etc/inboxd.yaml")
    assert find(None, {}) == Path("settings.yaml")


SHIPPED = Path(__file__).parent.parent / "settings.yaml"


def test_the_shipped_file_is_the_sandbox_and_names_nothing() -> None:
    settings = load(SHIPPED, {})
    assert settings.sandbox
    assert (settings.accounts, settings.destinations) == ({}, {})
    assert (settings.language, settings.timezone) == ("zh", "Asia/Shanghai")
    assert settings.http.public_url is None


def test_the_shipped_file_without_its_hashes_is_a_complete_real_configuration(
    tmp_path: Path,
) -> None:
    """Prose begins with one blank after the #, configuration with none or with indentation."""
    lines = SHIPPED.read_text("utf-8").splitlines()
    text = "\n".join(re.sub(r"^#(?! \S)", "", line) for line in lines)
    text = text.replace("sandbox: true", "sandbox: false")
    env = {
        name: "a" * 43 if name.endswith("_AES_KEY") else f"value-of-{name}"
        for name in re.findall(r"\$\{(\w+)\}", text)
    }
    settings = load(write(tmp_path, text), env)
    assert {one.connector for one in settings.accounts.values()} == set(CONNECTORS)
    assert {one.kind for one in settings.destinations.values()} == set(DESTINATIONS)
    assert not any(secret in repr(settings) for secret in settings.secrets())


ODD = st.one_of(
    st.sampled_from(
        ["", "~", "[]", "{}", "[a, [b]]", "{a: {b: c}}", '"${"', "$x", "é\u0301", "-1", "1e9"]
    ),
    st.text(st.characters(codec="utf-8"), max_size=12).map(json.dumps),
)


@examples(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(0, 17), ODD, st.booleans())
def test_whatever_stands_in_a_line_it_is_read_or_told(
    tmp_path: Path, line: int, odd: str, whole: bool
) -> None:
    lines = GOOD.splitlines()
    key, _, _ = lines[line].partition(":")
    lines[line] = odd if whole else f"{key}: {odd}"
    try:
        read(tmp_path, "\n".join(lines))
    except SettingsError as error:
        assert error.problems
        assert all(re.match(r"\S+:\d+:\d+: ", one) for one in error.problems)
