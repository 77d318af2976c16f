"""Who guesses is not answered any more."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nnogw.errors import RateLimited
from nnogw.identity.failure_limit import FailureLimit
from nnogw.limiting.memory import MemoryStore


class FailureLimitTests(SynchronousTestCase):
    """Three refused credentials in a minute."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.store = MemoryStore(100, self.clock.seconds)
        self.limit = FailureLimit(3, 60, self.store)

    def test_beyond_the_limit_the_address_is_refused_until_the_window_ends(self) -> None:
        """And told how long that is."""
        for _ in range(3):
            self.limit.check("192.0.2.1")
            self.limit.refused("192.0.2.1")
        self.clock.advance(19.5)
        error = self.assertRaises(RateLimited, self.limit.check, "192.0.2.1")
        self.assertEqual(error.headers, ((b"Retry-After", b"41"),))
        self.assertIn("3 credentials of this address were refused within 60 s", error.reason)
        self.clock.advance(40.5)
        self.limit.check("192.0.2.1")

    def test_others_are_not_concerned(self) -> None:
        for _ in range(5):
            self.limit.refused("192.0.2.1")
        self.limit.check("192.0.2.2")

    def test_looking_does_not_count(self) -> None:
        for _ in range(100):
            self.limit.check("192.0.2.1")
        self.assertEqual(self.store.keys, 0)

    def test_no_limit_counts_nothing(self) -> None:
        limit = FailureLimit(0, 60, self.store)
        for _ in range(100):
            limit.refused("192.0.2.1")
            limit.check("192.0.2.1")
        self.assertEqual(self.store.keys, 0)
