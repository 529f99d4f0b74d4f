"""Accounts and destinations as settings name them, their options checked by their own models."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr, ValidationError

from aggregator.findings import Findings, dotted, nearest
from aggregator.model import Backfill
from aggregator.secrets import Outside
from aggregator.sla.duration import parse_duration
from aggregator.yamltext import Loc

ACCOUNT_KEYS = ("connector", "every", "backfill", "paused")
DESTINATION_KEYS = ("kind",)
BACKFILLS = tuple(one.value for one in Backfill)
LANGUAGES = ("zh", "en")
EVERY = "60s"

_NAME = re.compile(r"[A-Za-z0-9_]{1,64}")
_YES, _NO = ("true", "yes", "on"), ("false", "no", "off")


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """One account. `options` is an instance of its connector's own model; secrets in it are SecretStr."""

    name: str
    connector: str
    every_s: float
    backfill: Backfill
    paused: bool
    options: BaseModel

    @property
    def options_model(self) -> type[BaseModel]:
        return type(self.options)


@dataclass(frozen=True, slots=True)
class DestinationSettings:
    """One destination. `options` is an instance of its kind's own model."""

    name: str
    kind: str
    options: BaseModel


@dataclass(frozen=True, slots=True)
class Registry:
    """Which connectors or kinds there are; `options` imports one and gives its model."""

    names: Collection[str]
    options: Callable[[str], type[BaseModel]]


def read_accounts(
    outside: Outside, tree: Mapping[str, Any], registry: Registry
) -> dict[str, AccountSettings]:
    """The accounts that are right; what is wrong with the others is in `outside.found`."""
    found = outside.found
    accounts = {}
    for name, node in _named(found, tree, "accounts"):
        loc: Loc = ("accounts", name)
        connector, model = _model(found, node, (*loc, "connector"), registry)
        every = text_or(outside, node.get("every"), (*loc, "every"), EVERY)
        try:
            every_s = parse_duration(every) / 1000
        except ValueError as error:
            found.say((*loc, "every"), f"{dotted((*loc, 'every'))}: {error}")
            every_s = 60.0
        backfill = one_of(
            outside, node.get("backfill"), (*loc, "backfill"), BACKFILLS, Backfill.SILENT
        )
        paused = yes_or_no(outside, node.get("paused"), (*loc, "paused"))
        if model is None:
            continue
        options = _options(outside, node, loc, model, ACCOUNT_KEYS)
        base_url = getattr(options, "base_url", None)
        if base_url is not None and not is_url(base_url, bare=True):
            found.say((*loc, "base_url"), "base_url is scheme and host only, as https://api.x.com")
        if options is not None and connector is not None:
            accounts[name] = AccountSettings(
                name, connector, every_s, Backfill(backfill), paused, options
            )
    return accounts


def read_destinations(
    outside: Outside, tree: Mapping[str, Any], registry: Registry
) -> dict[str, DestinationSettings]:
    """The destinations that are right; what is wrong with the others is in `outside.found`."""
    destinations = {}
    for name, node in _named(outside.found, tree, "destinations"):
        loc: Loc = ("destinations", name)
        kind, model = _model(outside.found, node, (*loc, "kind"), registry)
        if model is None or kind is None:
            continue
        if "language" in node:
            one_of(outside, node["language"], (*loc, "language"), LANGUAGES, "en")
        options = _options(outside, node, loc, model, DESTINATION_KEYS)
        if options is not None:
            destinations[name] = DestinationSettings(name, kind, options)
    return destinations


def secret_values(options: Iterable[BaseModel]) -> set[str]:
    """The secrets in option models, in the clear."""
    return {
        value.get_secret_value()
        for one in options
        for value in dict(one).values()
        if isinstance(value, SecretStr)
    }


def _named(
    found: Findings, tree: Mapping[str, Any], section: str
) -> Iterable[tuple[str, dict[str, Any]]]:
    for name, node in found.mapping(tree.get(section), (section,)).items():
        if not _NAME.fullmatch(name):
            found.say(
                (section, name), f"{name!r} is no name; use letters, digits and _ only", key=True
            )
        yield name, found.mapping(node, (section, name))


