"""Logs: one line a fact on stderr, as JSON or for a terminal, without secrets and impossible to forge."""

from __future__ import annotations

import logging
import re
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, TextIO, cast
from urllib.parse import quote

import structlog
from structlog.typing import EventDict, Processor

from aggregator.errors import SettingsError

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
FORMATS = ("json", "console")
# They print URLs, headers and bodies with tokens in them below WARNING; tweepy, even the signature base.
PINNED = (
    "tweepy",
    "urllib3",
    "requests_oauthlib",
    "oauthlib",
    "facebook",
    "slack_sdk",
    "wechatpy",
    "apscheduler",
    "uvicorn.access",
)
GONE = "***"  # redacting twice changes nothing
MAX_TEXT = 4_000
MAX_TRACE = 20_000
MAX_SEEN = 64 * 1024  # what is longer is cut before it is searched
MAX_DEPTH = 6
SHORTEST = 6  # a registered value shorter than this would black out ordinary words

_SECRET_WORDS = frozenset(
    (
        *("token", "secret", "password", "passwd", "passphrase", "authorization", "cookie"),
        *("key", "apikey", "credential", "credentials", "signature", "sig"),
    )
)
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SHAPES = re.compile(
    r"""
    \bxox[a-z](?:\.xox[a-z])?-[\w.%-]{6,} | \bxapp-[\w-]{6,} | \bwhsec_[\w+/=-]{6,} | \bEAA[A-Za-z0-9]{16,}
    | (?<=Bearer\ )[^\s"',;]+ | (?<=Basic\ )[A-Za-z0-9+/=_-]{6,} | (?<=OAuth\ )oauth_[^\n]+
    | (?<=://)[^\s/@:]*:[^\s/@]+(?=@)
    """,
    re.VERBOSE | re.IGNORECASE,
)
_PAIRS = re.compile(
    r"""
    (?P<name> \b (?: [\w-]{0,40}? (?:token|secret|password|passwd|signature|authorization|cookie)
        | (?:api|app|access|consumer|private|signing|encoding_?aes)[_-]?key
        | oauth_\w+ ) ["']? \s* (?: = | : ) \s* (?: b?["'] )? )
    (?P<value> (?!\$\{) (?: (?:Bearer|Basic|OAuth)\ )? [^\s"'&,;)}\]<>]+ )
    """,
    re.VERBOSE | re.IGNORECASE,
)
# C0 without tab and line feed, DEL, C1, lone surrogates, and what turns the direction of a text round.
_ODD = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
_BREAKS = re.compile("[\t\n\u2028\u2029]+")


class Redactor:
    """Takes secrets out of texts: by their shape, and by value once they are registered."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: frozenset[str] = frozenset()
        self._pattern: re.Pattern[str] | None = None

    def redact(self, values: Iterable[str]) -> None:
        """From now on none of `values` appears in a log line, percent-encoded or as it is."""
        with self._lock:
            fresh = {value for value in values if len(value) >= SHORTEST}
            fresh |= {quote(value, safe="") for value in fresh}
            self._values |= fresh
            longest_first = sorted(self._values, key=len, reverse=True)
            if longest_first:
                self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def text(self, text: str) -> str:
        """`text` without the secrets that can be told."""
        text = text[:MAX_SEEN]
        if self._pattern is not None:
            text = self._pattern.sub(GONE, text)
        text = _SHAPES.sub(GONE, text)
        return _PAIRS.sub(lambda match: f"{match['name']}{GONE}", text)

    def __call__(self, _logger: Any, _method: str, event: EventDict) -> EventDict:
        """A structlog processor, the last before the renderer: every value becomes safe to print."""
        return {
            self._one_line(str(name)): self._trace(value)
            if name == "exception" and isinstance(value, str)
            else self._value(value, str(name), 0)
            for name, value in event.items()
        }

    def _value(self, value: Any, name: str, depth: int) -> Any:
        if value is None or isinstance(value, (bool, int, float)):
            return value
        if _secret_name(name):
            return GONE
        if isinstance(value, str):
            return self._one_line(value)
        if isinstance(value, datetime):
            return value.isoformat()
        if isinstance(value, bytes):
            return f"{len(value)} bytes"
        if depth >= MAX_DEPTH:
            return "…"
        if isinstance(value, Mapping):
            return {
                self._one_line(str(key)): self._value(one, str(key), depth + 1)
                for key, one in value.items()
            }
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self._value(one, "", depth + 1) for one in value]
        return self._one_line(str(value) if isinstance(value, BaseException) else repr(value))

    def _one_line(self, text: str) -> str:
        # Twice: a control character inside a secret must not hide it from the pattern.
        return _cut(_BREAKS.sub(" ", self.text(_ODD.sub("", self.text(text)))), MAX_TEXT)

    def _trace(self, text: str) -> str:
        return _cut(self.text(_ODD.sub("", self.text(text))), MAX_TRACE)


def configure(env: Mapping[str, str], *, stream: TextIO | None = None) -> Redactor:
    """Set up structlog and the standard library's logging, which goes the same way; to stderr by default.

    `INBOXD_LOG_LEVEL` is debug, info (default), warning, error or critical; `INBOXD_LOG_FORMAT` json or
    console (default: console on a terminal). May be called again. Give the settings' secrets to the
    result's `redact` as soon as they are known. Raises SettingsError.
    """
    stream = stream if stream is not None else sys.stderr
    level_name = env.get("INBOXD_LOG_LEVEL", "").strip().lower() or "info"
    form = env.get("INBOXD_LOG_FORMAT", "").strip().lower()
    problems = []
    if level_name not in LEVELS:
        problems.append(f"INBOXD_LOG_LEVEL: cannot be {level_name!r}; use {', '.join(LEVELS)}")
    if form and form not in FORMATS:
        problems.append(f"INBOXD_LOG_FORMAT: cannot be {form!r}; use {' or '.join(FORMATS)}")
    if problems:
        raise SettingsError(*problems)
    level = LEVELS[level_name]
    redactor = Redactor()
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.StackInfoRenderer(),
                structlog.processors.format_exc_info,
                redactor,
                _renderer(form or ("console" if stream.isatty() else "json"), stream),
            ],
        )
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in PINNED:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    # It warns whenever a tick is still running when the next is due: with us that is how it should be.
    logging.getLogger("apscheduler.scheduler").setLevel(max(level, logging.ERROR))
    return redactor


def _renderer(form: str, stream: TextIO) -> Processor:
    if form == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False, sort_keys=False)
    console = structlog.dev.ConsoleRenderer(
        colors=stream.isatty(),
        timestamp_key="at",
        exception_formatter=structlog.dev.plain_traceback,
        pad_event_to=28,
    )

    def render(logger: Any, method: str, event: EventDict) -> str:
        """Lines of a traceback are set off, so that none can pass for a line of the log."""
        trace = event.pop("exception", None)
        line = str(console(logger, method, event))
        return (
            line
            if trace is None
            else f"{line}\n" + "\n".join(f"    | {one}" for one in str(trace).splitlines())
        )

    return cast(Callable[[Any, str, EventDict], str], render)


def _secret_name(name: str) -> bool:
    return not _SECRET_WORDS.isdisjoint(word.lower() for word in _WORDS.findall(name))


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}…"
