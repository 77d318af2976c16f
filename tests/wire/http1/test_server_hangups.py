"""A client that leaves: whoever is at work for it hears of it, once."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nnogw.fields import field
from nnogw.wire.request import ClientGone
from tests.doubles import Collected, ScriptedBody
from tests.wire.client_connection import GET, POST_CHUNKED, ClientConnection, Root, answer, post, wait


class Leaving(SynchronousTestCase):
    """At every wait there is."""

    def test_before_anything(self) -> None:
        """There is nobody to tell."""
        for data in (b"", GET[:10]):
            client = ClientConnection(Root(wait)).send(data)
            client.leave()
            self.assertEqual((client.root.ends, client.site.connections), ([], 0))

    def test_while_the_answer_is_awaited(self) -> None:
        """The request has ended, and what is still done for it is done for nobody."""
        client = ClientConnection(Root(wait)).send(GET)
        client.leave()
        self.assertEqual(client.root.ends, ["client"])
        self.assertFalse(client.channel.busy)
        answer(client.root.requests[0])
        self.assertEqual(client.root.ends, ["client"])

    def test_while_the_answer_is_sent(self) -> None:
        """In mid-body."""
        client = ClientConnection(Root(wait)).send(GET)
        request = client.root.requests[0]
        request.begin(200, None, [field(b"Content-Length", b"1000")])
        request.write(b"a" * 10)
        client.leave()
        self.assertEqual(client.root.ends, ["client"])
        request.write(b"a" * 990)
        request.finish()
        self.assertEqual(client.root.ends, ["client"])

    def test_while_its_body_comes(self) -> None:
        """The body fails after the request has ended: nobody takes that for a failure of the upstream."""
        for head in (post(10), POST_CHUNKED):
            client = ClientConnection(Root(wait)).send(head)
            order: list[object] = []
            consumer = Collected()
            consumer.body_failed = order.append
            client.root.requests[0].on_end = order.append
            client.root.requests[0].body.stream(consumer)
            client.leave()
            self.assertEqual(order[0], "client")
            self.assertIsInstance(order[1], ClientGone)
            self.assertEqual(len(order), 2)

    def test_while_its_body_is_paused(self) -> None:
        """What the consumer still does to the body does nothing."""
        client = ClientConnection(Root(wait)).send(post(10))
        body = client.root.requests[0].body
        consumer = Collected()
        body.stream(consumer)
        body.pauseProducing()
        client.leave()
        body.resumeProducing()
        body.pauseProducing()
        self.assertIsInstance(consumer.error, ClientGone)
        self.assertEqual(client.clock.getDelayedCalls(), [])

    def test_while_its_body_waits_for_somebody_to_take_it(self) -> None:
        """Whoever takes it then is told."""
        client = ClientConnection(Root(wait)).send(post(10) + b"body")
        client.leave()
        consumer = Collected()
        client.root.requests[0].body.stream(consumer)
        self.assertIsInstance(consumer.error, ClientGone)

    def test_while_further_requests_are_held(self) -> None:
        """They are never started."""
        client = ClientConnection(Root(wait)).send(GET + GET)
        client.leave()
        answer(client.root.requests[0])
        client.turn()
        self.assertEqual((len(client.root.requests), client.root.ends), (1, ["client"]))

    def test_while_the_rest_of_a_body_is_drained(self) -> None:
        """Its request has ended well."""
        client = ClientConnection(Root(wait)).send(post(10))
        answer(client.root.requests[0])
        client.leave()
        self.assertEqual(client.root.ends, [""])

    def test_the_hang_up_of_a_connection_that_is_not_read(self) -> None:
        """The watch on it cuts it."""
        client = ClientConnection(Root(wait)).send(post(100) + b"body")
        client.channel.hung_up()
        client.turn()
        self.assertTrue(client.transport.aborted)
        self.assertEqual(client.root.ends, ["client"])

    def test_an_answer_that_breaks_off_cuts_the_connection(self) -> None:
        """Who broke it is in the log; the loss of the connection says nothing new."""
        client = ClientConnection(Root(wait)).send(GET)
        request = client.root.requests[0]
        request.begin(200, None, [])
        request.write(b"half")
        request.abort("upstream")
        client.turn()
        self.assertTrue(client.transport.aborted)
        self.assertNotIn(b"0\r\n\r\n", client.received)
        self.assertEqual(client.root.ends, ["upstream"])

    def test_a_request_that_nobody_watches_ends_in_silence(self) -> None:
        """``on_end`` is for those who want to know."""
        for end in (answer, lambda request: request.abort("gateway")):
            client = ClientConnection(Root(wait)).send(GET)
            client.root.requests[0].on_end = None
            end(client.root.requests[0])
            client.leave()
            self.assertEqual(client.root.ends, [])

    def test_the_source_of_an_answer_is_left_alone_once_the_client_is_gone(self) -> None:
        """A transport that stops its producer has nothing to say to it."""
        client = ClientConnection(Root(wait)).send(GET)
        source = ScriptedBody()
        client.channel.writer.set_source(source)
        client.transport.producer.stopProducing()
        self.assertEqual(source.calls, [])