def _model(
    found: Findings, node: Mapping[str, Any], loc: Loc, registry: Registry
) -> tuple[str | None, type[BaseModel] | None]:
    """The name after `connector` or `kind`, and the model of its options."""
    word = str(loc[-1])
    if word not in node:
        found.say(loc[:-1], f"{dotted(loc)} is missing; add one of {', '.join(registry.names)}")
        return None, None
    name = found.text(node[word], loc)
    if name is None:
        return None, None
    if name not in registry.names:
        remedy = nearest(name, registry.names, otherwise=f"use one of {', '.join(registry.names)}")
        found.say(loc, f"there is no {word} {name!r}; {remedy}")
        return None, None
    try:
        return name, registry.options(name)
    except ImportError as error:
        found.say(loc, f"{word} {name} cannot be loaded ({error}); install what is missing")
        return None, None


def _options(
    outside: Outside,
    node: Mapping[str, Any],
    loc: Loc,
    model: type[BaseModel],
    own: Collection[str],
) -> BaseModel | None:
    """What `model` makes of the keys that are not our own; None if anything is wrong."""
    found = outside.found
    before = len(found.problems)
    known = model.model_fields
    given = {key: value for key, value in node.items() if key not in own}
    options = {}
    for key, value in outside.opened(given, loc, known).items():
        path = (*loc, key)
        if key not in known:
            words = (*known, *(f"{one}_file" for one in known), *own)
            found.say(path, f"unknown key {dotted(path)}; {nearest(key, words)}", key=True)
        elif path in outside.failed:
            continue
        elif value is None or value == "":
            found.say(path, f"{dotted(path)} is empty; give a value, or remove the key")
            outside.failed.add(path)
        else:
            options[key] = value
    try:
        result = model.model_validate(options)
    except ValidationError as error:
        for one in error.errors(include_url=False, include_input=False, include_context=False):
            path = (*loc, *one["loc"])
            if path[: len(loc) + 1] in outside.failed:
                continue
            if one["type"] == "missing":
                found.say(path, f"{dotted(path)} is missing; {_how(model, one['loc'])}")
            else:
                found.say(_origin(path, loc, node), f"{dotted(path)}: {_plain(one['msg'])}")
        return None
    return result if len(found.problems) == before else None


def _origin(path: Loc, loc: Loc, node: Mapping[str, Any]) -> Loc:
    """Where the value stands: under the key, or under `<key>_file`."""
    key = path[len(loc) : len(loc) + 1]
    if key and key[0] not in node and f"{key[0]}_file" in node:
        return (*loc, f"{key[0]}_file")
    return path


def _how(model: type[BaseModel], loc: tuple[int | str, ...]) -> str:
    field = model.model_fields.get(str(loc[0])) if loc else None
    if field is not None and "SecretStr" in str(field.annotation):
        name = str(loc[0])
        return f"add it as {name}: ${{VARIABLE}}, or name a file that holds it in {name}_file"
    return "add it"


def _plain(message: str) -> str:
    return message.removeprefix("Value error, ").removeprefix("Assertion failed, ")


def text_or(outside: Outside, value: Any, loc: Loc, default: str) -> str:
    """The text, or `default` where there is none or the wrong thing (which is told)."""
    if value is None:
        return default
    return outside.found.text(value, loc) or default


def one_of(outside: Outside, value: Any, loc: Loc, known: Collection[str], default: str) -> str:
    text = text_or(outside, value, loc, default)
    if text in known:
        return text
    remedy = nearest(text, known, otherwise=f"write one of {', '.join(known)}")
    outside.found.say(loc, f"{dotted(loc)} cannot be {text!r}; {remedy}")
    return default


def yes_or_no(outside: Outside, value: Any, loc: Loc) -> bool:
    """False where nothing is said. Any of true, yes, on, false, no, off, in any case."""
    text = text_or(outside, value, loc, "no").lower()
    if text not in _YES + _NO:
        outside.found.say(loc, f"{dotted(loc)} cannot be {text!r}; write true or false")
    return text in _YES


def is_url(text: str, *, bare: bool = False) -> bool:
    """Whether it is an http(s) URL; `bare`: of nothing but scheme and host."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return False
    return not bare or (parts.path in ("", "/") and not parts.query and not parts.fragment)
