from __future__ import annotations

from pathlib import Path

import pytest

from aggregator.errors import SettingsError
from aggregator.triage.finding import Finding
from aggregator.triage.loader import lint, load, load_texts, run_tests
from aggregator.triage.ruleset import Subject

RULE = (
    "schema: 1\nrules:\n  - id: the-rule\n    when: {any: [退款]}\n    tests: [{hit: 我要退款}]\n"
)


def _lint(tmp_path: Path, **files: str) -> list[Finding]:
    for name, text in files.items():
        path = tmp_path / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return lint(tmp_path, destinations=("social", "desk"))


def _rule(when: str, *, then: str = "{}", tests: str = "[{hit: 退款}]", more: str = "") -> str:
    return (
        "schema: 1\nrules:\n  - id: the-rule\n"
        f"    when: {when}\n    then: {then}\n    tests: {tests}\n{more}"
    )


def test_a_good_folder_has_no_findings(tmp_path: Path) -> None:
    assert _lint(tmp_path, rules=RULE) == []


WRONG = [
    # what is written, code, line:column, words of the message
    (
        _rule("{anny: [退款]}"),
        "schema",
        "4:12",
        "unknown key rules.0.when.anny; did you mean 'any'?",
    ),
    (_rule("{any: [退款]}", then="{urgncy: 1}"), "schema", "5:12", "did you mean 'urgency'?"),
    (_rule("{any: [退款]}", then="{urgency: 4}"), "schema", "5:21", "less than or equal to 3"),
    (_rule("{any: [退款]}", then="{urgency: high}"), "schema", "5:21", "must be a whole number"),
    (_rule("{any: [退款], any: [退]}"), "syntax", "4:23", "stands already in line 4"),
    (_rule("{regex: ['(?<!不)好']}"), "regex", "4:20", "no lookbehind and no lookahead; use mask:"),
    (_rule("{any: [退款], within: 5}"), "schema", "4:11", "within needs all"),
    (_rule("{not: [退款]}"), "schema", "4:11", "nothing to match"),
    (
        _rule("{all: [{any: [已经等了三天]}, {any: [退]}], within: 5}"),
        "within",
        "4:56",
        "6 characters at least",
    ),
    (_rule("{any: [退款], author: {followers: {gte: nan}}}"), "schema", "4:49", "finite number"),
    (
        _rule("{sentiment: {lt: 0}, not: [谢谢]}", then="{urgency: 2}"),
        "schema",
        "3:5",
        "never comes from sentiment",
    ),
    (_rule("{exact: ['@vips']}"), "missing-list", "4:20", "there is no list vips"),
    (_rule("{exact: ['']}"), "keyword", "4:20", "an empty keyword"),
    (_rule("{any: ['']}"), "keyword", "4:18", "empty after folding"),
    (_rule("{any: [~, 退款]}"), "empty", "4:18", "empty; give a value"),
    (_rule("{regex: ['退.{0,500}款']}"), "regex", "4:20", "too big"),
    (_rule("{regex: []}"), "schema", "4:19", "holds nothing"),
    (_rule("{any: &words [退款]}"), "syntax", "4:17", "anchors (&)"),
    (_rule("{any: !!python/object:os.system [退款]}"), "syntax", "4:17", "is not read"),
    (_rule("{any: [“退款”, 退货]}"), "full-width", "4:18", "full-width quotes"),
    (_rule("{any： [退款]}"), "syntax", "4:17", "full-width ："),
    (_rule("{all: [{any: [退], exact: [款]}]}"), "schema", "4:18", "a group has one of"),
    (_rule("{any: [退款], author: {followers: {}}}"), "schema", "4:43", "a bound is missing"),
    (_rule("{any: []}"), "schema", "4:17", "holds nothing"),
    (_rule("{any: [退款, ]}", then="{labels: }"), "empty", "5:20", "empty; give a value"),
    (_rule("{any: [*退款]}"), "syntax", "4:19", "quote the value"),
    (_rule("{any: ['*退款']}"), "keyword", "4:18", "no * in front"),
    (_rule("{any: ['gr*']}"), "keyword", "4:18", "after 3 letters or more"),
    (_rule("{any: ['退款*']}"), "keyword", "4:18", "Chinese needs no *"),
    (_rule("{any: [“退款”]}"), "full-width", "4:18", "full-width quotes"),
    (_rule("{any: ['\u200b']}"), "keyword", "4:18", "empty after folding"),
    (_rule("{any: [[怒], 退款]}"), "unquoted", "4:18", 'quote it: "[怒]"'),
    (_rule("{any: [@refund]}"), "syntax", "4:18", "quote the value"),
    (_rule("{any: ['@refund']}"), "missing-list", "4:18", "there is no list refund"),
    (_rule("{count: {of: [慢, 贵], min: 3}}"), "count", "4:37", "can never hold"),
    (
        _rule("{sentiment: {lt: 0}}", then="{urgency: 2}"),
        "schema",
        "3:5",
        "never comes from sentiment",
    ),
    (
        _rule("{sentiment: {lt: 0}}", then="{at_least: P1}"),
        "schema",
        "3:5",
        "never raises above P3",
    ),
    (_rule("{any: [退款]}", more="    final: true\n"), "schema", "3:5", "final needs a weight"),
    (
        _rule("{any: [退款], hours: {outside: office}}"),
        "unknown-calendar",
        "4:40",
        "no calendar office",
    ),
    (_rule("{any: [退款], kind: tweet}"), "schema", "4:29", "direct_message"),
    (
        _rule("{any: [退款]}", tests="[{hit: 你好}]"),
        "example-failed",
        "6:19",
        "does not hit '你好'",
    ),
    (_rule("{any: [退款]}", tests="[{miss: 退款}]"), "example-failed", "6:20", "hits '退款'"),
    (
        _rule("{any: [退款]}", tests="[{hit: 退款, miss: x}]"),
        "schema",
        "6:13",
        "an example is one text",
    ),
    ("schema: 2\n", "schema", "1:9", "schema"),
    ("routes: []\n", "schema", "1:1", "routes stands in routes.yaml"),
    ("- 退款\n", "syntax", "1:1", "begin with schema: 1"),
    ("rules:\n\t- id: x\n", "syntax", "2:1", "a tab stands here"),
    ("schema：1\nrules: []\n", "syntax", "2:6", "full-width ："),
    ("rules:\n  - id：the-rule\n", "schema", "2:5", "full-width ："),
    ("rules:\n  - {id: The Rule, when: {any: [退款]}}\n", "schema", "2:10", "pattern"),
    ("rules: " + "[" * 60 + "]" * 60, "syntax", "1:57", "nested deeper than 50"),
]


