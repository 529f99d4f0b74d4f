"""The rules that are shipped, and every example of the specification."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from aggregator.model import Kind, Priority
from aggregator.triage.loader import lint, load, load_texts, run_tests
from aggregator.triage.ruleset import Ruleset, Subject
from tests.triage.making import judged

SHIPPED = Path(__file__).parents[2] / "rules"
DESTINATIONS = ("social", "leads", "desk", "ops")


@pytest.fixture(scope="module")
def shipped() -> Ruleset:
    return load(SHIPPED, destinations=DESTINATIONS)


def test_the_shipped_rules_have_no_finding_at_all() -> None:
    assert [str(one) for one in lint(SHIPPED, destinations=DESTINATIONS)] == []


def test_every_shipped_rule_has_a_hit_a_miss_and_a_title_in_both_languages(
    shipped: Ruleset,
) -> None:
    examples = run_tests(shipped)
    assert all(one.passed for one in examples)
    for rule in shipped.rules.values():
        mine = [one.example for one in examples if one.example.rule == rule.id]
        assert {one.fires for one in mine} == {True, False}, rule.id
        assert any(not (one.subject.text or "").isascii() for one in mine), rule.id
        zh, en = rule.name("zh"), rule.name("en")
        assert not zh.isascii()
        assert en.isascii()


@pytest.mark.parametrize("page", ["rules.md", "rules.zh-CN.md"])
def test_every_shipped_rule_and_label_stands_in_the_documentation_with_its_level(
    shipped: Ruleset, page: str
) -> None:
    lines = (SHIPPED.parent / "docs" / page).read_text("utf-8").splitlines()
    levels: dict[str, str] = {}
    for line in lines:
        cells = [one.strip() for one in line.strip("|").split("|")]
        if len(cells) == 3 and ".yaml`" in cells[0] and re.fullmatch(r"[P1-4;； ]+", cells[2]):
            groups = re.split("[;；]", cells[1])
            for group, level in zip(groups, re.split("[;；]", cells[2]), strict=True):
                levels |= dict.fromkeys(re.findall(r"`([\w-]+)`", group), level.strip())
    assert levels == {
        rule.id: min(  # P1 is the highest
            shipped.matrix[rule.effect.urgency][rule.effect.importance],
            rule.effect.at_least or Priority.P4,
        )
        for rule in shipped.rules.values()
    }
    labels = {one for rule in shipped.rules.values() for one in rule.effect.labels}
    start = next(at for at, line in enumerate(lines) if line.startswith(("| label |", "| 标签 |")))
    table = lines[start : lines.index("", start)]
    assert {one for line in table for one in re.findall(r"`(\w+)`", line)} == labels


def test_nothing_but_yaml_and_its_schema_lives_in_the_rules_folder() -> None:
    other = [path for path in SHIPPED.rglob("*") if path.is_file() and path.suffix != ".yaml"]
    assert other == [SHIPPED / "schema.json"]


def test_the_shipped_rules_load_fast_enough_for_a_quick_start() -> None:
    load(SHIPPED)
    started = time.process_time()
    load(SHIPPED)
    assert time.process_time() - started < 1.0  # 0.4 s on an idle machine, most of it the lexicon


@pytest.mark.parametrize(
    ("text", "priority", "route"),
    [
        ("你们的充电宝半夜冒烟，差点起火！！孩子就睡在旁边[怒][怒]", "P1", "critical"),
        ("my charger exploded while charging & burned my desk 😡", "P1", "critical"),
        ("申請退款七天了，錢還沒到，再不退我就打12315投訴！", "P1", "legal-press"),
        ("买了五天了还没发货，到底什么时候发？", "P2", "service"),
        ("日结兼职，加V信 xx8866，轻松月入过万", "P4", "spam"),
        ("手感真不错，颜值爆炸，爱了[笑cry]", "P4", "everything-else"),
        ("请问周末几点开门？", "P4", "everything-else"),
        ("起火了！加微信看视频", "P1", "critical"),
        ("转发微博//@路人:我的充电宝起火了", "P4", "everything-else"),
        ("", "P4", "everything-else"),
    ],
)
def test_the_shipped_rules_put_a_message_where_a_brand_would(
    shipped: Ruleset, text: str, priority: str, route: str
) -> None:
    subject = Subject(text, platform="weibo", kind=Kind.MENTION)
    verdict = shipped.judge(subject)
    routes = shipped.route(subject, priority=verdict.priority, labels=verdict.tags)
    assert (verdict.priority, routes[0].id) == (priority, route), verdict.reasons


def test_irony_is_no_praise(shipped: Ruleset) -> None:
    assert judged(shipped, "又等了一下午[doge][允悲]").sentiment != "positive"
    assert judged(shipped, "[允悲]").score == 0


TRIAGE = """
schema: 1
lists:
  refund: [退款, 退钱, 退费, refund, "money back", chargeback]
