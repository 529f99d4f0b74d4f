"""Stored messages read back to judge them again: in short reads beside a running daemon, writing nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Engine, and_, func, select

from aggregator.errors import SettingsError
from aggregator.model import Author, Correction, Direction, Kind, Priority
from storage import connect, rules
from storage.corrections import corrections_of
from storage.message_rows import unwords
from storage.migrate import HEAD, stored_revision
from storage.schema import message
from storage.sql import among, from_ms, opt_time, to_ms

PAGE = 2_000  # messages of one read

# In the order of Past and of Author, then of Said: rows are taken apart by place, which is twice as fast.
_COLUMNS = (
    *(message.c.id, message.c.account, message.c.platform, message.c.kind, message.c.text),
    *(message.c.quoted, message.c.lang, message.c.sent_at, message.c.received_at),
    *(message.c.conversation_id, message.c.history, message.c.rules_version),
    *(message.c.author_id, message.c.author_name, message.c.author_handle),
    *(message.c.author_followers, message.c.author_verified),
    *(message.c.priority, message.c.sentiment, message.c.tags, message.c.reasons),
)
_NO_AUTHOR = Author()
_KINDS = {one.value: one for one in Kind}
_PRIORITIES = {one.value: one for one in Priority}


class Said(NamedTuple):
    """A verdict as it is stored, without its matches. `told`: the reasons, in JSON."""

    priority: Priority
    sentiment: str
    tags: tuple[str, ...]
    told: str

    @property
    def reasons(self) -> tuple[str, ...]:
        return unwords(self.told)


class Past(NamedTuple):
    """One message of a customer, and what was said of it by the rules of then. Times are epoch milliseconds."""

    id: int
    account: str
    platform: str
    kind: Kind
    text: str | None
    quoted: str | None
    lang: str | None
    sent_ms: int | None
    received_ms: int
    conversation_id: int | None
    history: bool
    rules_version: str | None
    author: Author | None
    said: Said

    @property
    def sent_at(self) -> datetime | None:
        return opt_time(self.sent_ms)

    @property
    def received_at(self) -> datetime:
        return from_ms(self.received_ms)


class Replay:
    """A store that is only read, in reads that are short, so that the daemon's checkpoints are not held up."""

    def __init__(self, reader: Engine) -> None:
        self._reader = reader

    def in_force(self) -> tuple[str | None, dict[str, str] | None]:
        """The version of the rules that went into force last, and its files; None before the first."""
        with self._reader.connect() as connection:
            version = rules.in_force(connection)
            return version, rules.version_sources(connection, version) if version else None

    def count(self, since: datetime) -> int:
        """How many messages `judged` would give."""
        statement = select(func.count()).where(_wanted(), _received(since))
        with self._reader.connect() as connection:
            return connection.execute(statement).scalar() or 0

    def judged(self, since: datetime) -> Iterator[list[Past]]:
        """Pages of what customers wrote since then, oldest first, without what was withdrawn."""
        with self._reader.connect() as connection:
            first = select(func.min(message.c.id)).where(_received(since))
            after = (connection.execute(first).scalar() or 0) - 1
        while True:
            statement = (
                select(*_COLUMNS)
                # + 0: by the primary key; by the index of times each page would be sorted anew.
                .where(_wanted(), message.c.id > after, message.c.received_at + 0 >= to_ms(since))
                .order_by(message.c.id)
                .limit(PAGE)
            )
            with self._reader.connect() as connection:
                rows: Sequence[Any] = connection.execute(statement).all()
            if not rows:
                return
            after = rows[-1].id
            yield [_past(*row) for row in rows]

    def named(self, ids: Collection[int]) -> list[Past]:
        """These messages, as far as they were judged and not withdrawn, oldest first."""
        statement = select(*_COLUMNS).where(_wanted(), among(message.c.id, ids))
        with self._reader.connect() as connection:
            rows: Sequence[Any] = connection.execute(statement.order_by(message.c.id)).all()
        return [_past(*row) for row in rows]

    def latest(self, count: int) -> list[Past]:
        """The newest so many, the newest first."""
        statement = select(*_COLUMNS).where(_wanted()).order_by(message.c.id.desc()).limit(count)
        with self._reader.connect() as connection:
            rows: Sequence[Any] = connection.execute(statement).all()
        return [_past(*row) for row in rows]

    def corrections(self) -> dict[int, Sequence[Correction]]:
        """What people said, by message, in their order."""
        with self._reader.connect() as connection:
            return corrections_of(connection)


@contextmanager
def looking(url: str) -> Iterator[Replay]:
    """The store at `url`, only to be read: nothing is made, migrated or written. Raises SettingsError."""
    parsed = connect.parse(url)
    if parsed.get_backend_name() == "sqlite" and not Path(str(parsed.database)).is_file():
        raise SettingsError(f"{parsed.database}: there is no store yet; `inboxd run` makes one")
    writer, reader = connect.engines(parsed)
    try:
        with connect.spoken(parsed):
            with reader.connect() as connection:
                revision = stored_revision(connection)
            if revision != HEAD:
                raise SettingsError(
                    f"database: its schema is {revision or 'none'}, and this version reads {HEAD}; "
                    "bring both to one version (`inboxd db upgrade`)"
                )
            yield Replay(reader)
    finally:
        writer.dispose()
        reader.dispose()


def _wanted() -> ColumnElement[bool]:
    return and_(
        message.c.direction == Direction.INBOUND,
        message.c.priority.is_not(None),
        message.c.deleted_at.is_(None),
    )


def _received(since: datetime) -> ColumnElement[bool]:
    return message.c.received_at >= to_ms(since)


def _past(
    id: int,
    account: str,
    platform: str,
    kind: str,
    text: str | None,
    quoted: str | None,
    lang: str | None,
    sent_ms: int | None,
    received_ms: int,
    conversation_id: int | None,
    history: int,
    rules_version: str | None,
    author_id: str | None,
    author_name: str | None,
    author_handle: str | None,
    author_followers: int | None,
    author_verified: int | None,
    priority: str,
    sentiment: str,
    tags: str,
    reasons: str,
) -> Past:
    verified = None if author_verified is None else bool(author_verified)
    author = Author(author_id, author_name, author_handle, author_followers, verified)
    return Past(
        id,
        account,
        platform,
        _KINDS[kind],
        text,
        quoted,
        lang,
        sent_ms,
        received_ms,
        conversation_id,
        bool(history),
        rules_version,
        None if author == _NO_AUTHOR else author,
        Said(_PRIORITIES[priority], sentiment, _labels(tags), reasons),
    )


@lru_cache(maxsize=4096)
def _labels(tags: str) -> tuple[str, ...]:
    return unwords(tags)