@pytest.mark.parametrize(("text", "code", "at", "words"), WRONG)
def test_a_mistake_is_named_with_its_place_and_a_remedy(
    tmp_path: Path, text: str, code: str, at: str, words: str
) -> None:
    found = [one for one in _lint(tmp_path, mine=text) if one.severity == "error"]
    assert [one.code for one in found] == [code]
    assert found[0].place == f"{tmp_path}/mine.yaml:{at}"
    assert words in found[0].text


def test_a_hash_without_quotes_is_explained(tmp_path: Path) -> None:
    (flow,) = _lint(tmp_path, flow=_rule("{any: [退款, #投诉#]}"))
    assert "YAML reads # as a comment" in flow.text
    (tmp_path / "flow.yaml").unlink()
    (block,) = _lint(
        tmp_path, block="rules:\n  - id: the-rule\n    when:\n      any:\n        - #投诉#\n"
    )
    assert (block.code, "#" in block.text) == ("empty", True)


def test_several_mistakes_are_told_at_once_over_all_files(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("rules: [{idd: x}]\n", encoding="utf-8")
    (tmp_path / "b.yaml").write_bytes(b"rules: \xff\n")
    with pytest.raises(SettingsError) as caught:
        load(tmp_path)
    places = [
        problem.split(": ")[0].removeprefix(f"{tmp_path}/") for problem in caught.value.problems
    ]
    assert places == ["a.yaml:1:9", "a.yaml:1:9", "a.yaml:1:10", "b.yaml:1:1"]


def test_the_caret_stands_under_the_column_in_chinese_lines_too(tmp_path: Path) -> None:
    (one,) = _lint(
        tmp_path,
        mine="rules:\n  - {id: the-rule, title: 催退款, wenn: {any: [退款]}, when: {any: [x1]}, tests: [{hit: x1}]}\n",
    )
    line, caret = str(one).split("\n")[1:]
    assert line.index("wenn") + 3 == caret.index("^")  # three wide characters before it


def test_a_rule_twice_is_named_with_the_first_place(tmp_path: Path) -> None:
    found = [one for one in _lint(tmp_path, a=RULE, b=RULE) if one.severity == "error"]
    assert [one.code for one in found] == ["duplicate-id"]
    assert found[0].file == "b.yaml"
    assert f"stands already in {tmp_path}/a.yaml:3:9" in found[0].text


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        (RULE.replace("    tests: [{hit: 我要退款}]\n", ""), "no-examples", "add tests"),
        (_rule("{any: [退款, 退 款, 退貨, 退货]}"), "duplicate-keyword", "same after folding"),
        (_rule("{any: [退款, 差]}"), "short-keyword", "one character"),
        (_rule("{any: ['退款，退货', 退款]}"), "comma", "comma"),
        (_rule("{any: [退款, 急急急]}"), "long-run", "write two"),
        (_rule("{any: [退款], exact: [退款, 款]}"), "short-keyword", "one character"),
        (_rule("{any: [退款], exact: [退款, 退款]}"), "duplicate-keyword", "stands here twice"),
        (_rule("{any: [退款, 爆炸], mask: [爆炸]}"), "hidden-keyword", "the mask 爆炸"),
        (_rule("{any: [退款, 已到账了], not: [已到账]}"), "hidden-keyword", "under not"),
        (RULE + "lists: {money: [钱款]}\n", "unused-list", "money"),
        (
            _rule("{any: [退款]}", tests="[{hit: 退款}, {todo_hit: 要退款}]"),
            "gap-closed",
            "write hit",
        ),
    ],
)
def test_what_is_doubtful_is_a_warning_and_loads(
    tmp_path: Path, text: str, code: str, words: str
) -> None:
    found = _lint(tmp_path, mine=text)
    assert {(one.severity, one.code) for one in found} == {("warning", code)}
    assert words in found[0].text
    assert load(tmp_path).rules.keys() == {"the-rule"}


