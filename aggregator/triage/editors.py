"""rules/schema.json: what editors complete the rule files by, made of the models that read them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic.json_schema import models_json_schema

from aggregator.sla.hours import CALENDAR_KEYS, INTERVAL_KEYS
from aggregator.sla.policy import ESCALATION_KEYS, METRICS, TARGET_KEYS
from aggregator.triage.sayings import SAYINGS
from aggregator.triage.schema import LexiconFile, PriorityFile, RouteFile, RuleFile

DIALECT = "https://json-schema.org/draft/2020-12/schema"
HINT = "# yaml-language-server: $schema="  # the first line of a file that names it
_FILES = (RuleFile, RouteFile, PriorityFile, LexiconFile)
_TEXT = {"type": ["string", "number", "boolean"]}  # 12315 and no are texts to us, not to an editor
_TEXTS = {"anyOf": [{"type": "array", "items": _TEXT}, _TEXT]}


def json_schema() -> str:
    """The text of rules/schema.json.

    One schema serves every file, since no two kinds of file share a key; `rules lint` knows which key
    belongs where.
    """
    pairs, whole = models_json_schema([(one, "validation") for one in _FILES], by_alias=True)
    models: dict[str, Any] = {name: _plain(one) for name, one in whole["$defs"].items()}
    refs = [pair["$ref"].rpartition("/")[2] for pair in pairs.values()]
    files = [models.pop(name) for name in sorted(refs)]
    models.update(_targets())
    for name, one in models.items():
        _describe(name, one)
    tree = _mapping([])
    for one in files:
        tree["properties"].update(one["properties"])
    for key, name in (("calendars", "Calendar"), ("targets", "Target"), ("intervals", "Interval")):
        tree["properties"][key] = {"type": "object", "additionalProperties": _ref(name)}
    _describe("File", tree)
    tree["properties"] = dict(sorted(tree["properties"].items()))
    head = {"$schema": DIALECT, "title": "Rule files of inboxd"}
    return json.dumps({**head, **tree, "$defs": models}, ensure_ascii=False, indent=1) + "\n"


def _describe(name: str, model: dict[str, Any]) -> None:
    for key, value in model.get("properties", {}).items():
        said = SAYINGS.get(f"{name}.{key}") or SAYINGS.get(key)
        if said is not None:
            value["description"] = said


def _plain(node: Any) -> Any:  # of a JSON value, another one
    """Without what pydantic adds for programmers: titles, nulls and defaults of null, docstrings."""
    if isinstance(node, list):
        return [_plain(one) for one in node]
    if not isinstance(node, Mapping):
        return node
    tree = {
        key: {name: _plain(one) for name, one in value.items()}
        if key == "properties"
        else _plain(value)
        for key, value in node.items()
        if key not in ("title", "description") and not (key == "default" and value in (None, []))
    }
    if "const" in tree:
        return {"enum": [int(node["const"]), node["const"]]}
    if "enum" in tree and "0" in tree["enum"]:
        tree = {"enum": [*tree["enum"], 0]}
    if tree.get("type") == "string" and tree.keys() == {"type"}:
        return dict(_TEXT)
    if "anyOf" in tree:
        rest = [one for one in tree.pop("anyOf") if one != {"type": "null"}]
        return {**rest[0], **tree} if len(rest) == 1 else {"anyOf": rest, **tree}
    return tree


def _targets() -> dict[str, Any]:
    """targets.yaml, which is read by hand (aggregator/sla)."""
    durations = {"type": "object", "additionalProperties": _TEXT}
    target = _mapping(TARGET_KEYS)
    target["properties"].update(dict.fromkeys(METRICS, durations))
    target["properties"]["warn_at"] = dict(_TEXTS)
    target["properties"]["escalate"] = {"type": "array", "items": _ref("Escalation")}
    calendar = _mapping(CALENDAR_KEYS)
    calendar["properties"]["hours"] = {"type": "object", "additionalProperties": _TEXTS}
    for key in ("extra_workdays", "extra_holidays"):
        calendar["properties"][key] = dict(_TEXTS)
    step = _mapping(ESCALATION_KEYS)
    step["properties"].update(to=dict(_TEXTS), mention=dict(_TEXTS))
    found = {
        "Target": target,
        "Calendar": calendar,
        "Escalation": step,
        "Interval": _mapping(INTERVAL_KEYS),
    }
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]  # nothing shared


def _mapping(keys: Iterable[str]) -> dict[str, Any]:
    properties = {key: dict(_TEXT) for key in keys}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/$defs/{name}"}
