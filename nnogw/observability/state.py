"""What the gateway is made of at the moment: one view for Prometheus and for the status page."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any, Protocol

from attrs import field, frozen
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric

import twisted
from nnogw import __version__
from nnogw.observability.ledger import Ledger


class Calls(Protocol):
    """The calls to IAM, as `nnogw.identity.call_queue.CallQueue` counts them."""

    under_way: int
    waiting: int
    turned_away: int


class Verdicts(Protocol):
    """The verdict cache's numbers, as `nnogw.identity.verdicts.VerdictCache` says them."""

    hits: int
    misses: int
    stale: int
    refusals: int
    calls: int
    failures: int

    @property
    def queue(self) -> Calls:
        """The calls to IAM."""

    @property
    def evictions(self) -> int:
        """Verdicts that had to make room."""

    @property
    def entries(self) -> int:
        """Valid verdicts."""

    @property
    def negative_entries(self) -> int:
        """Refusals."""


class Limits(Protocol):
    """The rate limit table's numbers, as `nnogw.limiting.memory.MemoryStore` says them."""

    evictions: int

    @property
    def keys(self) -> int:
        """Windows."""


class Service(Protocol):
    """A service, as `nnogw.upstream.service.Upstream` says it."""

    address: str
    pool: Any  # its connections: how many are `open`, and how many of these `idle`


class Clients(Protocol):
    """The clients' side, as `nnogw.wire.site.GatewaySite` says it."""

    @property
    def connections(self) -> int:
        """Open connections."""

    @property
    def in_flight(self) -> int:
        """Requests that are being answered."""


class Log(Protocol):
    """The request log, as `nnogw.observability.log_file.LogFile` says it."""

    dropped: int


@frozen(eq=False)
class State:
    """Everything that can be seen of a running gateway (a Prometheus collector)."""

    verdicts: Verdicts
    limits: Limits
    services: Mapping[str, Service | None]  # None: not configured
    clients: Clients
    log: Log
    ledger: Ledger
    started: float = field(factory=time.time)  # Unix seconds

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics, as prometheus-client's registry asks for them."""
        verdicts = self.verdicts
        versions = {"version": __version__, "python": platform.python_version(), "twisted": twisted.__version__}
        yield InfoMetricFamily("nnogw_build", "What is running.", versions)
        yield GaugeMetricFamily("nnogw_client_connections", "Open connections of clients.", self.clients.connections)
        yield GaugeMetricFamily("nnogw_requests_in_flight", "Requests that are being answered.", self.clients.in_flight)
        lookups = CounterMetricFamily("nnogw_verdict_lookups", "Credentials looked up in the verdict cache.", labels=("result",))
        lookups.add_metric(("hit",), verdicts.hits)
        lookups.add_metric(("miss",), verdicts.misses)
        lookups.add_metric(("stale",), verdicts.stale)
        yield lookups
        entries = GaugeMetricFamily("nnogw_verdict_entries", "Verdicts in memory.", labels=("table",))
        entries.add_metric(("valid",), verdicts.entries)
        entries.add_metric(("refused",), verdicts.negative_entries)
        yield entries
        yield CounterMetricFamily("nnogw_verdict_evictions", "Verdicts dropped because a table was full.", verdicts.evictions)
        yield CounterMetricFamily("nnogw_iam_calls", "Questions to IAM.", verdicts.calls)
        in_progress = GaugeMetricFamily("nnogw_iam_calls_in_progress", "Questions to IAM that have begun or wait.", labels=("state",))
        in_progress.add_metric(("under_way",), verdicts.queue.under_way)
        in_progress.add_metric(("waiting",), verdicts.queue.waiting)
        yield in_progress
        yield CounterMetricFamily("nnogw_iam_calls_turned_away", "Questions to IAM that got no turn.", verdicts.queue.turned_away)
        yield CounterMetricFamily("nnogw_iam_failures", "Questions to IAM that an outage left open.", verdicts.failures)
        yield CounterMetricFamily("nnogw_iam_refusals", "Credentials that IAM refused.", verdicts.refusals)
        yield GaugeMetricFamily("nnogw_rate_limit_windows", "Rate limit windows in memory.", self.limits.keys)
        yield CounterMetricFamily("nnogw_rate_limit_evictions", "Windows dropped because the table was full.", self.limits.evictions)
        upstreams = GaugeMetricFamily("nnogw_upstream_connections", "Connections to services.", labels=("service", "state"))
        for name, service in self.services.items():
            if service is not None:
                upstreams.add_metric((name, "busy"), service.pool.open - service.pool.idle)
                upstreams.add_metric((name, "idle"), service.pool.idle)
        yield upstreams
        yield CounterMetricFamily("nnogw_log_lines_dropped", "Lines of the request log that were lost.", self.log.dropped)
        degraded = GaugeMetricFamily("nnogw_degraded", "Degraded states that go on.", labels=("state", "subject"))
        for entry in self.ledger.entries:
            degraded.add_metric((entry.state, entry.subject), 1)
        yield degraded

    def document(self) -> dict[str, Any]:
        """Return the same for people and scripts, as a JSON-serialisable object."""
        verdicts = self.verdicts
        return {
            "started": datetime.fromtimestamp(self.started, timezone.utc).isoformat(timespec="milliseconds"),
            "connections": self.clients.connections,
            "inFlight": self.clients.in_flight,
            "services": {name: _service(service) for name, service in self.services.items()},
            "verdicts": {
                "entries": verdicts.entries,
                "negativeEntries": verdicts.negative_entries,
                "hits": verdicts.hits,
                "misses": verdicts.misses,
                "stale": verdicts.stale,
                "refusals": verdicts.refusals,
                "evictions": verdicts.evictions,
                "iamCalls": verdicts.calls,
                "iamFailures": verdicts.failures,
                "iamCallsUnderWay": verdicts.queue.under_way,
                "iamCallsWaiting": verdicts.queue.waiting,
                "iamCallsTurnedAway": verdicts.queue.turned_away,
            },
            "rateLimit": {"windows": self.limits.keys, "evictions": self.limits.evictions},
            "requestLog": {"dropped": self.log.dropped},
            "degraded": self.ledger.document(),
        }


def _service(service: Service | None) -> dict[str, Any]:
    if service is None:
        return {"configured": False}
    return {"configured": True, "address": service.address, "connections": service.pool.open, "idle": service.pool.idle}
