"""The demo's event stream, and the ways in which its billing service fails."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nnogw.demo.billing import billing_responders
from tests.demo.wire_client import ServiceConnection


class BillingTests(SynchronousTestCase):
    """Billing streams, fails, breaks off and is slow."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.connection = ServiceConnection(billing_responders(self.clock), self.clock)

    def waits(self, seconds: float) -> list[float]:
        """Return the waits that are under way, but for the connection's own idle limit."""
        return [call.getTime() for call in self.clock.getDelayedCalls() if call.getTime() <= self.clock.seconds() + seconds]

    def test_an_event_is_sent_each_second(self) -> None:
        """The first comes with the head; after the last, the response is whole."""
        self.connection.get(b"/events?count=3")
        head, _, first = self.connection.received.partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 200 OK\r\n"))
        self.assertIn(b"\r\nContent-Type: text/event-stream", head)
        self.assertIn(b'id: 1\ndata: {"invoice": 1}\n\n', first)
        self.assertNotIn(b"id: 2\n", first)
        self.clock.advance(1)
        self.assertIn(b"id: 2\n", self.connection.received)
        self.assertNotIn(b"0\r\n\r\n", self.connection.received)
        self.clock.advance(1)
        self.assertTrue(self.connection.received.endswith(b'id: 3\ndata: {"invoice": 3}\n\n\r\n0\r\n\r\n'))
        self.assertEqual(self.waits(10), [])

    def test_a_stream_ends_when_its_client_leaves(self) -> None:
        """Nothing goes on in the background."""
        self.connection.get(b"/events")
        self.clock.advance(1)
        self.assertEqual(len(self.waits(10)), 1)
        self.connection.leave()
        self.assertEqual(self.waits(10), [])

    def test_a_strange_number_is_the_default(self) -> None:
        """Ten events, whatever was asked for instead of a number."""
        self.connection.get(b"/events?count=-1")
        self.clock.pump([1] * 20)
        self.assertIn(b"id: 10\n", self.connection.received)
        self.assertNotIn(b"id: 11\n", self.connection.received)

    def test_slow_answers_when_the_time_is_over(self) -> None:
        """Not before; then it is an echo."""
        self.connection.get(b"/slow?seconds=5")
        self.clock.advance(4.9)
        self.assertEqual(self.connection.received, b"")
        self.clock.advance(0.1)
        self.assertTrue(self.connection.received.startswith(b"HTTP/1.1 200 OK\r\n"))
        self.assertIn(b'"query": "seconds=5"', self.connection.received)

    def test_slow_forgets_a_client_that_leaves(self) -> None:
        """Its wait is cancelled."""
        self.connection.get(b"/slow?seconds=5")
        self.assertEqual(len(self.waits(10)), 1)
        self.connection.leave()
        self.assertEqual(self.waits(10), [])

    def test_fail_is_an_error_of_the_services_own(self) -> None:
        """It has a body that is not the gateway's envelope."""
        self.connection.get(b"/fail")
        self.assertTrue(self.connection.received.startswith(b"HTTP/1.1 500 Internal Server Error\r\n"))
        self.assertIn(b'{"error":"billing has run out of ink"}', self.connection.received)

    def test_broken_aborts_the_connection(self) -> None:
        """Not a byte of an answer is sent."""
        self.connection.get(b"/broken")
        self.assertTrue(self.connection.transport.aborted)
        self.assertEqual(self.connection.received, b"")
