"""What requests add up to for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus
from twisted.trial.unittest import SynchronousTestCase

from nnogw.errors import BadRequest, RateLimited
from nnogw.observability.metrics import BUCKETS, RequestMetrics, exposition
from nnogw.routes import Route
from tests.observability.exchanges import an_ended_exchange

IAM = Route(b"/api/v1/iam", "iam", b"", "/api/v1/iam")


class RequestMetricsTests(SynchronousTestCase):
    """Requests are counted when they have ended."""

    def setUp(self) -> None:
        self.metrics = RequestMetrics(["billing", "iam"])
        self.registry = CollectorRegistry()
        self.registry.register(self.metrics)

    def observe(self, **changes: object) -> None:
        self.metrics.observe(an_ended_exchange(**changes))

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    def test_requests_are_counted_by_route_method_status_and_end(self) -> None:
        """The status by its code: 401 and 404, 502 and 503 have different causes."""
        self.observe()
        self.observe(status=204)
        self.observe(status=204)
        self.observe(status=404)
        self.observe(method=b"POST", status=503, end="gateway", route=IAM)
        self.assertEqual(self.value("nnogw_requests_total", route="/api/v1/billing", method="GET", status="200", end="upstream"), 1)
        self.assertEqual(self.value("nnogw_requests_total", route="/api/v1/billing", method="GET", status="204", end="upstream"), 2)
        self.assertEqual(self.value("nnogw_requests_total", route="/api/v1/billing", method="GET", status="404", end="upstream"), 1)
        self.assertEqual(self.value("nnogw_requests_total", route="/api/v1/iam", method="POST", status="503", end="gateway"), 1)

    def test_what_clients_invent_makes_no_labels(self) -> None:
        """Neither methods nor paths."""
        for number in range(100):
            self.observe(method=b"M%d" % number, path=b"/%d" % number, route=None, status=404, end="gateway")
        self.assertEqual(self.value("nnogw_requests_total", route="none", method="other", status="404", end="gateway"), 100)
        (requests,) = [family for family in self.registry.collect() if family.name == "nnogw_requests"]
        self.assertEqual(len(requests.samples), 1)

    def test_bytes_of_bodies_are_summed_by_route(self) -> None:
        """In and out."""
        self.observe()
        self.observe()
        self.observe(route=IAM, bytes_in=1)
        self.assertEqual(self.value("nnogw_request_bytes_total", route="/api/v1/billing"), 6)
        self.assertEqual(self.value("nnogw_response_bytes_total", route="/api/v1/billing"), 1024)
        self.assertEqual(self.value("nnogw_request_bytes_total", route="/api/v1/iam"), 1)

    def test_durations_fall_into_the_bucket_whose_bound_they_do_not_exceed(self) -> None:
        """Buckets contain those below them; the last one has no bound."""
        for seconds in (0.001, 0.0011, 0.3, 100.0):
            self.observe(started=0.0, ended=seconds)
        name = "nnogw_request_duration_seconds"
        bounds = ("0.001", "0.0025", "0.25", "0.5", "30.0", "+Inf")
        counts = [self.value(f"{name}_bucket", route="/api/v1/billing", le=bound) for bound in bounds]
        self.assertEqual(counts, [1, 2, 2, 3, 3, 4])
        self.assertEqual(self.value(f"{name}_count", route="/api/v1/billing"), 4)
        self.assertAlmostEqual(self.value(f"{name}_sum", route="/api/v1/billing"), 100.3021)

    def test_only_requests_that_were_authenticated_or_passed_on_have_those_times(self) -> None:
        """A refused one would make the service look fast."""
        self.observe(auth_time=0.5, upstream_time=1.5)
        self.observe(auth_time=None, upstream_time=None)
        for stage, seconds in (("auth", 0.5), ("upstream", 1.5)):
            self.assertEqual(self.value(f"nnogw_{stage}_duration_seconds_count", route="/api/v1/billing"), 1)
            self.assertEqual(self.value(f"nnogw_{stage}_duration_seconds_sum", route="/api/v1/billing"), seconds)

    def test_only_the_gateways_own_429_is_a_rate_limit(self) -> None:
        """A service may have limits of its own."""
        self.observe(status=429, refusal=RateLimited(3), end="gateway")
        self.observe(status=429)
        self.observe(status=400, refusal=BadRequest(), end="gateway")
        self.observe(status=499, refusal=RateLimited(3), end="client")
        self.assertEqual(self.value("nnogw_rate_limited_total", route="/api/v1/billing"), 1)

    def test_failures_of_services_are_counted_by_kind(self) -> None:
        """Beside the status, which says 502 for most of them."""
        self.observe(status=502, upstream_failure="connect")
        self.observe(status=502, upstream_failure="connect")
        self.observe(status=504, upstream_failure="timeout")
        self.observe(status=502, upstream_failure="reset", route=IAM)
        self.observe(status=502)  # the service's own
        found = {
            tuple(sample.labels.values()): sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == "nnogw_upstream_failures_total" and sample.value
        }
        self.assertEqual(found, {("billing", "connect"): 2, ("billing", "timeout"): 1, ("iam", "reset"): 1})

    def test_failures_of_services_begin_at_zero(self) -> None:
        """A series that appears with its first failure would hide that failure from rate()."""
        for service in ("billing", "iam"):
            for kind in ("connect", "reset", "tls", "timeout", "malformed"):
                self.assertEqual(self.value("nnogw_upstream_failures_total", service=service, kind=kind), 0)
        self.assertIsNone(self.value("nnogw_upstream_failures_total", service="cli", kind="connect"))

    def test_what_is_not_configured_any_more_is_forgotten(self) -> None:
        """Routes with everything that was counted by them, and services; requests without a route are always told of."""
        self.observe(auth_time=0.5, upstream_time=1.5, upstream_failure="reset")
        self.observe(status=429, refusal=RateLimited(3), end="gateway")
        self.observe(route=IAM, auth_time=0.5, upstream_time=1.5)
        self.observe(route=None, status=404, end="gateway")
        self.metrics.keep({"/api/v1/iam"}, ["iam"])
        labels = [sample.labels for family in self.registry.collect() for sample in family.samples]
        self.assertEqual({found["route"] for found in labels if "route" in found}, {"/api/v1/iam", "none"})
        self.assertEqual({found["service"] for found in labels if "service" in found}, {"iam"})

    def test_what_is_still_configured_is_counted_on(self) -> None:
        """A service that has come begins at zero."""
        self.observe(status=502, upstream_failure="reset")
        self.metrics.keep({"/api/v1/billing"}, ["search", "billing"])
        self.observe(status=502, upstream_failure="reset")
        name = "nnogw_requests_total"
        self.assertEqual(self.value(name, route="/api/v1/billing", method="GET", status="502", end="upstream"), 2)
        self.assertEqual(self.value("nnogw_request_duration_seconds_count", route="/api/v1/billing"), 2)
        self.assertEqual(self.value("nnogw_upstream_failures_total", service="billing", kind="reset"), 2)
        self.assertEqual(self.value("nnogw_upstream_failures_total", service="search", kind="reset"), 0)

    def test_every_metric_explains_itself(self) -> None:
        """In a sentence, under a name that says whose it is."""
        families = list(self.registry.collect())
        self.assertGreater(len(families), 5)
        for family in families:
            self.assertTrue(family.name.startswith("nnogw_"), family.name)
            self.assertRegex(family.documentation, r"\A[A-Z][^?]{15,}\.\Z")

    def test_both_formats_can_be_read(self) -> None:
        """The one of Prometheus unless OpenMetrics is asked for."""
        self.observe(status=429, refusal=RateLimited(3), end="gateway")
        for accept, media_type, parse in (
            ("", "text/plain", prometheus),
            ("*/*", "text/plain", prometheus),
            ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text", openmetrics),
        ):
            body, content_type = exposition(self.registry, accept)
            self.assertTrue(content_type.startswith(media_type), content_type)
            samples = [sample for family in parse(body.decode()) for sample in family.samples]
            self.assertEqual(len([sample for sample in samples if sample.name.endswith("_bucket")]), 3 * (len(BUCKETS) + 1))
