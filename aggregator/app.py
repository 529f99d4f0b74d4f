"""Puts the daemon together: the only file that knows every part."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from math import ceil
from typing import Any

import structlog

from aggregator import __version__
from aggregator.destinations.base import Options as DestinationOptions
from aggregator.destinations.registry import destination_class
from aggregator.dispatcher import IDLE_S, Sender
from aggregator.errors import Unavailable
from aggregator.escalation import Escalation
from aggregator.health import Health
from aggregator.leases import RENEW_S, Leases
from aggregator.listening import Listener
from aggregator.metrics import Metrics
from aggregator.modelling import model_file
from aggregator.now import utc_now
from aggregator.ops import OPS, Ops
from aggregator.options import AccountSettings, DestinationSettings
from aggregator.poller import Poller
from aggregator.ruling import Ruling
from aggregator.scheduler import Ticker
from aggregator.settings import Settings
from aggregator.triage.ruleset import Ruleset
from connectors.base import Listens
from connectors.registry import connector_class
from storage.engine import Database
from storage.history import prune
from storage.keep import AccountKeep
from storage.leases import LeaseLost
from storage.outbox import backlog
from storage.rollup import refill, zone_name
from storage.sealed import Seal

ROLES = ("ingest", "deliver", "web")
DRAIN_S = 8.0  # what still runs after this is left to its lease
CLOSE_S = 1.0  # for giving the leases back and for the database's last commit, each
LOOK_S = 5.0  # an account is looked at so often, whether anything is due or not
APART_S = 1.0  # the same, where another process takes the callbacks in, or the messages
RAW_KEPT = timedelta(days=14)
LOOK_AT_RULES_S = 2.0
LOOK_AT_OPS_S = 60.0
LOOK_AFTER_S = 60.0
WATCH_CLOCKS_S = 1.0

log = structlog.get_logger()


def connector_for(account: AccountSettings, db: Database, now: Callable[[], datetime]) -> Any:
    """The connector of an account; its SDK is imported here, when first used."""
    kind = connector_class(account.connector)
    return kind(account.options, keep=keep_for(account.name, db), now=now)


def platform_of(account: AccountSettings) -> str:
    """What an account's messages call their platform: its own, or the one that a `push` account names."""
    return getattr(account.options, "platform", None) or account.connector


def keep_for(account: str, db: Database) -> AccountKeep:
    """What the account's connector keeps; its tokens sealed with the key of the environment."""
    return AccountKeep(db, account, Seal.of(os.environ))


def destination_for(destination: DestinationSettings, now: Callable[[], datetime]) -> Any:
    return destination_class(destination.kind)(destination.options, now=now)


def open_database(
    settings: Settings, now: Callable[[], datetime], *, fresh: bool = False
) -> Database:
    """The store that the settings name. A sandbox's is never mixed with a real one."""
    mark = "sandbox" if settings.sandbox else "live"
    db = Database.open(settings.database, now=now, owner_mark=mark, fresh=fresh)
    with db.read() as conn:
        days = zone_name(conn)
    if days != settings.timezone:  # the first start with it, or the settings changed
        db.write(lambda conn: refill(conn, settings.timezone))
    return db


