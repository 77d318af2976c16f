"""Server-Timing says where the time went."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nnogw.errors import RateLimited
from nnogw.exchange import Response
from nnogw.middleware.timing import Timing
from tests.doubles import Further, exchange


class TimingTests(SynchronousTestCase):
    """In milliseconds, when it is known."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.request = exchange()
        self.further = Further()
        self.outcome = Timing(self.clock.seconds)(self.request, self.further)

    def test_it_tells_the_total_and_what_is_known_of_its_parts(self) -> None:
        """When the answer comes back."""
        self.assertEqual(self.request.response_additions, [])
        self.clock.advance(0.25)
        self.request.auth_time, self.request.upstream_time = 0.05, 0.1
        self.further.waiting.callback(Response(200))
        self.assertEqual(self.successResultOf(self.outcome).status, 200)
        expected = b"total;dur=250.00, auth;dur=50.00, upstream;dur=100.00"
        self.assertEqual(self.request.response_additions, [(b"server-timing", b"Server-Timing", expected)])

    def test_failures_have_theirs_too(self) -> None:
        """Without the parts that were never reached."""
        self.clock.advance(0.001)
        self.further.waiting.errback(RateLimited(1))
        self.failureResultOf(self.outcome, RateLimited)
        self.assertEqual(self.request.response_additions[0][2], b"total;dur=1.00")