ROUTES = "schema: 1\nroutes:\n  - {id: last-one, to: [social]}\n"


@pytest.mark.parametrize(
    ("routes", "code", "words"),
    [
        (ROUTES.replace("social", "socail"), "unknown-destination", "did you mean social?"),
        (
            ROUTES.replace("to: [social]", "to: [social], targets: fast"),
            "unknown-target",
            "no fast",
        ),
        (ROUTES.replace("to: [social]", "to: [social], quiet: noon"), "unknown-target", "no noon"),
        (ROUTES.replace("to:", "when: {priority: P1}, to:"), "route-order", "must match always"),
        (ROUTES + "  - {id: never, to: []}\n", "route-order", "never reached"),
        (ROUTES.replace("to: [social]", "to: social, priority: P1"), "schema", "unknown key"),
        ("schema: 1\nroutes: []\n", "schema", "holds nothing"),
        (
            ROUTES + "tests: [{message: {text: hi}, expect: {priority: P1}}]\n",
            "example-failed",
            "expected P1, it is P4",
        ),
        (
            ROUTES + "tests: [{message: {text: hi}, expect: {to: [desk]}}]\n",
            "example-failed",
            "reaches ['social']",
        ),
    ],
)
def test_routes_are_checked_against_everything_they_name(
    tmp_path: Path, routes: str, code: str, words: str
) -> None:
    found = _lint(tmp_path, routes=routes)
    assert [one.code for one in found if one.severity == "error"] == [code]
    assert words in found[0].text


def test_an_escalation_to_nobody_is_found(tmp_path: Path) -> None:
    targets = "schema: 1\ntargets:\n  urgent: {calendar: 24x7, first_response: {P1: 10m}, escalate: [{at: due, to: [boss]}]}\n"
    (one,) = (o for o in _lint(tmp_path, targets=targets) if o.severity == "error")
    assert (one.code, one.file) == ("unknown-destination", "targets.yaml")
    assert "no destination boss" in one.text


def test_a_label_that_no_rule_gives_is_a_warning(tmp_path: Path) -> None:
    routes = ROUTES.replace(
        "routes:\n", "routes:\n  - {id: one-label, when: {labels: [refnd]}, to: []}\n"
    )
    rules = RULE.replace("    tests", "    then: {labels: [refund]}\n    tests")
    (one,) = _lint(tmp_path, routes=routes, rules=rules)
    assert (one.severity, one.code) == ("warning", "unknown-label")
    assert "did you mean refund?" in one.text


