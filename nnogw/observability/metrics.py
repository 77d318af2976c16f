"""What requests add up to: counted in plain dictionaries as they end, made into Prometheus metrics when somebody asks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Container, Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from nnogw.errors import UPSTREAM_FAILURE_KINDS, RateLimited
from nnogw.exchange import Exchange

#: Upper bounds of the histograms' buckets, in seconds.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

_NO_ROUTE = "none"
_METHODS = {name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")}


class RequestMetrics(Collector):
    """Counts requests that have ended (a Prometheus collector).

    Labels are bounded, whatever clients send: routes and services are the configured ones, methods the usual ones, status codes those
    from 100 to 599. prometheus-client's own counters take a lock and hash the labels for each of six numbers; plain dictionaries cost a
    tenth.

    Args:
        services: the names of the services that are configured; see `keep`.
    """

    def __init__(self, services: Iterable[str] = ()) -> None:
        self._requests: dict[tuple[str, str, int, str], int] = {}  # route, method, status code, end
        self._failures: dict[tuple[str, str], int] = {}
        self._bytes: dict[str, list[int]] = {}  # route → in, out
        self._limited: dict[str, int] = {}  # route → refused by a rate limit
        self._total: dict[str, _Histogram] = {}
        self._auth: dict[str, _Histogram] = {}
        self._upstream: dict[str, _Histogram] = {}
        self.keep((), services)

    def keep(self, routes: Container[str], services: Iterable[str]) -> None:
        """Forget all routes and services but these, those that the configuration has now: the others would be told of for ever.

        Args:
            routes: the names of the routes.
            services: the names of the services. Their failures are counted from 0 on, so that ``rate()`` sees the first.
        """
        self._requests = {key: count for key, count in self._requests.items() if _is_kept(key[0], routes)}
        by_route: tuple[dict[str, Any], ...] = (self._bytes, self._limited, self._total, self._auth, self._upstream)  # Any: only keys count
        for counts in by_route:
            for route in [route for route in counts if not _is_kept(route, routes)]:
                del counts[route]
        self._failures = {
            (service, kind): self._failures.get((service, kind), 0) for service in services for kind in UPSTREAM_FAILURE_KINDS
        }

    def observe(self, exchange: Exchange) -> None:
        """Count a request that has ended."""
        route = _NO_ROUTE if exchange.route is None else exchange.route.name
        key = (route, _METHODS.get(exchange.method, "other"), exchange.status, exchange.end)
        self._requests[key] = self._requests.get(key, 0) + 1
        sizes = self._bytes.get(route)
        if sizes is None:
            sizes = self._bytes[route] = [0, 0]
        sizes[0] += exchange.bytes_in
        sizes[1] += exchange.bytes_out
        if exchange.status == 429 and isinstance(exchange.refusal, RateLimited):  # and not a service's own
            self._limited[route] = self._limited.get(route, 0) + 1
        if exchange.upstream_failure and exchange.route is not None:
            failure = (exchange.route.service, exchange.upstream_failure)
            self._failures[failure] = self._failures.get(failure, 0) + 1
        _observe(self._total, route, exchange.ended - exchange.started)
        if exchange.auth_time is not None:
            _observe(self._auth, route, exchange.auth_time)
        if exchange.upstream_time is not None:
            _observe(self._upstream, route, exchange.upstream_time)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics, as prometheus-client's registry asks for them."""
        requests = CounterMetricFamily(
            "nnogw_requests",
            "Requests that have ended, by route, method, status code, and who ended them.",
            labels=("route", "method", "status", "end"),
        )
        for (route, method, status, end), count in self._requests.items():
            requests.add_metric((route, method, str(status), end), count)
        yield requests
        received = CounterMetricFamily("nnogw_request_bytes", "Bytes received in request bodies.", labels=("route",))
        sent = CounterMetricFamily("nnogw_response_bytes", "Bytes sent in response bodies.", labels=("route",))
        for route, (bytes_in, bytes_out) in self._bytes.items():
            received.add_metric((route,), bytes_in)
            sent.add_metric((route,), bytes_out)
        yield received
        yield sent
        limited = CounterMetricFamily("nnogw_rate_limited", "Requests refused because they were over a rate limit.", labels=("route",))
        for route, count in self._limited.items():
            limited.add_metric((route,), count)
        yield limited
        failures = CounterMetricFamily(
            "nnogw_upstream_failures",
            "Requests that failed between the gateway and a service: connect (no connection), reset (the connection broke), tls, timeout, "
            "or malformed (the response is not HTTP).",
            labels=("service", "kind"),
        )
        for labels, count in self._failures.items():
            failures.add_metric(labels, count)
        yield failures
        yield _family("nnogw_request_duration_seconds", "Time from the head of a request to the last byte of its response.", self._total)
        yield _family("nnogw_auth_duration_seconds", "Time that the authentication of a request took.", self._auth)
        yield _family(
            "nnogw_upstream_duration_seconds",
            "Time from passing a request on to a service to the head of its response, or to its failure.",
            self._upstream,
        )


def exposition(registry: CollectorRegistry, accept: str = "") -> tuple[bytes, str]:
    """Return all metrics of `registry`, and their content type.

    Args:
        registry: knows all collectors.
        accept: the ``Accept`` of whoever asks; the text format of Prometheus, if it does not say otherwise.
    """
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


def _is_kept(route: str, routes: Container[str]) -> bool:
    return route == _NO_ROUTE or route in routes


class _Histogram:
    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)  # not cumulative
        self.sum = 0.0


def _observe(histograms: dict[str, _Histogram], route: str, seconds: float) -> None:
    histogram = histograms.get(route)
    if histogram is None:
        histogram = histograms[route] = _Histogram()
    histogram.counts[bisect_left(BUCKETS, seconds)] += 1
    histogram.sum += seconds


def _family(name: str, documentation: str, histograms: dict[str, _Histogram]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, documentation, labels=("route",))
    for route, histogram in histograms.items():
        count = 0
        buckets = []
        for bound, within in zip((*BUCKETS, "+Inf"), histogram.counts, strict=True):
            count += within
            buckets.append((str(bound), float(count)))
        family.add_metric((route,), buckets, histogram.sum)
    return family