rules:
  - id: safety-incident
    title: 人身安全 / product safety
    status: live
    when:
      any: [爆炸, 起火, 冒烟, 触电, 食物中毒, "caught fire", exploded, electric shock]
      mask: [爆炸头, 颜值爆炸, 信息爆炸]
      negation: ignore
    then: {urgency: 3, importance: 3, labels: [safety], at_least: P1}
    tests:
      - hit: 你们的充电宝起火了！！
      - hit: "My charger EXPLODED 😡"
      - miss: 这个颜值爆炸，爱了
      - todo_hit: 充电宝鼓包了
  - id: refund-waiting
    title: 催退款
    when:
      all:
        - any: ["@refund"]
        - any: [还没, 一直没, 迟迟, 几天了, "still waiting", "not received"]
      within: 30
      not: [已到账, "refund received"]
    then: {urgency: 2, importance: 1, labels: [refund], sentiment: -2}
    tests:
      - hit: 申請退款5天了，錢還沒到
      - miss: "refunded, still waiting to say thanks"
"""
ROUTES = """
schema: 1
routes:
  - id: safety
    when: {priority: [P1], labels: [safety]}
    to: [social, desk]
    targets: urgent
    mention: ["<!subteam^S012>"]
  - id: spam
    when: {labels: [spam]}
    to: []
  - id: everything-else
    to: [social]
    targets: standard
    quiet: night
tests:
  - message: {platform: weibo, kind: mention, text: 你们的充电宝起火了}
    expect: {priority: P1, route: safety, to: [social, desk]}
"""
TARGETS = """
schema: 1
calendars:
  office:
    timezone: Asia/Shanghai
    hours: {mon-fri: ["09:00-12:00", "13:30-18:00"]}
    holidays: CN
    extra_workdays: []
    extra_holidays: []
targets:
  urgent:
    calendar: 24x7
    first_response: {P1: 10m, P2: 30m, P3: 1h, P4: 1h}
    warn_at: [50%]
    escalate: [{at: 50%, to: [leads]}]
  standard:
    calendar: office
    first_response: {P1: 15m, P2: 30m, P3: 2h, P4: 8h}
    next_response:  {P1: 15m, P2: 30m, P3: 2h, P4: 8h}
    resolution:     {P1: 4h,  P2: 1d,  P3: 3d, P4: 5d}
    warn_at: [50%, 80%]
    escalate: [{at: due, to: [leads]}, {at: due+30m, to: [leads], mention: ["<!here>"]}]
intervals:
  night: {days: mon-sun, from: "22:00", to: "08:00", timezone: Asia/Shanghai}
"""
SPECIFIED = {"20-safety.yaml": TRIAGE, "routes.yaml": ROUTES, "targets.yaml": TARGETS}


def test_the_examples_of_the_specification_load_and_pass() -> None:
    rules = load_texts(SPECIFIED, destinations=DESTINATIONS)
    results = run_tests(rules)
    assert all(one.passed for one in results)
    assert [one.example.gap for one in results].count(True) == 1
    fire = judged(rules, "My charger EXPLODED 😡")
    assert [(one.rule, one.term) for one in fire.matches] == [("safety-incident", "exploded")]
    assert rules.title("safety-incident", "en") == "product safety"
    waiting = judged(rules, "申請退款5天了，錢還沒到")
    assert {one.term for one in waiting.matches} == {"退款", "还没"}
    assert judged(rules, "没有起火").priority == "P1"


def test_a_tune_as_the_specification_writes_it_changes_the_specified_rule() -> None:
    tune = (
        "tune: [{rules: [safety-incident], add_any: [冒火], add_mask: [起火腿], "
        "add_not: [演习], status: shadow, set: {urgency: 2}}]\n"
    )
    rules = load_texts({**SPECIFIED, "site.yaml": tune}, destinations=DESTINATIONS)
    verdict = judged(rules, "插座冒火")
    assert (verdict.priority, verdict.tags) == ("P4", ())
    assert any(
        one.startswith("shadow, no effect: safety-incident: 冒火 → urgency 2")
        for one in verdict.reasons
    )
    assert rules.rules["safety-incident"].status == "shadow"


def test_the_priority_matrix_of_the_specification_is_the_one_without_a_file() -> None:
    matrix = "schema: 1\nmatrix: [[P4, P4, P3, P3], [P4, P4, P3, P3], [P2, P2, P1, P1], [P2, P2, P1, P1]]\n"
    assert load_texts({"priority.yaml": matrix}).matrix == load_texts({}).matrix
