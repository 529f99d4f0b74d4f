"""The documentation against the program: what can be set, typed, measured and written stands there, in both languages."""

from __future__ import annotations

import ast
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import BaseModel

from aggregator import __version__
from aggregator.cli import app
from aggregator.destinations.base import Options as DestinationOptions
from aggregator.destinations.registry import DESTINATIONS, destination_class
from aggregator.metrics import Metrics
from aggregator.options import ACCOUNT_KEYS, DESTINATION_KEYS
from aggregator.secrets import HTTP
from aggregator.settings import KEYS, Settings, load
from aggregator.sla.hours import CALENDAR_KEYS, INTERVAL_KEYS
from aggregator.sla.policy import ESCALATION_KEYS, FILE_KEYS, TARGET_KEYS
from aggregator.triage import schema
from aggregator.triage.loader import lint
from connectors.base import Options as AccountOptions
from connectors.registry import CONNECTORS, connector_class

ROOT = Path(__file__).parents[1]
READMES = ("README.md", "README.zh-CN.md")
RULES = ("docs/rules.md", "docs/rules.zh-CN.md")
PAGES = (*READMES, *RULES, "docs/operations.md", "CHANGELOG.md")
AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"


def text(page: str) -> str:
    return (ROOT / page).read_text("utf-8")


def prose(page: str) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", text(page), flags=re.S | re.M)


def blocks(page: str, language: str = "") -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text(page), flags=re.S | re.M)
    return [block for word, block in fenced if word == language]


