from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aggregator.triage import schema
from aggregator.triage.editors import HINT, json_schema
from aggregator.triage.sayings import SAYINGS

SHIPPED = Path(__file__).parents[2] / "rules"
SCHEMA: dict[str, Any] = json.loads(json_schema())
MODELS: dict[str, Any] = {"File": SCHEMA, **SCHEMA["$defs"]}


def test_the_shipped_schema_is_the_one_that_the_code_makes() -> None:
    shipped = (SHIPPED / "schema.json").read_text("utf-8")
    assert shipped == json_schema(), "inboxd rules schema > rules/schema.json"


def test_every_shipped_rule_file_names_its_schema() -> None:
    for path in SHIPPED.rglob("*.yaml"):
        first = path.read_text("utf-8").partition("\n")[0]
        assert first.startswith(HINT), path.name
        assert (path.parent / first.removeprefix(HINT)).resolve() == SHIPPED / "schema.json"


def test_every_key_is_explained_and_nothing_else_is() -> None:
    keys = {f"{name}.{key}" for name, one in MODELS.items() for key in one.get("properties", {})}
    for name, one in MODELS.items():
        for key, value in one.get("properties", {}).items():
            assert value.get("description"), f"{name}.{key}"
    assert SAYINGS.keys() <= keys | {key.partition(".")[2] for key in keys}


def test_the_schema_has_every_key_that_the_reader_takes_and_no_other() -> None:
    for name in ("When", "Then", "RuleNode", "TuneNode", "Group", "RouteNode", "Example", "Facts"):
        model = getattr(schema, name)
        wanted = {field.alias or key for key, field in model.model_fields.items()}
        found = MODELS["When" if name == "Facts" else name]["properties"].keys()
        assert wanted <= found if name == "Facts" else wanted == found
        assert MODELS["When" if name == "Facts" else name]["additionalProperties"] is False
    files = (schema.RuleFile, schema.RouteFile, schema.PriorityFile, schema.LexiconFile)
    tops = {field.alias or key for one in files for key, field in one.model_fields.items()}
    assert SCHEMA["properties"].keys() == tops | {"calendars", "targets", "intervals"}


def test_what_yaml_takes_for_a_number_or_a_no_is_a_word_in_a_list() -> None:
    items = MODELS["When"]["properties"]["any"]["anyOf"][0]["items"]
    assert items == {"type": ["string", "number", "boolean"]}
    assert SCHEMA["properties"]["schema"]["enum"] == [1, "1"]
    assert MODELS["When"]["properties"]["kind"]["anyOf"][1] == {"$ref": "#/$defs/Kind"}