def test_two_moods_for_one_word_are_refused(tmp_path: Path) -> None:
    (one,) = _lint(tmp_path, sentiment__zh='schema: 1\nterms: {"2": [不錯], "1": [不错]}\n')
    assert one.code == "duplicate-term"
    (bad,) = _lint(tmp_path, sentiment__zh='schema: 1\nterms: {"9": [不錯]}\n')
    assert "no weight" in bad.text


def test_known_gaps_do_not_fail_and_results_say_what_is_wrong() -> None:
    text = _rule("{any: [退款]}", tests="[{hit: 退款}, {todo_hit: 返现}, {hit: 换货}]")
    results = run_tests(load_texts({"mine.yaml": text}, tests=False))
    assert [one.passed for one in results] == [True, True, False]
    assert "does not hit '换货'" in str(results[2])
    assert str(results[2]).startswith("mine.yaml:6:")


def test_the_facts_an_example_leaves_out_are_those_its_rule_asks_for(tmp_path: Path) -> None:
    when = "{any: [退款], platform: weibo, kind: comment, lang: zh, author: {followers: {gte: 1000}, verified: true}}"
    tests = "[{hit: 退款}, {miss: 退款, platform: x}, {miss: 退款, author: {followers: 3}}]"
    assert _lint(tmp_path, mine=_rule(when, tests=tests)) == []


def test_an_example_may_expect_more_of_the_verdict(tmp_path: Path) -> None:
    tests = "[{hit: 退款, expect: {priority: P2, labels: [refund], sentiment: negative}}]"
    then = "{urgency: 2, labels: [refund], sentiment: -2}"
    assert _lint(tmp_path, mine=_rule("{any: [退款]}", then=then, tests=tests)) == []
    wrong = tests.replace("P2", "P1").replace("negative", "'>0'")
    (one,) = _lint(tmp_path, mine=_rule("{any: [退款]}", then=then, tests=wrong))
    assert "expected P1, it is P2" in one.text
    assert "expected sentiment >0" in one.text


def test_a_quiet_route_with_warnings_and_escalations_is_fine(tmp_path: Path) -> None:
    targets = (
        "schema: 1\ntargets:\n  fast:\n    calendar: 24x7\n    first_response: {P1: 10m}\n"
        "    warn_at: [50%]\n    escalate: [{at: due, to: [desk]}]\nintervals:\n  noon: {days: mon-sun, from: '12:00', to: '13:00', timezone: UTC}\n"
    )
    routes = ROUTES.replace("to: [social]", "to: [social], quiet: noon")
    assert _lint(tmp_path, rules=RULE, targets=targets, routes=routes) == []


@pytest.mark.parametrize(
    ("targets", "code", "line", "words"),
    [
        (
            "targets:\n  slow: {calendar: 24x7, resolution: {P4: 1d}}\n",
            "day-of-24x7",
            3,
            "24 hours a day, nights and weekends too",
        ),
        (
            "intervals:\n  ever: {days: mon-sun, from: '00:00', to: '24:00', timezone: UTC}\n",
            "whole-week",
            3,
            "tells of P1 only",
        ),
        (
            "calendars:\n  bar:\n    timezone: America/New_York\n    hours:\n"
            "      sat-sun: ['02:30-06:00']\n",
            "clock-change",
            6,
            "on 2026-03-08 in America/New_York 02:30 is skipped",
        ),
        (
            "intervals:\n  night: {days: mon-sun, from: '23:00', to: '01:15', timezone: America/New_York}\n",
            "clock-change",
            3,
            "01:15 comes twice, 1h apart; the first counts",
        ),
    ],
)
def test_what_may_surprise_is_said_with_its_line_and_what_then_happens(
    tmp_path: Path, targets: str, code: str, line: int, words: str
) -> None:
    (one,) = _lint(tmp_path, targets="schema: 1\n" + targets)
    assert (one.severity.value, one.code, one.at[1]) == ("warning", code, line)
    assert words in one.text


@pytest.mark.parametrize(
    ("targets", "line", "words"),
    [
        ("targets:\n  one: {first_response: {P1: 1h}}\n", 3, "calendar is missing"),
        ("calendars:\n  shut: {timezone: UTC, hours: {mon: []}}\n", 3, "never opens"),
        (
            "calendars:\n  twice:\n    timezone: UTC\n    hours:\n      mon: ['9:00-12:00', '11:00-13:00']\n",
            6,
            "overlaps",
        ),
        (
            "calendars:\n  back: {timezone: UTC, hours: {mon: ['18:00-09:00']}}\n",
            3,
            "ends before it begins",
        ),
        (
            "calendars:\n  mars: {timezone: Asia/Peking, hours: {mon: ['9:00-12:00']}}\n",
            3,
            "no time zone",
        ),
    ],
)
def test_targets_that_cannot_be_kept_are_refused_with_their_line(
    tmp_path: Path, targets: str, line: int, words: str
) -> None:
    (one,) = _lint(tmp_path, targets="schema: 1\n" + targets)
    assert (one.severity.value, one.at[1]) == ("error", line)
    assert words in one.text


