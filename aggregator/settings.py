"""The operators' settings.yaml: read once at start, checked whole, every problem told at once."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from aggregator.destinations.registry import DESTINATIONS, destination_class
from aggregator.errors import SettingsError
from aggregator.findings import Findings, dotted, nearest
from aggregator.options import (
    LANGUAGES,
    AccountSettings,
    DestinationSettings,
    Registry,
    is_url,
    one_of,
    read_accounts,
    read_destinations,
    secret_values,
    text_or,
    yes_or_no,
)
from aggregator.secrets import HTTP, SECTIONS, Outside, Override, overridden, overrides
from aggregator.sla.zone import zone_named
from aggregator.yamltext import Document, Loc, read
from connectors.registry import CONNECTORS, connector_class

TOP = ("sandbox", "database", "timezone", "language", "rules", "rules_guard", "learned")
KEYS = (*TOP, "database_file", "http", *SECTIONS)
DATABASE = "sqlite:///data/inboxd.db"
LEARNED = ("off", "shadow", "live")
LISTEN = "127.0.0.1:8080"

CONNECTOR_REGISTRY = Registry(tuple(CONNECTORS), lambda name: connector_class(name).options)
DESTINATION_REGISTRY = Registry(tuple(DESTINATIONS), lambda kind: destination_class(kind).options)

_LISTEN = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):([0-9]{1,5})")
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,3})?)\s?%", re.ASCII)
_SQLITE = "sqlite:///"


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Where the daemon listens (port 0: any), and the URL by which others reach it, if they do."""

    host: str
    port: int
    public_url: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything settings.yaml says. Paths are absolute; `database` is a URL and may hold a password."""

    path: Path
    sandbox: bool
    database: str = field(repr=False)
    timezone: str
    language: str
    rules: Path
    rules_guard: float | None  # the share of recent messages that changed rules may move unasked
    learned: str  # what becomes of the model of `rules train`: off, shadow or live
    http: HttpSettings
    accounts: Mapping[str, AccountSettings]
    destinations: Mapping[str, DestinationSettings]
    from_files: frozenset[str] = field(default=frozenset(), repr=False)
    pending: tuple[Override, ...] = field(default=(), repr=False)  # for names the sandbox brings

    def secrets(self) -> frozenset[str]:
        """Every secret value in it, in the clear: for the log's redaction and nothing else."""
        options = [one.options for one in self.accounts.values()]
        options += [one.options for one in self.destinations.values()]
        password = urlsplit(self.database).password or ""
        return frozenset(
            {*self.from_files, *secret_values(options), password, unquote(password)} - {""}
        )


def find(argument: Path | str | None, env: Mapping[str, str]) -> Path:
    """The settings file: `--settings PATH`, else $INBOXD_SETTINGS, else ./settings.yaml."""
    return Path(argument or env.get("INBOXD_SETTINGS") or "settings.yaml")


def load(
    path: Path,
    env: Mapping[str, str],
    *,
    connectors: Registry = CONNECTOR_REGISTRY,
    destinations: Registry = DESTINATION_REGISTRY,
) -> Settings:
    """Read and check the file. Raises SettingsError with all problems; none of them shows a secret.

    Only the connectors and destinations that are named are imported.
    """
    document = read(path)
    found = Findings(document)
    written = found.mapping(document.tree, ())
    rows, problems = overrides(env)
    changed, found.places, pending = overridden(written, rows)
    found.problems += problems
    if not written and not found.problems:
        found.say((), "the file is empty; `inboxd init DIR` writes one to begin with")
    folder = path.absolute().parent
    outside = Outside(env, folder, found)
    tree = outside.filled(found.mapping(changed, (), KEYS), (), literal=found.places)
    sandbox = yes_or_no(outside, tree.get("sandbox"), ("sandbox",))
    settings = Settings(
        path=path.absolute(),
        sandbox=sandbox,
        database=_database(outside, tree),
        timezone=_timezone(outside, tree.get("timezone")),
        language=one_of(outside, tree.get("language"), ("language",), LANGUAGES, "en"),
        rules=folder / text_or(outside, tree.get("rules"), ("rules",), "rules"),
        rules_guard=_guard(outside, tree.get("rules_guard")),
        learned=one_of(outside, tree.get("learned"), ("learned",), LEARNED, "off"),
        http=_http(outside, tree.get("http")),
        accounts=read_accounts(outside, tree, connectors),
        destinations=read_destinations(outside, tree, destinations),
        from_files=frozenset(outside.kept),
        pending=tuple(pending),
    )
    _shared_names(found, tree)
    if not sandbox:
        _say_pending(found, pending, tree)
        if written and "accounts" not in written:
            found.say((), "accounts is missing; name one, or write sandbox: true to try inboxd out")
    _finish(found, outside.seen | {one.value for one in rows if one.path[0] in SECTIONS})
    return settings


