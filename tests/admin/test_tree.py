"""The admin listener's pages."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge
from twisted.trial.unittest import SynchronousTestCase

from nnogw.admin import build_admin
from nnogw.admin.pages import json
from tests.admin.operator import Answer, ask


class AdminTests(SynchronousTestCase):
    """What an operator finds where."""

    def setUp(self) -> None:
        self.draining = False
        self.degraded: list[dict[str, str]] = []
        registry = CollectorRegistry()
        Gauge("nnogw_example", "An example.", registry=registry).set(7)
        self.root = build_admin(
            registry=registry,
            status=lambda: {"version": "1.2.3"},
            degraded=lambda: self.degraded,
            draining=lambda: self.draining,
            purge=lambda request: json(request, {"purged": 1}),
            reload=lambda request: json(request, {"reloaded": True}),
        )

    def get(self, path: str, **fields: str) -> Answer:
        return ask(self.root, "GET", path, **fields)

    def test_the_index_names_every_page(self) -> None:
        """In plain text, for curl."""
        answer = self.get("/")
        self.assertEqual((answer.status, answer.fields["content-type"]), (200, "text/plain; charset=utf-8"))
        for page in (b"/metrics", b"/status.json", b"/-/live", b"/-/ready", b"/-/degraded", b"/-/purge", b"/-/reload"):
            self.assertIn(page, answer.body)

    def test_metrics_come_in_the_format_that_is_asked_for(self) -> None:
        """That of Prometheus by default."""
        answer = self.get("/metrics")
        self.assertTrue(answer.fields["content-type"].startswith("text/plain; version=0.0.4"), answer.fields)
        self.assertIn(b"\nnnogw_example 7.0\n", answer.body)
        answer = self.get("/metrics", Accept="application/openmetrics-text; version=1.0.0")
        self.assertTrue(answer.fields["content-type"].startswith("application/openmetrics-text"), answer.fields)
        self.assertTrue(answer.body.endswith(b"# EOF\n"))

    def test_the_status_is_json(self) -> None:
        """A query is of no matter."""
        self.assertEqual(self.get("/status.json?pretty").document, {"version": "1.2.3"})

    def test_a_gateway_that_drains_lives_and_is_not_ready(self) -> None:
        """So that a balancer turns away from it, and nobody kills it."""
        self.assertEqual([self.get(path).status for path in ("/-/live", "/-/ready")], [200, 200])
        self.draining = True
        self.assertEqual([self.get(path).status for path in ("/-/live", "/-/ready")], [200, 503])
        self.assertEqual(self.get("/-/ready").document, {"ready": False})

    def test_degraded_states_are_a_list_which_may_be_empty(self) -> None:
        """They are no error of the listener: the status is 200 in either case."""
        self.assertEqual((self.get("/-/degraded").status, self.get("/-/degraded").document), (200, []))
        self.degraded.append({"state": "iam-outage"})
        self.assertEqual((self.get("/-/degraded").status, self.get("/-/degraded").document), (200, [{"state": "iam-outage"}]))

    def test_a_purge_has_to_be_posted(self) -> None:
        """Looking changes nothing."""
        self.assertEqual((self.get("/-/purge").status, self.get("/-/purge").fields["allow"]), (405, "POST"))
        self.assertEqual(ask(self.root, "POST", "/-/purge").document, {"purged": 1})

    def test_a_reload_has_to_be_posted_by_the_operator(self) -> None:
        """Neither a look nor a form of another page lets another configuration take over."""
        self.assertEqual((self.get("/-/reload").status, self.get("/-/reload").fields["allow"]), (405, "POST"))
        self.assertEqual(ask(self.root, "POST", "/-/reload", Origin="http://evil.example").status, 403)
        self.assertEqual(ask(self.root, "POST", "/-/reload").document, {"reloaded": True})