def spans(markdown: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", markdown))


def words(markdown: str) -> set[str]:
    """Every name that stands in code, also inside a longer piece of it."""
    return {word for span in spans(markdown) for word in re.findall(r"[\w-]+", span)}


def rows(page: str) -> Iterator[list[str]]:
    for line in text(page).splitlines():
        if line.startswith("|") and not line.startswith("|---"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def table(page: str, heading: str) -> list[list[str]]:
    """The rows of the first table whose head's first cell is `heading`."""
    found = list(rows(page))
    start = next(at for at, row in enumerate(found) if row[0] == heading)
    lines = text(page).splitlines()
    at = next(n for n, one in enumerate(lines) if one.startswith(f"| {heading} |"))
    length = next((n for n, one in enumerate(lines[at:]) if not one.startswith("|")), len(lines))
    return found[start + 1 : start + length - 1]


# --- settings -----------------------------------------------------------------------------------

HEADS = {"README.md": "for", "README.zh-CN.md": "对象"}
WHOLES = {
    "README.md": ("the file", "every account", "every destination"),
    "README.zh-CN.md": ("整个文件", "每个账号", "每个去处"),
}


def options(page: str) -> dict[str, tuple[set[str], set[str]]]:
    """What the page says: for each connector, kind and section the required and the optional keys."""
    return {row[0].strip("`"): (spans(row[1]), spans(row[2])) for row in table(page, HEADS[page])}


def told(model: type[BaseModel], common: type[BaseModel]) -> tuple[set[str], set[str]]:
    """What the program says: its own options, without those that all of them have."""
    own = model.model_fields.keys() - common.model_fields
    required = {name for name in own if model.model_fields[name].is_required()}
    return required, own - required


@pytest.mark.parametrize("page", READMES)
@pytest.mark.parametrize("name", CONNECTORS)
def test_every_option_of_a_connector_is_documented_and_no_other(page: str, name: str) -> None:
    assert options(page)[name] == told(connector_class(name).options, AccountOptions)


@pytest.mark.parametrize("page", READMES)
@pytest.mark.parametrize("kind", DESTINATIONS)
def test_every_option_of_a_destination_is_documented_and_no_other(page: str, kind: str) -> None:
    assert options(page)[kind] == told(destination_class(kind).options, DestinationOptions)


@pytest.mark.parametrize("page", READMES)
def test_what_every_account_destination_and_the_file_take_is_documented(page: str) -> None:
    said = options(page)
    whole, account, destination = WHOLES[page]
    assert set.union(*said[whole]) == {*KEYS, *HTTP} - {"accounts", "destinations"}
    assert set.union(*said[account]) == {*ACCOUNT_KEYS, *AccountOptions.model_fields}
    assert set.union(*said[destination]) == {*DESTINATION_KEYS, *DestinationOptions.model_fields}
    assert set(said) == {whole, account, destination, *CONNECTORS, *DESTINATIONS}


@pytest.mark.parametrize("page", READMES)
def test_the_shown_configuration_of_every_platform_is_accepted(page: str, tmp_path: Path) -> None:
    settings = shown(page, tmp_path)
    assert {one.connector for one in settings.accounts.values()} == set(CONNECTORS)
    assert {one.kind for one in settings.destinations.values()} == set(DESTINATIONS)


def shown(page: str, folder: Path) -> Settings:
    yaml = [one for one in blocks(page, "yaml") if not one.startswith("rules:")]
    secret = folder / "secret"
    secret.write_text("a-token-from-a-file\n")
    whole = "".join(yaml).replace("/run/secrets/zendesk", str(secret))
    (folder / "settings.yaml").write_text(whole, "utf-8")
    env = dict.fromkeys(re.findall(r"\$\{(\w+)\}", whole), "any-secret-value")
    env |= {name: AES_KEY for name in env if name.endswith("AES_KEY")}
    return load(folder / "settings.yaml", env)


# --- commands -----------------------------------------------------------------------------------


def verbs() -> dict[str, set[str]]:
    """Each verb of the program with its options."""
    found: dict[str, set[str]] = {}

    def look(command: Any, path: tuple[str, ...]) -> None:
        if hasattr(command, "commands"):
            for name, one in command.commands.items():
                look(one, (*path, name))
        else:
            given = (one for one in command.params if one.param_type_name == "option")
            found[" ".join(path)] = {name for one in given for name in one.opts} - {"--help"}

    look(typer.main.get_command(app), ())
    return found


def commands(page: str) -> dict[str, set[str]]:
    """Each verb of the page's table with the options that its row names."""
    heading = {"README.md": "command", "README.zh-CN.md": "命令"}[page]
    known = verbs()
    said = {}
    for row in table(page, heading):
        typed = row[0].strip("`").removeprefix("inboxd ")
        verb = max((one for one in known if f"{typed} ".startswith(f"{one} ")), key=len)
        said[verb] = set(re.findall(r"--[\w-]+", " ".join(row)))
    return said


@pytest.mark.parametrize("page", READMES)
def test_every_verb_and_each_of_its_options_is_documented_and_no_other(page: str) -> None:
    assert commands(page) == verbs()


@pytest.mark.parametrize("page", READMES)
def test_what_stands_before_every_verb_is_documented(page: str) -> None:
    given = {name for one in typer.main.get_command(app).params for name in one.opts}
    assert given - {"--help"} <= set(re.findall(r"--[\w-]+", prose(page)))


# --- metrics ------------------------------------------------------------------------------------


def test_every_metric_is_documented_and_no_other() -> None:
    exposed = {
        f"{one.name}_total" if one.type == "counter" else one.name
        for one in Metrics("0").registry.collect()
    }
    assert {row[0].strip("`") for row in table("docs/operations.md", "metric")} == exposed


# --- rules --------------------------------------------------------------------------------------


def keys(model: type[BaseModel]) -> set[str]:
    """Every key that a file of this model may hold, at any depth."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        found |= {field.alias or name, *_below(field.annotation)}
    return found


def _below(annotation: Any) -> set[str]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return keys(annotation)
    return {key for one in typing.get_args(annotation) for key in _below(one)}


FILES = (schema.RuleFile, schema.RouteFile, schema.PriorityFile, schema.LexiconFile)
TARGET_FILE = (*FILE_KEYS, *TARGET_KEYS, *ESCALATION_KEYS, *CALENDAR_KEYS, *INTERVAL_KEYS)


@pytest.mark.parametrize("page", RULES)
def test_every_key_of_a_rule_file_is_documented(page: str) -> None:
    every = set.union(*(keys(one) for one in FILES), set(TARGET_FILE))
    assert every - words(prose(page)) == set()


@pytest.mark.parametrize("page", RULES)
@pytest.mark.parametrize(
    ("heads", "model"),
    [
        (("condition", "条件"), schema.When),
        (("effect", "效果"), schema.Then),
        (("key of a rule", "规则的键"), schema.RuleNode),
    ],
)
def test_every_condition_and_effect_has_its_line_and_no_other(
    page: str, heads: tuple[str, str], model: type[BaseModel]
) -> None:
    lines = table(page, heads[RULES.index(page)])
    fields = model.model_fields.items()
    assert set().union(*(spans(row[0]) for row in lines)) == {
        field.alias or name for name, field in fields
    }


@pytest.mark.parametrize("page", RULES)
def test_every_finding_of_the_lint_is_documented_and_no_other(page: str) -> None:
    lines = table(page, ("code", "代码")[RULES.index(page)])
    assert set().union(*(spans(row[0]) for row in lines)) == set(codes())


def codes() -> Iterator[str]:
    """The codes in the sources: what stands where a finding is made, by its place among the arguments."""
    places = {"error": 2, "warn": 2, "finding": 3, "refused": 4, "Finding": 1, "Caution": 1}
    folders = (ROOT / "aggregator" / "triage", ROOT / "aggregator" / "sla")
    for path in sorted(one for folder in folders for one in folder.glob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        named: dict[str, list[ast.expr]] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                named.setdefault(node.targets[0].id, []).append(node.value)
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            place = places.get(getattr(node.func, "attr", getattr(node.func, "id", "")))
            if place is None or len(node.args) <= place:
                continue
            given = node.args[place]
            values = named.get(given.id, []) if isinstance(given, ast.Name) else [given]
            for value in values:
                for one in ast.walk(value):
                    if isinstance(one, ast.Constant) and isinstance(one.value, str):
                        yield one.value


@pytest.mark.parametrize("page", RULES)
def test_the_rules_and_routes_shown_there_are_right(page: str, tmp_path: Path) -> None:
    rule, tune, routes = blocks(page, "yaml")
    safety = next(one for one in blocks("README.md", "yaml") if one.startswith("rules:"))
    (tmp_path / "rules.yaml").write_text(rule, "utf-8")
    (tmp_path / "readme.yaml").write_text(f"schema: 1\n{safety}", "utf-8")
    (tmp_path / "tune.yaml").write_text(tune, "utf-8")
    (tmp_path / "routes.yaml").write_text(routes, "utf-8")
    (tmp_path / "targets.yaml").write_bytes((ROOT / "rules" / "targets.yaml").read_bytes())
    found = lint(tmp_path, destinations=("social", "desk", "leads"))
    assert [str(one) for one in found if one.severity == "error"] == []


# --- the pages themselves -----------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_every_link_and_picture_is_there(page: str) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    local = [one for one in targets if "://" not in one]
    missing = [one for one in local if not (ROOT / page).parent.joinpath(one).is_file()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES)
def test_every_file_of_the_project_that_a_page_names_is_there(page: str) -> None:
    folders = ("aggregator/", "connectors/", "storage/", "tests/", "docs/", "rules/")
    named = [one for one in spans(prose(page)) if one.startswith(folders) and "<" not in one]
    assert [one for one in named if not (ROOT / one).exists()] == []


@pytest.mark.parametrize(("english", "chinese"), [READMES, RULES])
def test_both_languages_name_the_same_things(english: str, chinese: str) -> None:
    assert spans(prose(english)) == spans(prose(chinese))


@pytest.mark.parametrize(("english", "chinese"), [READMES, RULES])
def test_both_languages_show_the_same_files(english: str, chinese: str) -> None:
    assert blocks(english, "yaml") == blocks(chinese, "yaml")


def test_both_languages_show_the_same_commands_to_type() -> None:
    def typed(page: str) -> list[str]:
        lines = "".join(blocks(page)).splitlines()
        return [re.split(r"\s{2,}|\s#", line.strip())[0] for line in lines]

    assert typed(READMES[0]) == typed(READMES[1])


def test_every_make_target_that_is_named_is_there() -> None:
    makefile = text("Makefile")
    for page in READMES:
        code = "\n".join((*spans(prose(page)), *blocks(page)))
        named = set(re.findall(r"^make ([a-z]+)\b", code, re.M))
        assert named == {"run", "test", "lint", "bench", "pictures"}
        assert [one for one in named if not re.search(rf"^{one}:", makefile, re.M)] == []


def test_the_changelog_knows_this_version() -> None:
    assert re.search(rf"^## {re.escape(__version__)}\b", text("CHANGELOG.md"), re.M)
