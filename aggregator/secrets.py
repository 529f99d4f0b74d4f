"""Values that do not stand in the settings file: `${ENV}`, `*_file` keys and `INBOXD_…` overrides."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aggregator.findings import Findings, dotted
from aggregator.yamltext import Loc

PREFIX = "INBOXD_"
NOT_SETTINGS = frozenset(
    {
        "INBOXD_SETTINGS",
        "INBOXD_LOG_LEVEL",
        "INBOXD_LOG_FORMAT",
        "INBOXD_KEY",  # storage/sealed.py
        "INBOXD_KEY_FILE",
    }
)
PLAIN = ("database", "database_file", "timezone", "language", "rules", "sandbox")
HTTP = ("listen", "public_url")
SECTIONS = ("accounts", "destinations")
EXAMPLE = "INBOXD_ACCOUNTS__x_acme__every"
MAX_FILE = 64 * 1024

_REFERENCE = re.compile(r"\$(?:\$|\{([^}]*)(\}?))")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(slots=True)
class Outside:
    """Fetches values from the environment and from files.

    `seen` are the values that may be secret, `kept` those from files, `failed` where there was none: such
    a value is None from then on, and told already.
    """

    env: Mapping[str, str]
    folder: Path  # what a relative path starts from
    found: Findings
    seen: set[str] = field(default_factory=set)
    kept: set[str] = field(default_factory=set)
    failed: set[Loc] = field(default_factory=set)

    def filled(self, value: Any, loc: Loc, literal: Collection[Loc] = ()) -> Any:
        """`value` with each `${NAME}` in its texts replaced; `$${` stands for a plain `${`."""
        if loc in literal:
            return value
        if isinstance(value, dict):
            return {key: self.filled(one, (*loc, key), literal) for key, one in value.items()}
        if isinstance(value, list):
            return [self.filled(one, (*loc, index), literal) for index, one in enumerate(value)]
        if not isinstance(value, str) or "$" not in value:
            return value
        text = _REFERENCE.sub(lambda match: self._variable(match, loc), value)
        return None if loc in self.failed else text

    def _variable(self, match: re.Match[str], loc: Loc) -> str:
        name, closed = match[1], match[2]
        if name is None:
            return "$"
        if not closed or not _VARIABLE.fullmatch(name):
            self._fail(loc, "write ${NAME}, or $${ for a plain ${")
            return ""
        value = self.env.get(name, "").rstrip("\r\n")
        if not value:
            state = "empty" if name in self.env else "not set"
            self._fail(
                loc,
                f"the environment variable {name} is {state}; "
                f"set it, or put the value in a file and name that in {loc[-1]}_file",
            )
            return ""
        self.seen.add(value)
        return value

    def opened(
        self, options: Mapping[str, Any], loc: Loc, known: Collection[str]
    ) -> dict[str, Any]:
        """`options` with each `<key>_file` of a `known` key replaced by the key and the file's contents."""
        result: dict[str, Any] = {}
        for key, value in options.items():
            base = key.removesuffix("_file")
            if base == key or base not in known or key in known:
                result.setdefault(key, value)
            elif base in options:
                self.found.say((*loc, key), f"{base} is given too; keep one of the two", key=True)
            elif (
                (value is None and (*loc, key) in self.failed)
                or (path := self.found.text(value, (*loc, key))) is None
                or (text := self._contents(Path(path), (*loc, key))) is None
            ):
                self.failed.add((*loc, base))
            else:
                result[base] = text
        return result

    def _contents(self, path: Path, loc: Loc) -> str | None:
        """The file's text without its trailing newline."""
        wrong = None
        try:
            with (self.folder / path).open("rb") as file:
                text = file.read(MAX_FILE + 1).decode("utf-8-sig").rstrip("\r\n")
        except OSError as error:
            wrong = f"{path} cannot be read ({error.strerror}); check path and permissions"
        except ValueError:  # not UTF-8, or a NUL in the path
            wrong = "it names no text file; name one that holds the value in UTF-8"
        else:
            if not text.strip():
                wrong = f"{path} is empty; put the value into it"
            elif len(text) > MAX_FILE or "\0" in text:
                wrong = f"{path} is too large or binary; put only the value into it"
        if wrong is not None:
            self._fail(loc, wrong)
            return None
        self.seen.add(text)
        self.kept.add(text)
        return text

    def _fail(self, loc: Loc, what: str) -> None:
        self.found.say(loc, f"{dotted(loc)}: {what}")
        self.failed.add(loc)


@dataclass(frozen=True, slots=True)
class Override:
    """One `INBOXD_…` variable and what it sets."""

    variable: str
    path: tuple[str, ...]
    value: str


def overrides(env: Mapping[str, str]) -> tuple[list[Override], list[str]]:
    """What the environment sets, and what is wrong with it; an empty variable sets nothing.

    Names that are nothing like a setting are left alone: Kubernetes adds INBOXD_PORT and the like where a
    service has that name.
    """
    rows: list[Override] = []
    problems: list[str] = []
    plain: dict[str, tuple[str, ...]] = {PREFIX + name.upper(): (name,) for name in PLAIN}
    plain |= {f"{PREFIX}HTTP__{name.upper()}": ("http", name) for name in HTTP}
    for variable in sorted(env):
        value = env[variable]
        if not variable.startswith(PREFIX) or variable in NOT_SETTINGS or not value:
            continue
        first, _, rest = variable.removeprefix(PREFIX).partition("__")
        if variable in plain:
            rows.append(Override(variable, plain[variable], value))
        elif first.lower() in SECTIONS and "__" in rest:
            name, _, key = rest.rpartition("__")
            rows.append(Override(variable, (first.lower(), name, key.lower()), value))
        else:
            near = difflib.get_close_matches(variable, plain, n=1, cutoff=0.9)
            if near or first.lower() in (*SECTIONS, "http"):
                remedy = f"did you mean {near[0]!r}?" if near else f"write it like {EXAMPLE}"
                problems.append(f"{variable}: sets nothing; {remedy}")
    return rows, problems


def overridden(
    tree: Mapping[str, Any], rows: Collection[Override]
) -> tuple[dict[str, Any], dict[Loc, str], list[Override]]:
    """`tree` with `rows` in it, where each came from, and the rows whose account or destination is not there."""
    result = {key: dict(value) if isinstance(value, dict) else value for key, value in tree.items()}
    places: dict[Loc, str] = {}
    left: list[Override] = []
    for row in rows:
        holder, path = result, row.path
        if path[0] in SECTIONS:
            names = result.get(path[0])
            name = _name(names, path[1])
            if name is None or not isinstance(names, dict):
                left.append(row)
                continue
            path = (path[0], name, path[2])
            holder = names[name] = dict(names[name])
        elif len(path) == 2:
            if not isinstance(result.get(path[0]), dict):
                result[path[0]] = {}
            holder = result[path[0]]
        key = path[-1]
        twin = key.removesuffix("_file") if key.endswith("_file") else f"{key}_file"
        holder.pop(twin, None)
        holder[key] = row.value
        places[path] = row.variable
    return result, places, left


def _name(names: Any, asked: str) -> str | None:
    """The account or destination meant: exactly so, else the only one that differs in case alone."""
    if not isinstance(names, dict):
        return None
    same = [name for name in names if name.lower() == asked.lower()]
    found = asked if asked in names else same[0] if len(same) == 1 else None
    return found if found is not None and isinstance(names[found], dict) else None
