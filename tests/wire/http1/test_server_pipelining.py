"""Several requests on one connection: one after another, and none of them at the cost of unbounded memory."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nnogw.wire.http1.server import MOST_A_TURN
from nnogw.wire.request import GatewayRequest
from nnogw.wire.site import GatewaySite
from tests.doubles import Collected, Rules
from tests.wire.client_connection import GET, SEGMENT, ClientConnection, Root, answer, post, wait
from tests.wire.loop import Client, Loop


def numbered(number: int) -> bytes:
    """Return a request that can be told from others."""
    return b"GET /%d HTTP/1.1\r\nHost: gateway\r\n\r\n" % number


class Fairness(SynchronousTestCase):
    """One connection's pipelined requests do not hold up everybody else's, on real sockets."""

    def test_no_more_than_sixteen_are_taken_in_one_turn_of_the_reactor(self) -> None:
        """However many come in one segment; all of them are answered in the end, in order."""
        loop = Loop()
        self.addCleanup(loop.close)
        root = Root(lambda request: answer(request, request.target))
        site = GatewaySite(root, loop, Rules())
        self.addCleanup(site.hangups.close)
        client = Client(self, loop, site)
        client.socket.send(b"".join(map(numbered, range(300))))
        taken = []
        while len(root.requests) < 300:
            before = len(root.requests)
            loop.iterate(0)
            taken.append(len(root.requests) - before)
            self.assertLess(len(taken), 1000)
        self.assertEqual(max(taken), MOST_A_TURN)
        client.read_until(lambda: client.received.endswith(b"/299"), "the last answer")
        self.assertEqual([request.target for request in root.requests], [b"/%d" % number for number in range(300)])


class Order(SynchronousTestCase):
    """Answers go out in the order of the requests (RFC 9112 §9.3.2)."""

    def test_requests_that_come_together_are_answered_in_order(self) -> None:
        """All of them, in one segment."""
        client = ClientConnection(Root(lambda request: answer(request, request.target))).send(b"".join(map(numbered, range(500))))
        self.assertEqual(client.statuses, [200] * 500)
        bodies = [part.rpartition(b"\r\n\r\n")[2] for part in client.received.split(b"HTTP/1.1 200 OK")[1:]]
        self.assertEqual(bodies, [b"/%d" % number for number in range(500)])

    def test_a_request_is_not_started_before_the_one_ahead_is_answered(self) -> None:
        """It waits unread."""
        client = ClientConnection(Root(wait)).send(numbered(1) + numbered(2) + numbered(3))
        for number in (1, 2, 3):
            self.assertEqual([request.target for request in client.root.requests], [b"/%d" % n for n in range(1, number + 1)])
            answer(client.root.requests[-1])
        self.assertEqual(client.statuses, [200] * 3)
        self.assertFalse(client.paused)

    def test_a_request_behind_a_body_waits_for_the_answer(self) -> None:
        """Although the body has come."""
        client = ClientConnection(Root(wait)).send(post(4) + b"body" + numbered(2))
        request = client.root.requests[0]
        consumer = Collected()
        request.body.stream(consumer)
        self.assertTrue(consumer.ended)
        self.assertEqual(len(client.root.requests), 1)
        answer(request)
        self.assertEqual(len(client.root.requests), 2)

    def test_what_is_held_is_bounded(self) -> None:
        """At most one segment; the rest stays on the socket."""
        client = ClientConnection(Root(wait)).send(GET).send(GET * 10_000)
        self.assertTrue(client.paused)
        self.assertGreaterEqual(client.unread, len(GET) * 10_000 - SEGMENT)
        self.assertEqual(len(client.root.requests), 1)

    def test_what_was_held_is_served_to_the_last(self) -> None:
        """Across segments, each request answered in a turn of its own."""
        client = ClientConnection(Root(wait)).send(GET * 5000)
        for number in range(5000):
            answer(client.root.requests[number])
            client.turn()
        self.assertEqual(len(client.root.requests), 5000)
        self.assertEqual(client.unread, 0)

    def test_a_client_that_takes_no_answers_gets_no_more_of_them(self) -> None:
        """They would pile up in memory: the next request waits until it has taken what is there."""
        client = ClientConnection().send(GET)
        client.stall()
        for _ in range(100):
            client.send(GET * 100)
        self.assertLessEqual(len(client.root.requests), 2)
        self.assertTrue(client.paused)
        client.catch_up()
        self.assertEqual(client.unread, 0)
        self.assertEqual(len(client.root.requests), 10_001)

    def test_data_behind_the_last_request_is_no_request(self) -> None:
        """Neither in its segment nor later, whether the answer takes its time or not (RFC 9112 §9.6)."""
        last = b"GET /last HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n"
        for respond in (answer, wait):
            client = ClientConnection(Root(respond), lingers=True).send(last + GET)
            if respond is wait:
                answer(client.root.requests[0])
            client.send(GET)
            self.assertEqual(client.statuses, [200])
            self.assertEqual(len(client.root.requests), 1)
            self.assertIn(b"Connection: close", client.received)
            self.assertTrue(client.closed)

    def test_a_request_that_is_answered_from_a_burst_in_mixed_ways(self) -> None:
        """At once or later: the order stays."""
        waiting: list[GatewayRequest] = []

        def respond(request: GatewayRequest) -> None:
            if request.target in (b"/2", b"/5"):
                waiting.append(request)
            else:
                answer(request, request.target)

        client = ClientConnection(Root(respond)).send(b"".join(map(numbered, range(8))))
        while waiting:
            answer(waiting.pop(), b"late")
        bodies = [part.rpartition(b"\r\n\r\n")[2] for part in client.received.split(b"HTTP/1.1 200 OK")[1:]]
        self.assertEqual(bodies, [b"/0", b"/1", b"late", b"/3", b"/4", b"late", b"/6", b"/7"])