class Daemon:
    """Everything that `inboxd run` runs. `start`, then `stop`; both return."""

    def __init__(
        self,
        settings: Settings,
        *,
        now: Callable[[], datetime] = utc_now,
        roles: Collection[str] = ROLES,
        fresh: bool = False,
    ) -> None:
        self.settings = settings
        self.now = now
        self.roles = frozenset(roles)
        self.metrics = Metrics(__version__)
        self.db = open_database(settings, now, fresh=fresh)
        for warning in self.db.warnings:
            log.warning("database.warning", text=warning)
        owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self.leases = Leases(self.db, owner)
        self.senders: dict[str, Sender] = {}
        self.pollers: dict[str, Poller] = {}
        self.listeners: list[Listener] = []
        self.ops = Ops(db=self.db, present=OPS in settings.destinations, now=now, told=self.told)
        self.ruling = Ruling(
            settings.rules,
            tuple(settings.destinations),
            guard=settings.rules_guard,
            db=self.db,
            ops=self.ops,
            metrics=self.metrics,
            now=now,
            learned=model_file(settings),
        )
        accounts = [one for one in settings.accounts.values() if not one.paused]
        self.ticker = Ticker(jobs=2 * len(accounts) + 9, now=utc_now)
        self._receivers: dict[str, Any] = {}
        self.server: Any = None
        if "deliver" in self.roles:
            for destination in settings.destinations.values():
                self._add_sender(destination)
        if "ingest" in self.roles:
            for account in accounts:
                self._add_poller(account)
        self.health = Health(
            {name: poller.connector for name, poller in self.pollers.items()},
            db=self.db,
            leases=self.leases,
            ops=self.ops,
            now=now,
            metrics=self.metrics,
        )
        self.escalation = Escalation(
            db=self.db,
            leases=self.leases,
            now=now,
            told=self.told,
            metrics=self.metrics,
            rules=self.rules,
            destinations=tuple(settings.destinations),
            ops=self.ops,
        )

    def rules(self) -> Ruleset:
        return self.ruling.current()

    def told(self, destinations: Collection[str]) -> None:
        """Right after a commit: the senders of these have work."""
        for name in destinations:
            sender = self.senders.get(name)
            if sender is not None:
                sender.wake()

    def start(self) -> None:
        """Start everything; the last thing is the HTTP side, so that ready means ready."""
        for sender in self.senders.values():
            sender.start()
        self.ticker.every(RENEW_S, "leases", self.leases.renew)
        self.ticker.every(LOOK_AT_RULES_S, "rules", self.ruling.look)
        self.ticker.every(LOOK_AT_OPS_S, "ops", self.ops.refresh)
        if "deliver" in self.roles:
            self.ticker.every(WATCH_CLOCKS_S, "clocks", self.escalation.tick)
            self.ticker.every(3600, "housekeeping", self._housekeeping)
        look_s = LOOK_S if "web" in self.roles else APART_S
        for account, poller in self.pollers.items():
            every_s = self.settings.accounts[account].every_s
            self.ticker.every(every_s / ceil(every_s / LOOK_S), f"poll:{account}", poller.tick)
            if poller.pushed:
                self.ticker.every(look_s, f"pushes:{account}", poller.drain)
        for listener in self.listeners:
            listener.start()
        if self.pollers:
            self.ticker.every(LOOK_AFTER_S, "health", self.health.tick)
        self.ticker.start()
        if "web" in self.roles:
            self._listen()
        log.info(
            "daemon.started",
            version=__version__,
            accounts=len(self.pollers),
            destinations=len(self.senders),
            rules=self.ruling.current().version,
            roles=sorted(self.roles),
        )

    def ready(self) -> str | None:
        """Why the daemon is not ready, or None."""
        trouble = self.db.healthy()
        if trouble is not None:
            return f"database: {trouble}"
        return self.leases.trouble()

    def stop(self, within_s: float = DRAIN_S) -> None:
        """Take no more in, finish what is under way for at most `within_s`, give the leases back."""
        until = time.monotonic() + within_s
        if self.server is not None:
            self.server.stop(1.0)
        self.ticker.stop()
        for listener in self.listeners:
            listener.stop()
        for poller in self.pollers.values():
            poller.stopping.set()
        for sender in self.senders.values():
            sender.stop()
        left = {
            f"account:{one.account}"
            for one in self.pollers.values()
            if not one.idle(until - time.monotonic())
        }
        for sender in self.senders.values():
            if sender.is_alive():
                sender.join(max(until - time.monotonic(), 0.01))
            if sender.is_alive():
                left.add(f"destination:{sender.destination_name}")
        if left:
            log.warning("daemon.left_to_its_lease", names=sorted(left))
        self._give_back(left)
        self.db.close(CLOSE_S)
        log.info("daemon.stopped")

    def _give_back(self, left: Collection[str]) -> None:
        """The leases, but for those still worked under; a database that does not answer is not waited for."""

        def release() -> None:
            try:
                self.leases.release_all(but=left)
            except Unavailable as error:
                log.warning("daemon.leases_not_released", reason=error.reason)

        thread = threading.Thread(target=release, name="release", daemon=True)
        thread.start()
        thread.join(CLOSE_S)

    # -- parts -----------------------------------------------------------------------------------

    def _add_sender(self, destination: DestinationSettings) -> None:
        options = destination.options
        assert isinstance(options, DestinationOptions)  # every kind's options extend these
        self.senders[destination.name] = Sender(
            name=destination.name,
            destination=destination_for(destination, self.now),
            language=options.language or self.settings.language,
            timezone=self.settings.timezone,
            per_minute=options.per_minute,
            db=self.db,
            leases=self.leases,
            rules=self.rules,
            now=self.now,
            ops=self.ops,
            metrics=self.metrics,
            idle_s=IDLE_S if "ingest" in self.roles else APART_S,
        )

    def _add_poller(self, account: AccountSettings) -> None:
        self.pollers[account.name] = Poller(
            account=account.name,
            connector=connector_for(account, self.db, self.now),
            platform=platform_of(account),
            every_s=account.every_s,
            backfill=account.backfill,
            db=self.db,
            leases=self.leases,
            rules=self.rules,
            now=self.now,
            told=self.told,
            hurry=lambda: self.ticker.hurry(f"poll:{account.name}"),
            ops=self.ops,
            metrics=self.metrics,
        )
        connector = self.pollers[account.name].connector
        if isinstance(connector, Listens) and connector.listens:
            self.listeners.append(
                Listener(
                    account=account.name,
                    connector=connector_for(account, self.db, self.now),
                    leases=self.leases,
                    wake=lambda stream: self._wake(account.name, stream),
                    ops=self.ops,
                    now=self.now,
                )
            )

    def _wake(self, account: str, stream: str) -> None:
        self.pollers[account].wake(stream)
        self.ticker.hurry(f"poll:{account}")

    def _listen(self) -> None:
        from aggregator.web.callbacks import Callbacks
        from aggregator.web.server import Server, site

        connectors = {
            account.name: connector_for(account, self.db, self.now)
            for account in self.settings.accounts.values()
            if not account.paused
        }
        callbacks = Callbacks(
            connectors=connectors,
            db=self.db,
            now=self.now,
            wake=self._hurry,
            metrics=self.metrics,
        )
        app = site(callbacks=callbacks, ready=self.ready, metrics=self._scrape)
        http = self.settings.http
        self.server = Server(app, host=http.host, port=http.port)
        self.server.start()

    def _hurry(self, account: str) -> None:
        self.ticker.hurry(
            f"pushes:{account}"
        )  # if another process reads the account, this does nothing

    def _scrape(self) -> bytes:
        with self.db.read() as conn:
            waiting = backlog(conn)
        for name in self.settings.destinations:
            self.metrics.pending.labels(name).set(waiting.get(name, 0))
        return self.metrics.text()

    # -- once an hour ----------------------------------------------------------------------------

    def _housekeeping(self) -> None:
        fence = self.leases.hold("housekeeping")
        if fence is None:
            return
        try:
            gone = prune(self.db, fence=fence, before=self.now() - RAW_KEPT)
        except LeaseLost:
            self.leases.lost(fence)
            return
        if gone:
            log.info("raw.pruned", rows=gone)
        self._look_for_orphans()

    def _look_for_orphans(self) -> None:
        """Notices for a destination that is no longer in the settings wait for ever: say so."""
        with self.db.read() as conn:
            waiting = backlog(conn)
        for name in sorted(set(waiting) - set(self.settings.destinations)):
            self.ops.broken(
                f"orphans:{name}",
                f"{waiting[name]} notices wait for {name}, which the settings do not name; "
                "put the destination back",
            )
