"""A request's head becomes an exchange."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from nnogw.arrival import arrive
from nnogw.errors import BadRequest, RefusedTarget
from nnogw.exchange import Exchange
from nnogw.fields import HeaderFields
from nnogw.headers import TrustedProxies
from nnogw.routes import RouteTable
from nnogw.settings import Settings

ROUTES = RouteTable(Settings().routes)


def arrived(method: bytes, target: bytes, *pairs: tuple[bytes, bytes], **more: Any) -> Exchange:
    """Return the exchange of a request from a trusted proxy."""
    facts: dict[str, Any] = {"secure": False, "body": None, "refusal": None, "started": 1.0, "started_at": 1000.0, **more}
    fields = HeaderFields([(b"Host", b"gateway"), *pairs])
    return arrive(method, target, fields, peer="10.0.0.1", routes=ROUTES, trusted=TrustedProxies(["10.0.0.1"]), **facts)


class Arriving(SynchronousTestCase):
    """`arrive`."""

    def test_it_says_who_sends_the_request_and_where_it_leads(self) -> None:
        """The route is matched in the canonical form, and the rest is kept byte for byte."""
        exchange = arrived(b"GET", b"/api/v1/bill%69ng/a%2Fb?x=1", (b"X-Forwarded-For", b"203.0.113.9"), secure=True)
        assert exchange.route is not None
        self.assertEqual((exchange.ip, exchange.peer, exchange.secure), ("203.0.113.9", "10.0.0.1", True))
        self.assertEqual((exchange.path, exchange.route.service, exchange.rest), (b"/api/v1/billing/a%2Fb", "billing", b"/a%2Fb?x=1"))
        self.assertEqual((exchange.refusal, exchange.started, exchange.started_at), (None, 1.0, 1000.0))

    def test_a_path_that_is_refused_is_a_refusal_for_the_pipeline(self) -> None:
        """Nothing is raised here: the response needs its header fields."""
        exchange = arrived(b"GET", b"/api/v1/billing/../iam")
        self.assertIsInstance(exchange.refusal, RefusedTarget)
        self.assertEqual((exchange.route, exchange.path), (None, b""))

    def test_a_head_that_is_refused_has_no_path(self) -> None:
        """It was not understood; who sent it is known all the same."""
        refusal = BadRequest(reason="no Host")
        exchange = arrived(b"GET", b"/api/v1/billing/x", (b"X-Forwarded-For", b"203.0.113.9"), refusal=refusal)
        self.assertIs(exchange.refusal, refusal)
        self.assertEqual((exchange.route, exchange.path, exchange.ip), (None, b"", "203.0.113.9"))
