"""Draining: no request is lost, and no connection is kept."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nnogw.wire.http1.limits import CLOSE_TIMEOUT, FIRST_REQUEST
from nnogw.wire.site import GatewaySite
from tests.doubles import Collected, Rules
from tests.wire.client_connection import GET, ClientConnection, Root, answer, post, wait


class Draining(SynchronousTestCase):
    """`GatewaySite.drain`."""

    def setUp(self) -> None:
        self.root = Root(wait)
        self.site = GatewaySite(self.root, Clock(), Rules())
        self.drained: list[bool] = []

    def connect(self) -> ClientConnection:
        """Return another connection."""
        return ClientConnection(site=self.site)

    def drain(self) -> None:
        """Begin."""
        self.site.drain(lambda: self.drained.append(True))

    def test_without_connections_it_is_over_at_once(self) -> None:
        """There is nothing to wait for."""
        self.drain()
        self.assertEqual(self.drained, [True])

    def test_an_idle_connection_is_closed(self) -> None:
        """It has had its requests."""
        used = self.connect().send(GET)
        answer(self.root.requests[0])
        self.drain()
        self.assertTrue(used.closed)
        used.turn()
        self.assertTrue(used.lost)
        self.assertEqual(self.drained, [True])

    def test_a_connection_without_a_request_gets_a_moment_for_its_first(self) -> None:
        """It may just have been accepted: what it sends is answered, and without that it is closed."""
        silent, late = self.connect(), self.connect()
        self.drain()
        silent.advance(FIRST_REQUEST - 0.1)
        self.assertFalse(silent.closed)
        late.send(GET)
        silent.advance(0.2)
        self.assertEqual((silent.lost, late.lost, self.drained), (True, False, []))
        answer(self.root.requests[0])
        self.assertIn(b"Connection: close", late.received)
        self.assertEqual((late.lost, self.drained), (True, [True]))

    def test_while_it_is_about_to_stop_responses_close_their_connections(self) -> None:
        """And idle ones stay: a request on them is answered, and tells its client to go."""
        client, idle = self.connect().send(GET), self.connect().send(GET)
        answer(self.root.requests[0])
        answer(self.root.requests[1])
        self.site.closing = True
        self.assertFalse(idle.closed)
        client.send(GET)
        answer(self.root.requests[2])
        self.assertTrue(client.received.endswith(b"ok"))
        self.assertIn(b"Connection: close", client.received)
        self.assertEqual((client.lost, idle.closed), (True, False))

    def test_a_request_under_way_is_answered_and_its_connection_closed(self) -> None:
        """The client is told so; only then it is over."""
        client = self.connect().send(GET)
        self.drain()
        self.assertFalse(client.closed)
        answer(self.root.requests[0])
        self.assertEqual(client.statuses, [200])
        self.assertIn(b"Connection: close", client.received)
        self.assertTrue(client.lost)
        self.assertEqual(self.drained, [True])

    def test_a_request_whose_head_is_coming_is_answered(self) -> None:
        """Its first bytes were accepted."""
        client = self.connect().send(GET[:10])
        self.drain()
        self.assertFalse(client.closed)
        client.send(GET[10:])
        answer(self.root.requests[0])
        self.assertEqual(client.statuses, [200])
        self.assertTrue(client.lost)

    def test_an_answer_that_has_begun_is_finished_and_its_connection_closed(self) -> None:
        """Although its head promised to keep it."""
        client = self.connect().send(GET)
        request = self.root.requests[0]
        request.begin(200, None, [])
        self.drain()
        request.write(b"the rest")
        request.finish()
        self.assertIn(b"the rest", client.received)
        self.assertTrue(client.lost)

    def test_a_request_that_was_held_behind_another_is_answered(self) -> None:
        """It was accepted under the promise of a connection that is kept; the one behind it was not."""
        client = self.connect().send(GET + GET + GET)
        self.root.requests[0].begin(200, None, [])
        self.drain()
        self.root.requests[0].finish()
        answer(self.root.requests[1])
        self.assertEqual(client.statuses, [200, 200])
        self.assertEqual(len(self.root.requests), 2)
        self.assertTrue(client.lost)

    def test_a_body_that_is_being_drained_comes_to_its_end(self) -> None:
        """Then the connection is closed in order."""
        client = self.connect().send(post(10))
        answer(self.root.requests[0])
        self.drain()
        self.assertFalse(client.closed)
        client.send(b"a" * 10)
        self.assertTrue(client.closed)
        self.assertFalse(client.transport.aborted)

    def test_a_connection_that_came_late_is_closed_after_one_request(self) -> None:
        """It was accepted before the listener closed."""
        self.drain()
        client = self.connect().send(GET)
        answer(self.root.requests[0])
        self.assertIn(b"Connection: close", client.received)
        self.assertTrue(client.lost)

    def test_a_connection_is_not_closed_twice(self) -> None:
        """Draining again changes nothing."""
        client = ClientConnection(site=self.site, lingers=True).send(GET)
        self.drain()
        answer(self.root.requests[0])
        self.drain()
        self.assertEqual(client.statuses, [200])
        self.assertEqual(self.drained, [])

    def test_a_connection_that_is_being_closed_gets_no_more_time(self) -> None:
        """It had been idle for too long."""
        client = ClientConnection(site=self.site, lingers=True)
        client.advance(11)
        client.advance(CLOSE_TIMEOUT - 2)
        self.drain()
        client.advance(2.1)
        self.assertTrue(client.transport.aborted)

    def test_what_is_left_can_be_cut(self) -> None:
        """Its requests end as cut short."""
        client = self.connect().send(GET)
        self.drain()
        self.assertEqual(self.site.cut(), 1)
        client.turn()
        self.assertTrue(client.transport.aborted)
        self.assertEqual(self.root.ends, ["timeout:drain"])
        self.assertEqual(self.drained, [True])
        self.assertEqual(self.site.cut(), 0)

    def test_a_connection_that_drains_with_an_upload_answers_it(self) -> None:
        """The body goes on flowing."""
        client = self.connect().send(post(4))
        consumer = Collected()
        self.root.requests[0].body.stream(consumer)
        self.drain()
        client.send(b"body")
        self.assertTrue(consumer.ended)
        answer(self.root.requests[0])
        self.assertEqual(client.statuses, [200])
