"""Who may import whom: the walls of the house, read from the syntax trees."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = ("aggregator", "connectors", "storage")
DECIDING = {"aggregator.triage", "aggregator.sla", "aggregator.model", "aggregator.errors"}
EDGE = {
    *DECIDING,
    *(
        f"aggregator.{name}"
        for name in (
            "intake",
            "threads",
            "readings",
            "telling",
            "rungs",
            "storing",
            "health",
            "backfilling",
            "troubles",
            "notices",
            "leases",
            "metrics",
            "filters",
            "holds",
            "pace",
            "ops",
            "ruling",
        )
    ),
    "storage",
}

# The longest prefix that fits a module names what it may import of ours, its own prefix included.
MAY: dict[str, set[str]] = {
    "aggregator.model": set(),
    "aggregator.errors": set(),
    "aggregator.now": set(),
    "aggregator.http": {"aggregator.errors"},
    "aggregator.yamltext": {"aggregator.errors"},
    "aggregator.findings": {"aggregator.errors", "aggregator.yamltext"},
    "aggregator.secrets": {"aggregator.findings", "aggregator.yamltext"},
    "aggregator.options": {
        "aggregator.findings",
        "aggregator.model",
        "aggregator.secrets",
        "aggregator.sla.duration",
        "aggregator.yamltext",
    },
    "aggregator.logs": {"aggregator.errors"},
    "aggregator.metrics": {"aggregator.model"},
    "aggregator.scheduler": {"aggregator.errors"},
    "aggregator.reports": {"aggregator.model"},
    "aggregator.report_table": {"aggregator.reports"},
    "aggregator.charts": {"aggregator.errors"},
    "aggregator.reporting": EDGE | {"aggregator.reports"},
    "aggregator.settings": {
        "aggregator.errors",
        "aggregator.findings",
        "aggregator.options",
        "aggregator.secrets",
        "aggregator.sla.zone",
        "aggregator.model",
        "aggregator.yamltext",
        "aggregator.destinations.registry",
        "connectors.registry",
    },
    "aggregator.sla": {
        "aggregator.model",
        "aggregator.errors",
        "aggregator.findings",
        "aggregator.yamltext",
    },
    "aggregator.triage": DECIDING | {"aggregator.findings", "aggregator.yamltext"},
    "aggregator.threads": DECIDING,
    "aggregator.telling": DECIDING | {"aggregator.threads"},
    "aggregator.rungs": DECIDING,
    "aggregator.filters": DECIDING,
    "aggregator.pace": set(),
    "aggregator.holds": EDGE,
    "aggregator.rechecking": DECIDING | {"aggregator.yamltext"},
    "aggregator.readings": {"aggregator.model"},
    "aggregator.intake": DECIDING
    | {"aggregator.threads", "aggregator.telling", "aggregator.readings"},
    "aggregator.leases": {"storage"},
    "aggregator.ops": {"storage", "aggregator.model", "aggregator.errors"},
    "aggregator.ruling": EDGE,
    "aggregator.storing": EDGE,
    "aggregator.health": EDGE | {"connectors.base"},
    "aggregator.replying": EDGE | {"connectors.base"},
    "aggregator.acting": EDGE | {"aggregator.intake"},
    "aggregator.backfilling": EDGE | {"connectors.base"},
    "aggregator.troubles": {"aggregator.model", "aggregator.errors"},
    "aggregator.notices": EDGE,
    "aggregator.poller": EDGE | {"connectors.base"},
    "aggregator.listening": EDGE,
    "aggregator.dispatcher": EDGE | {"aggregator.destinations.base"},
    "aggregator.escalation": EDGE,
    "aggregator.web": EDGE | {"connectors.base"},
    "aggregator.destinations": {"aggregator.model", "aggregator.errors", "aggregator.http"},
    "aggregator.sandbox": {"aggregator.model"},
    "connectors": {"aggregator.model", "aggregator.errors", "aggregator.http"},
    "storage": {"aggregator.model", "aggregator.errors"},
}
# The doors: they compose or show, and nothing below imports them.
DOORS = {
    f"aggregator.{name}"
    for name in (
        *(
            "app",
            "cli",
            "cli_store",
            "cli_report",
            "cli_conversation",
            "cli_silence",
            "silencing",
            "__main__",
            "arguments",
            "running",
            "demo",
            "checking",
        ),
        *("linting", "backtesting", "cli_rules", "marking", "rejudging"),
        *("correcting", "learning", "modelling", "rule_stats"),
        *("explaining", "exporting", "status", "terminal", "authorizing", "answering", "staging"),
    )
}
ONE_PLACE = {
    "tweepy": "connectors.x",
    "facebook": "connectors.facebook",
    "wechatpy": "connectors.wechat",
    "sqlalchemy": "storage",
    "alembic": "storage",
    "apscheduler": "aggregator.scheduler",
    "slack_sdk": "aggregator.destinations",
    "requests": "aggregator.http",
    "uvicorn": "aggregator.web",
    "ahocorasick_rs": "aggregator.triage",
    "re2": "aggregator.triage",
    "numpy": "aggregator.triage",
    "holidays": "aggregator.sla",
    "sklearn": "aggregator.learning",
    "matplotlib": "aggregator.charts",
}


def modules() -> dict[str, ast.Module]:
    found = {}
    for package in OURS:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = ast.parse(path.read_text("utf-8"))
    return found


MODULES = modules()


def imported(tree: ast.Module) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, "imports are absolute here"
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return names


def within(name: str, prefixes: set[str]) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_module_imports_only_what_its_place_in_the_house_allows(name: str) -> None:
    if name in DOORS or name in ("aggregator", "connectors", "storage"):
        return
    place = max((p for p in MAY if within(name, {p})), key=len, default=None)
    assert place is not None, f"{name} has no place in tests/test_imports.py"
    allowed = MAY[place] | {place}
    ours = {one for one in imported(MODULES[name]) if one.partition(".")[0] in OURS}
    modules_named = {one for one in ours if one in MODULES or one.rpartition(".")[0] not in MODULES}
    wrong = {one for one in modules_named if one != "aggregator" and not within(one, allowed)}
    assert not wrong, f"{name} may import {sorted(allowed)}, not {sorted(wrong)}"


@pytest.mark.parametrize("library", sorted(ONE_PLACE))
def test_a_library_is_imported_in_one_place(library: str) -> None:
    users = {
        name
        for name, tree in MODULES.items()
        if any(one.partition(".")[0] == library for one in imported(tree))
    }
    assert users, f"nothing imports {library}"
    place = ONE_PLACE[library]
    extra = {
        "wechatpy": {"connectors.wecom"},
        "requests": {"connectors", "aggregator.destinations"},
        "numpy": {"aggregator.learning", "aggregator.reporting"},
    }
    allowed = {place} | extra.get(library, set())
    wrong = {name for name in users if not any(name.startswith(prefix) for prefix in allowed)}
    assert not wrong


def test_only_one_file_asks_the_system_for_the_time() -> None:
    askers = set()
    for name, tree in MODULES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in ("now", "utcnow", "today"):
                base = node.value
                if isinstance(base, ast.Name) and base.id in ("datetime", "date"):
                    askers.add(name)
    assert askers == {"aggregator.now"}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_module_ends_within_400_lines(name: str) -> None:
    path = ROOT.joinpath(*name.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    assert len(file.read_text("utf-8").splitlines()) <= 400