def with_sandbox(
    settings: Settings,
    accounts: Mapping[str, Mapping[str, str]],
    destinations: Mapping[str, Mapping[str, str]],
    *,
    connectors: Registry = CONNECTOR_REGISTRY,
    kinds: Registry = DESTINATION_REGISTRY,
) -> Settings:
    """`settings` with what the sandbox supplies, checked as if it stood in the file.

    A name that the file has already stays as it is there, so that one's own room can be told of the
    sandbox's messages. Raises SettingsError.
    """
    supplied = {
        "accounts": {
            name: dict(one) for name, one in accounts.items() if name not in settings.accounts
        },
        "destinations": {
            name: dict(one)
            for name, one in destinations.items()
            if name not in settings.destinations
        },
    }
    tree, places, pending = overridden(supplied, settings.pending)
    found = Findings(Document("sandbox", "", tree), places)
    outside = Outside({}, settings.path.parent, found)
    merged = replace(
        settings,
        accounts={**settings.accounts, **read_accounts(outside, tree, connectors)},
        destinations={**settings.destinations, **read_destinations(outside, tree, kinds)},
        pending=(),
    )
    everything = {"accounts": merged.accounts, "destinations": merged.destinations}
    _shared_names(found, everything)
    _say_pending(found, pending, everything)
    _finish(found, merged.secrets())
    return merged


def _shared_names(found: Findings, tree: Mapping[str, Any]) -> None:
    accounts, destinations = (tree.get(section) or {} for section in SECTIONS)
    for name in destinations if isinstance(accounts, Mapping) else ():
        if name in accounts:
            found.say(
                ("destinations", name), f"an account is called {name!r} too; rename one", key=True
            )


def _say_pending(found: Findings, pending: Iterable[Override], tree: Mapping[str, Any]) -> None:
    for one in pending:
        section, name = one.path[:2]
        names = tree.get(section)
        known = list(names) if isinstance(names, Mapping) else []
        remedy = nearest(name, known, otherwise=f"name it under {section} in the file first")
        found.problems.append(f"{one.variable}: there is no {section[:-1]} {name!r}; {remedy}")


def _finish(found: Findings, secrets: Collection[str]) -> None:
    """Raise what was found, without any of the values that may be secret."""
    lines = []
    for line in found.problems:
        for secret in sorted(secrets, key=len, reverse=True):
            line = line.replace(secret, "***") if len(secret) >= 6 else line  # noqa: PLW2901
        lines.append(line)
    if lines:
        raise SettingsError(*lines)


def _database(outside: Outside, tree: Mapping[str, Any]) -> str:
    """The URL; a SQLite file's path is made absolute."""
    found, loc = outside.found, ("database",)
    given = {key: tree[key] for key in ("database", "database_file") if tree.get(key) is not None}
    url = text_or(outside, outside.opened(given, (), loc).get("database"), loc, DATABASE)
    scheme = url.partition(":")[0].partition("+")[0]
    if url.startswith(_SQLITE):
        name = url.removeprefix(_SQLITE)
        if not name or name == ":memory:":
            found.say(loc, f"database must outlive the daemon; name a file, as {DATABASE}")
        return f"{_SQLITE}{outside.folder / name}"
    if scheme in ("postgresql", "postgres") and "://" in url:
        try:
            _ = urlsplit(url).port
        except ValueError:
            found.say(loc, "database is no URL; percent-encode odd characters of the password")
            return _SQLITE
        return url.replace("postgres://", "postgresql://", 1)
    found.say(loc, f"database is none we know; write {DATABASE} or postgresql://user@host/inboxd")
    return _SQLITE


def _timezone(outside: Outside, value: Any) -> str:
    name = text_or(outside, value, ("timezone",), "UTC")
    try:
        return zone_named(name).key
    except ValueError as error:
        outside.found.say(("timezone",), f"timezone: {error}")
        return "UTC"


def _guard(outside: Outside, value: Any) -> float | None:
    written = text_or(outside, value, ("rules_guard",), "off")
    if written == "off":
        return None
    found = _PERCENT.fullmatch(written)
    if found is None or float(found[1]) > 100:
        outside.found.say(("rules_guard",), "rules_guard is off or a share; write it like 5%")
        return None
    return float(found[1]) / 100


def _http(outside: Outside, value: Any) -> HttpSettings:
    found = outside.found
    tree = found.mapping(value, ("http",), HTTP)
    loc: Loc = ("http", "listen")
    match = _LISTEN.fullmatch(text_or(outside, tree.get("listen"), loc, LISTEN))
    if match is None or int(match[2]) > 65535:
        found.say(loc, f"{dotted(loc)} is host:port; write it like {LISTEN}, or 0.0.0.0:8080")
        return HttpSettings("127.0.0.1", 0)
    public_url = None
    if tree.get("public_url") is not None:
        public_url = text_or(outside, tree["public_url"], ("http", "public_url"), "")
        if public_url and not is_url(public_url):
            found.say(("http", "public_url"), "http.public_url is no URL; write https://host")
    return HttpSettings(match[1].strip("[]"), int(match[2]), (public_url or "").rstrip("/") or None)