def test_a_list_may_be_named_under_exact_too(tmp_path: Path) -> None:
    text = "lists: {vips: [Acme, '@@Acme客服']}\n" + _rule(
        "{exact: ['@vips']}", tests="[{hit: 找@Acme客服 说}, {hit: 我爱 Acme}, {miss: 我爱 acme}]"
    ).replace("schema: 1\n", "")
    assert _lint(tmp_path, mine=text) == []


YAML_WORDS = "[no, off, on, yes, 12:30, 0755, 1_000, 2026-01-01, 1.10, null-und-nichtig, 1e3, true]"


def test_words_that_yaml_has_a_meaning_for_stay_the_words_that_were_written(tmp_path: Path) -> None:
    rules = load_texts({"mine.yaml": _rule(f"{{any: {YAML_WORDS}}}", tests="[{hit: no}]")})
    for word in ("off", "12:30", "0755", "1_000", "2026-01-01", "1.10", "1e3", "true"):
        match = rules.judge(Subject(f"见 {word} 吧")).matches
        assert [one.term for one in match] == [word]
    assert _lint(tmp_path, mine=_rule(f"{{any: {YAML_WORDS}}}", tests="[{hit: no}]")) == []


BOMB = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + at)}: &{chr(98 + at)} [{', '.join([f'*{chr(97 + at)}'] * 9)}]\n" for at in range(9)
)


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (BOMB.encode(), "syntax", "anchors (&) and aliases (*) are not read"),
        (b"rules: " + b"[" * 5_000, "syntax", "nested deeper than 50"),
        (b"rules: " + b"{a: " * 5_000, "syntax", "nested deeper than 50"),
        ("rules: []  # 投诉é".encode("latin-1", "replace"), "syntax", "not UTF-8"),
        ("schema: 1 # 规则".encode("gb18030"), "syntax", "not UTF-8"),
        ("schema: 1 # 规则".encode("utf-16"), "syntax", "not UTF-8"),
        (b"\x7fELF\x02\x01\x01\x00\x00", "syntax", "control character"),
        (b"rules: []\x00", "syntax", "control character"),
        (b"# " + b"x" * (4 * 1024 * 1024), "syntax", "larger than 4 MiB"),
        ("rules:\n- {id: a-b-c, when: {any: [退款, #投诉#]}}".encode(), "syntax", "YAML reads # as a comment"),
        ("rules:\n- id: a-b-c\n  when:\n    any:\n    - @客服".encode(), "syntax", "quote the value"),
        ("rules:\n- id: a-b-c\n  title： 退款\n".encode(), "syntax", "full-width ："),
        ("rules:\n- id: a-b-c\n  tests:\n  - hit: [怒]太差\n".encode(), "syntax", "check brackets"),
        (b"a: 1\n---\nb: 2\n", "syntax", "one file holds one document"),
        ("\u3000rules: []\n".encode(), "schema", "unknown key"),
    ],
)  # fmt: skip
def test_whatever_a_file_holds_is_told_in_words(
    tmp_path: Path, data: bytes, code: str, words: str
) -> None:
    (tmp_path / "mine.yaml").write_bytes(data)
    found = lint(tmp_path)
    assert found
    assert found[0].code == code
    assert words in found[0].text
    assert len(str(found[0])) < 1_000
    file, line, column = found[0].at
    assert (file, line > 0, column > 0) == (f"{tmp_path}/mine.yaml", True, True)


def test_rules_that_hit_too_many_recent_messages_are_named(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(_rule("{any: [退款]}"), encoding="utf-8")
    some = [Subject("我要退款")] * 11 + [Subject("你好")] * 189
    (one,) = lint(tmp_path, recent=some)
    assert (one.severity, one.code, one.at[1:]) == ("warning", "too-often", (3, 9))
    assert "hits 6% of the last 200 messages" in one.text
    assert lint(tmp_path, recent=[*some[1:], Subject("你好")]) == []
    assert lint(tmp_path, recent=some[:100]) == []
