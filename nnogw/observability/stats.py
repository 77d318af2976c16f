"""The present state of the gateway's parts: one view for Prometheus and for the status page."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from typing import NamedTuple

from attrs import field, frozen
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

import twisted
from nnogw import __version__
from nnogw.interfaces import ClientConnections, LimitTable, LogWriter, ServiceConnections, VerdictTable
from nnogw.observability.ledger import Ledger


class ConfigurationStats(NamedTuple):
    """Which generation of the configuration serves.

    Attributes:
        generation: its number, from 1 on.
        since: Unix seconds at which it took over.
        retiring: how many earlier ones still have requests under way.
    """

    generation: int
    since: float
    retiring: int


@frozen(eq=False)
class Stats(Collector):
    """Everything that can be seen of a running gateway (a Prometheus collector)."""

    verdicts: VerdictTable
    limits: LimitTable
    services: Callable[[], Mapping[str, ServiceConnections | None]]  # those of the configuration that counts; None: not configured
    clients: ClientConnections
    log: LogWriter
    ledger: Ledger
    configuration: Callable[[], ConfigurationStats]
    started: float = field(factory=time.time)  # Unix seconds

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics, as prometheus-client's registry asks for them."""
        verdicts = self.verdicts
        versions = {"version": __version__, "python": platform.python_version(), "twisted": twisted.__version__}
        yield InfoMetricFamily("nnogw_build", "Versions of the gateway, of Python and of Twisted.", versions)
        configuration = self.configuration()
        yield GaugeMetricFamily("nnogw_config_generation", "The generation of the configuration that serves.", configuration.generation)
        yield GaugeMetricFamily(
            "nnogw_config_changed_timestamp_seconds", "When that generation took over, in Unix seconds.", configuration.since
        )
        yield GaugeMetricFamily(
            "nnogw_config_generations_retiring", "Earlier generations that still have requests under way.", configuration.retiring
        )
        yield GaugeMetricFamily("nnogw_client_connections", "Open client connections.", self.clients.connections)
        yield GaugeMetricFamily("nnogw_requests_in_flight", "Requests in progress.", self.clients.in_flight)
        lookups = CounterMetricFamily("nnogw_verdict_lookups", "Lookups in the verdict cache, by result.", labels=("result",))
        lookups.add_metric(("hit",), verdicts.hits)
        lookups.add_metric(("miss",), verdicts.misses)
        lookups.add_metric(("stale",), verdicts.stale)
        yield lookups
        entries = GaugeMetricFamily("nnogw_verdict_entries", "Entries in the verdict cache, by table.", labels=("table",))
        entries.add_metric(("valid",), verdicts.entries)
        entries.add_metric(("refused",), verdicts.negative_entries)
        yield entries
        yield CounterMetricFamily(
            "nnogw_verdict_evictions", "Entries evicted from the verdict cache because a table was full.", verdicts.evictions
        )
        yield CounterMetricFamily("nnogw_iam_calls", "Calls to IAM.", verdicts.calls)
        in_progress = GaugeMetricFamily("nnogw_iam_calls_in_progress", "Calls to IAM that are under way or wait.", labels=("state",))
        in_progress.add_metric(("under_way",), verdicts.queue.under_way)
        in_progress.add_metric(("waiting",), verdicts.queue.waiting)
        yield in_progress
        yield CounterMetricFamily(
            "nnogw_iam_calls_turned_away", "Calls to IAM that were not made because too many waited.", verdicts.queue.turned_away
        )
        yield CounterMetricFamily("nnogw_iam_failures", "Calls to IAM that failed.", verdicts.failures)
        yield CounterMetricFamily("nnogw_iam_refusals", "Credentials that IAM refused.", verdicts.refusals)
        yield GaugeMetricFamily("nnogw_rate_limit_windows", "Rate limit windows in memory.", self.limits.keys)
        yield CounterMetricFamily(
            "nnogw_rate_limit_evictions", "Rate limit windows evicted because the table was full.", self.limits.evictions
        )
        upstreams = GaugeMetricFamily("nnogw_upstream_connections", "Open connections to services, by state.", labels=("service", "state"))
        for name, service in self.services().items():
            if service is not None:
                upstreams.add_metric((name, "busy"), service.pool.open - service.pool.idle)
                upstreams.add_metric((name, "idle"), service.pool.idle)
        yield upstreams
        yield CounterMetricFamily("nnogw_log_lines_dropped", "Lines of the request log that were dropped.", self.log.dropped)
        degraded = GaugeMetricFamily("nnogw_degraded", "Degraded states: 1 for each that lasts.", labels=("state", "subject"))
        for entry in self.ledger.entries:
            degraded.add_metric((entry.state, entry.subject), 1)
        yield degraded

    def document(self) -> dict[str, object]:
        """Return the same for people and scripts, as a JSON-serialisable object."""
        verdicts = self.verdicts
        configuration = self.configuration()
        return {
            "started": _iso(self.started),
            "configuration": {
                "generation": configuration.generation,
                "since": _iso(configuration.since),
                "retiring": configuration.retiring,
            },
            "connections": self.clients.connections,
            "connectionStates": self.clients.states,
            "inFlight": self.clients.in_flight,
            "services": {name: _service(service) for name, service in self.services().items()},
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


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, timezone.utc).isoformat(timespec="milliseconds")


def _service(service: ServiceConnections | None) -> dict[str, object]:
    if service is None:
        return {"configured": False}
    return {"configured": True, "address": service.label, "connections": service.pool.open, "idle": service.pool.idle}
