"""What operators watch: one registry a daemon, names after Prometheus' conventions."""

from __future__ import annotations

from collections.abc import Collection

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

from aggregator.model import Decision, Gap


class Metrics:
    """Labels are names from the settings and words of ours, never a customer's text."""

    def __init__(self, version: str) -> None:
        self.registry = registry = CollectorRegistry()
        self.ingested = Counter(
            "inboxd_messages_ingested",
            "Messages stored for the first time.",
            ["account", "kind", "direction"],
            registry=registry,
        )
        self.repeated = Counter(
            "inboxd_messages_repeated",
            "Messages that a platform handed over again.",
            ["account"],
            registry=registry,
        )
        self.unreadable = Counter(
            "inboxd_messages_unreadable",
            "Messages kept raw because they could not be read.",
            ["account"],
            registry=registry,
        )
        self.poll_seconds = Histogram(
            "inboxd_poll_duration_seconds",
            "Time from asking a stream to its commit.",
            ["account", "stream"],
            registry=registry,
        )
        self.poll_failures = Counter(
            "inboxd_poll_failures",
            "Polls that failed, by what the daemon did next.",
            ["account", "stream", "outcome"],
            registry=registry,
        )
        self.gaps = Counter(
            "inboxd_gaps",
            "Stretches of a stream that were not read.",
            ["account", "recoverable"],
            registry=registry,
        )
        self.token_expiry = Gauge(
            "inboxd_token_expiry_timestamp_seconds",
            "When an account's token ends, as far as the platform tells.",
            ["account"],
            registry=registry,
        )
        self.poll_success = Gauge(
            "inboxd_poll_last_success_timestamp_seconds",
            "When a stream was last read, by the daemon's clock.",
            ["account", "stream"],
            registry=registry,
        )
        self.deliveries = Counter(
            "inboxd_deliveries",
            "Attempts to deliver, by result: sent, retry, dead, skipped.",
            ["destination", "result"],
            registry=registry,
        )
        self.delivery_seconds = Histogram(
            "inboxd_delivery_delay_seconds",
            "Time from the commit that queued a notice to its arrival.",
            ["destination"],
            buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600),
            registry=registry,
        )
        self.pending = Gauge(
            "inboxd_outbox_pending", "Notices waiting.", ["destination"], registry=registry
        )
        self.breaches = Counter(
            "inboxd_clock_breaches",
            "Response clocks that ran out.",
            ["priority"],
            registry=registry,
        )
        self.callbacks = Counter(
            "inboxd_callbacks", "Requests to /callbacks.", ["account", "status"], registry=registry
        )
        self.rules_ok = Gauge(
            "inboxd_rules_last_reload_successful",
            "1 if all rule files were good when last read.",
            registry=registry,
        )
        self.rules_at = Gauge(
            "inboxd_rules_last_reload_success_timestamp_seconds",
            "When all rule files were last good.",
            registry=registry,
        )
        self._rules_info = Gauge(
            "inboxd_rules_info", "The rules in force.", ["version"], registry=registry
        )
        self._rules_file_ok = Gauge(
            "inboxd_rules_file_ok",
            "1 if the newest version of a rule file is good, 0 if an older one stays.",
            ["file"],
            registry=registry,
        )
        self.rules_held = Gauge(
            "inboxd_rules_held",
            "1 while changed rules wait for `inboxd rules approve`.",
            registry=registry,
        )
        Gauge("inboxd_build_info", "The running version.", ["version"], registry=registry).labels(
            version
        ).set(1)

    def rules_in_force(self, version: str) -> None:
        self._rules_info.clear()
        self._rules_info.labels(version).set(1)

    def rule_problems(self, files: Collection[str], wrong: Collection[str]) -> None:
        """`wrong`: of these files, or of others that never were good, those with problems."""
        self.rules_ok.set(0 if wrong else 1)
        self._rules_file_ok.clear()
        for file in {*files, *wrong} - {""}:
            self._rules_file_ok.labels(file).set(0 if file in wrong else 1)

    def page(self, account: str, decision: Decision, gaps: Collection[Gap]) -> None:
        """Count what a page of messages brought, once it is stored."""
        for gap in gaps:
            self.gaps.labels(account, str(gap.recoverable).lower()).inc()
        if decision.repeated:
            self.repeated.labels(account).inc(decision.repeated)
        for stored in decision.messages:
            message = stored.message
            self.ingested.labels(account, message.kind.value, message.direction.value).inc()
            if "unreadable" in message.marks:
                self.unreadable.labels(account).inc()

    def text(self) -> bytes:
        return generate_latest(self.registry)
